// Numbers and times as people read them, and small helpers for the document.

/** A number with `digits` significant digits; very small and large ones with an exponent. */
export function number(value, digits = 6) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f").replace("-", "\u2212"); // tables have thousands, which Intl takes a second for
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e7) {
    return value.toExponential(digits - 1).replace(/\.?0+e/, "e").replace("e+", "e").replace("-", "\u2212").replace("e-", "e\u2212");
  }
  return String(Number(value.toPrecision(digits))).replace("-", "\u2212");
}

/** "1 step", "154 steps"; of: "1 of 154 steps". */
export function counted(value, one, many = `${one}s`, of = null) {
  return `${of === null ? "" : `${number(value)} of `}${number(of ?? value)} ${(of ?? value) === 1 ? one : many}`;
}

/** Long words lose their middle: their ends tell runs apart. */
const shorten = (part, most) => (part.length > most ? `${part.slice(0, most / 2 - 1)}…${part.slice(-most / 2)}` : part);

/** A folder by its last two parts. */
function cut(name, most) {
  if (!name.startsWith("file:")) return name.split("/").map((part) => shorten(part, most)).join("/");
  const parts = name.slice(5).split("/").filter(Boolean);
  return `file:${parts.length > 2 ? "…" : ""}/${parts.slice(-2).map((part) => shorten(part, most)).join("/")}`;
}

/** Where a name begins to differ from others, which are not the same. */
const difference = (name, others) => Math.min(...others.map((other) => [...name].findIndex((_, i) => name[i] !== other[i])).map((at) => (at < 0 ? name.length : at)));

let known = []; // names that may stand beside each other
const short = new Map(); // of them: name and room → short name

/** The names that shortName() keeps apart from now on. */
export function tellApart(names) {
  known = names;
  short.clear();
}

/** A model's name where room is short. Of names that would look alike the part is shown in which they differ. */
export function shortName(name, most = 36) {
  const key = `${most} ${name}`;
  if (!short.has(key)) {
    const alike = known.filter((other) => other !== name && cut(other, most) === cut(name, most));
    const first = alike.length ? Math.max(0, Math.min(difference(name, alike) - Math.floor(most / 3), name.length - most)) : 0;
    short.set(key, plain(alike.length ? `…${name.slice(first, first + most)}${first + most < name.length ? "…" : ""}` : cut(name, most)));
  }
  return short.get(key);
}

/** The same for lists beside the charts. */
export const listName = (name) => shortName(name, 26).replace(/^file:/, "");

/** Names as people sort them: seed2 before seed10. */
export const byName = new Intl.Collator("en", { numeric: true }).compare;

/** For axes: as short as possible. */
export function tick(value) {
  const size = Math.abs(value);
  if (size >= 1e4 && size < 1e6) return `${Number((value / 1e3).toPrecision(6))}k`.replace("-", "\u2212");
  if (size >= 1e6 && size < 1e9) return `${Number((value / 1e6).toPrecision(6))}M`.replace("-", "\u2212");
  if (size >= 1e9) return Number(value.toPrecision(6)).toExponential().replace("e+", "e").replace("-", "\u2212");
  if (value !== 0 && size < 1e-3) return Number(value.toPrecision(6)).toExponential().replace("e-", "e\u2212").replace("-", "\u2212");
  return String(Number(value.toPrecision(6))).replace("-", "\u2212");
}

const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

/** A tick of a logarithmic axis: plain between 0.01 and 9999, else 10ⁿ. */
export function powerTick(value) {
  if (value >= 0.01 && value < 1e4) return tick(value);
  const power = Math.floor(Math.log10(value) + 1e-9);
  const front = Math.round(value / 10 ** power);
  const raised = [...String(power)].map((c) => RAISED[c]).join("");
  return `${front === 1 ? "" : `${front}·`}10${raised}`;
}

/** About five even numbers, not nearer to each other than `least`. */
export function evenTicks(low, high, least = 0) {
  const unit = 10 ** Math.floor(Math.log10((high - low) / 5));
  const distance = Math.max([1, 2, 2.5, 5, 10].map((front) => front * unit).find((one) => one * 5.001 >= high - low), least);
  const first = Math.ceil(low / distance - 1e-9);
  return Array.from({ length: 8 }, (_, i) => Number(((first + i) * distance).toPrecision(12))).filter((value) => value <= high * (1 + 1e-9));
}

/** Whole powers; between them 2 and 5 where there are few, and even numbers where there are none. */
export function powerTicks(low, high) {
  const decades = Math.log10(high / low);
  const fronts = decades < 1.1 ? [1, 2, 3, 4, 5, 6, 8] : decades < 2.5 ? [1, 2, 5] : [1];
  const every = Math.max(1, Math.ceil(decades / 7));
  const made = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    if (power % every) continue;
    for (const front of fronts) {
      const value = front * 10 ** power;
      if (value >= low * 0.9999 && value <= high * 1.0001) made.push({ value });
    }
  }
  return made.length > 1 ? made : evenTicks(low, high).map((value) => ({ value, label: tick(value) }));
}

export function bytes(value) {
  if (!Number.isFinite(value)) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value >= 99.95 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

const SKEW_MIN_MS = 5000; // an answer says seconds, and takes some on its way
let skew = 0;

/** What the daemon's clock shows (the header Date of an answer): moments are the daemon's, and the reader's clock may be wrong. */
export function hearTime(text) {
  const found = Date.parse(text) - Date.now();
  if (Number.isFinite(found)) skew = Math.abs(found) < SKEW_MIN_MS ? 0 : found;
}

/** Now, by the daemon's clock. */
export const now = () => Date.now() + skew;

/** How long it is to a moment that is to come. */
export const until = (text) => duration((Date.parse(text) - now()) / 1000);

export function ago(text) {
  const seconds = (now() - Date.parse(text)) / 1000;
  return seconds < 5 ? "just now" : `${duration(seconds)} ago`;
}

/** Parameters of a model: 14.1 M. */
export function count(value) {
  if (!value) return "";
  const units = ["", " k", " M", " B", " T"];
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${Number(value.toPrecision(3))}${units[unit]}`;
}

/** Names come from whoever published the model: what cannot be seen, or turns the direction of writing, does not make one look like another. */
export const plain = (text) => text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, "\ufffd");

/** element("td", {class: "left", onclick: f}, "text", child…) */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || (value === false && !key.startsWith("aria-"))) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "title" || key.startsWith("aria-")) made.setAttribute(key, plain(String(value)));
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false).map((child) => (typeof child === "string" ? plain(child) : child)));
  return made;
}

/** One line of CSV (RFC 4180). */
export function csvLine(cells) {
  return `${cells.map((cell) => {
    const text = cell === null || cell === undefined ? "" : String(cell);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }).join(",")}\r\n`;
}

export function save(name, blob) {
  const address = URL.createObjectURL(blob);
  const link = element("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
