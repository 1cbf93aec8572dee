// How models are told apart, in charts, legends and tables alike: by the colour of their lines and the shape of their points. Of a suite the
// families differ in hue, and sizes in lightness and shape: the larger, the stronger, the same for the same size of every family. Other models
// have colours that differ in lightness, too, and each eight of them other shapes. No two of sixteen are alike in both, neither for people
// who cannot tell red from green, nor for those who cannot tell blue from yellow.

import { isDark } from "./colours.js";
import { byName } from "./format.js";

const PALETTE = {
  light: ["#0b62b8", "#d1570a", "#111827", "#1d97a8", "#8e44ad", "#8a6d00", "#d0488a", "#6b7280"],
  dark: ["#5aa9ff", "#ff9a57", "#f3f4f6", "#35d3c0", "#c79bff", "#e3c04a", "#ff8fc4", "#9aa4b2"],
};
/** From the smallest size to the largest, for each family; and for a family alone, which has all hues to itself. */
const RAMPS = {
  light: [["#3d8fd1", "#1560b0", "#08287a"], ["#dd7312", "#b04a08", "#531c03"], ["#8a8f98", "#565c66", "#14181f"], ["#c46bd0", "#8e2fa0", "#42104d"]],
  dark: [["#2f74c8", "#5aa9ff", "#a6d0ff"], ["#b5611a", "#f08f45", "#ffc48c"], ["#79828f", "#b1bac6", "#f6f7f9"], ["#a04fb8", "#d486e6", "#f9d9ff"]],
};
const ALONE = { light: ["#c27b00", "#cf4e2a", "#a3217c", "#4b11a0", "#0f083f"], dark: ["#8a5cf0", "#c44fc0", "#ee6a6a", "#fba23c", "#f6ef5e"] };
/** Points as Chart.js names them, and what draws the same in a key; the hollow diamond belongs to the audit. */
const MARKERS = [
  { style: "circle", path: "M16 6a3 3 0 1 1-6 0 3 3 0 1 1 6 0Z" },
  { style: "rect", path: "M10.2 3.2h5.6v5.6h-5.6Z" },
  { style: "triangle", path: "M13 2.4 16.4 8.2H9.6Z" },
  { style: "crossRot", path: "M10.4 3.4 15.6 8.6M15.6 3.4 10.4 8.6", isOpen: true },
  { style: "circle", path: "M16 6a3 3 0 1 1-6 0 3 3 0 1 1 6 0Z", isHollow: true },
  { style: "triangle", turn: 180, path: "M13 9.6 9.6 3.8h6.8Z" },
  { style: "cross", path: "M13 2.5v7M9.5 6h7", isOpen: true },
  { style: "rect", path: "M10.2 3.2h5.6v5.6h-5.6Z", isHollow: true },
];
const HUES = RAMPS.light.length;
const UNITS = { k: 1e3, m: 1e6, b: 1e9, t: 1e12 };

/** "pythia-1.4b-deduped" is of the family "pythia--deduped"; size 0: the name tells none. */
function sized(name) {
  const found = /(?<![a-z0-9.])(\d+(?:\.\d+)?)([kmbt])(?![a-z0-9])/i.exec(name);
  if (!found) return { family: name, size: 0 };
  return { family: name.slice(0, found.index) + name.slice(found.index + found[0].length), size: Number(found[1]) * UNITS[found[2].toLowerCase()] };
}

/** Families together, in each the smallest first. */
export function bySize(name, other) {
  const [one, two] = [sized(name), sized(other)];
  return byName(one.family, two.family) || one.size - two.size || byName(name, other);
}

const distinct = (values) => [...new Set(values)];

/** What of a name is told by the hue (`groups`), and what by lightness and shape (`ranks`); null where names do not say. */
function suite(names) {
  const parts = names.map(sized);
  const families = distinct(parts.map((one) => one.family));
  const sizes = distinct(parts.map((one) => one.size)).sort((a, b) => a - b);
  if (distinct(parts.map((one) => `${one.size} ${one.family}`)).length < names.length) return null;
  if (families.length <= HUES && families.length < names.length) {
    return { groups: families, ranks: sizes, of: parts.map((one) => [families.indexOf(one.family), sizes.indexOf(one.size)]) };
  }
  if (sizes.length < 2 || sizes.length > HUES || sizes.length === names.length || sizes[0] === 0) return null;
  families.sort(byName); // many seeds of few sizes
  return { groups: sizes, ranks: families, of: parts.map((one) => [sizes.indexOf(one.size), families.indexOf(one.family)]) };
}

/** Between two colours, or more, as #rrggbb; share: 0 to 1. */
function between(stops, share) {
  const at = share * (stops.length - 1);
  const low = Math.min(Math.floor(at), stops.length - 2);
  const parts = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  const [from, to] = [parts(stops[low]), parts(stops[low + 1])];
  return `#${from.map((value, i) => Math.round(value + (to[i] - value) * (at - low)).toString(16).padStart(2, "0")).join("")}`;
}

/** name → { colour, marker, place }; place: where it stands in a legend. */
export function looksOf(names) {
  const mode = isDark() ? "dark" : "light";
  const found = suite(names);
  const look = (name, i) => {
    if (!found) return { colour: PALETTE[mode][i % 8], marker: MARKERS[(i + 2 * Math.floor(i / 8)) % 8], place: i };
    const [group, rank] = found.of[i];
    const ramp = found.groups.length === 1 ? ALONE[mode] : RAMPS[mode][group];
    return {
      colour: between(ramp, found.ranks.length > 1 ? rank / (found.ranks.length - 1) : 0.5),
      marker: MARKERS[(rank + (group === 3 ? 4 : 0)) % 8], place: group * names.length + rank, // the fourth hue is near to others for some
    };
  };
  return new Map(names.map((name, i) => [name, look(name, i)]));
}

/** A piece of the model's line with one of its points. */
export function keyOf({ colour, marker }) {
  const draw = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const key = draw("svg", { class: "sign", viewBox: "0 0 26 12", width: 26, height: 12, "aria-hidden": "true" });
  key.append(draw("path", { d: "M0 6H26", stroke: colour, "stroke-width": 1.8 }),
    draw("path", { d: marker.path, stroke: colour, "stroke-width": 1.4, class: marker.isHollow ? "hollow" : "", fill: marker.isOpen ? "none" : colour }));
  return key;
}

/** Only what tells these names apart: [what they begin with, ends of the names]; cut where a word ends. */
export function briefly(names) {
  let head = names.length > 1 ? names[0] : "";
  for (const name of names) while (!name.startsWith(head)) head = head.slice(0, -1);
  head = head.replace(/[^/_ -]*$/, "");
  return names.every((name) => name.length > head.length) ? [head, names.map((name) => name.slice(head.length))] : ["", names];
}
