// What is shown, kept in the address so that a link restores it.

// The first of each holds until another is chosen: of rows and values what verdicts are of.
const CHOICES = { rows: ["tokens", "all"], values: ["centred", "raw"], axis: ["log", "linear"], count: ["names", "tokens"], law: ["tokens", "steps", "words", "epochs", "checkpoints"] };

/** So many models can be told apart, and so many requests at once do not trouble the daemon. */
export const SHOWN_MAX = 16;

export const view = {
  models: [], // names
  hidden: new Set(), // those of them that have no line in the charts
  lit: null, // the one of them that stands out
  picture: null, // the one of them whose pictures are shown; null: the first
  tensor: null, // its name; null: of each model the unembedding
  rows: "tokens",
  values: "centred",
  axis: "log",
  count: "names", // what the axis counts: what the names of revisions do, or tokens of training
  law: "tokens", // the unit of the law over sizes
  from: null, // steps, in what the axis counts, or null for the whole run
  to: null,
  wide: null, // panels that the reader widened or narrowed: Set of ids
};

function step(text) {
  return text !== null && /^\d{1,16}$/.test(text) ? Number(text) : null;
}

export function readView() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const [name, choices] of Object.entries(CHOICES)) {
    view[name] = choices.includes(given.get(name)) ? given.get(name) : choices[0];
  }
  view.tensor = given.get("tensor") || null;
  view.models = [...new Set(given.getAll("model"))].slice(0, SHOWN_MAX);
  view.picture = given.get("picture");
  view.hidden = new Set(given.getAll("hidden").filter((name) => view.models.includes(name)));
  view.lit = view.models.find((name) => name === given.get("highlight")) ?? null;
  view.from = step(given.get("from"));
  view.to = step(given.get("to"));
  if (view.from !== null && view.to !== null && view.from >= view.to) view.from = view.to = null;
  view.wide = new Set((given.get("turned") || "").split(".").filter(Boolean));
}

export function writeView() {
  const named = (word, model) => `${word}=${encodeURIComponent(model).replaceAll("%2F", "/")}`;
  const words = view.models.map((model) => named("model", model));
  if (view.tensor !== null) words.push(named("tensor", view.tensor));
  for (const [name, choices] of Object.entries(CHOICES)) {
    if (view[name] !== choices[0]) words.push(`${name}=${view[name]}`);
  }
  if (view.picture && pictured() === view.picture && view.picture !== view.models[0]) words.push(named("picture", view.picture));
  words.push(...view.models.filter(isHidden).map((model) => named("hidden", model)));
  if (view.lit !== null) words.push(named("highlight", view.lit));
  if (view.from !== null) words.push(`from=${view.from}`);
  if (view.to !== null) words.push(`to=${view.to}`);
  if (view.wide.size) words.push(`turned=${[...view.wide].join(".")}`);
  const hash = words.length ? `#${words.join("&")}` : "#";
  if (hash !== location.hash) history.replaceState(null, "", hash);
}

/** An address of results, of the chosen tensor. */
export const ofTensor = (path) => (view.tensor === null ? path : `${path}${path.includes("?") ? "&" : "?"}tensor=${encodeURIComponent(view.tensor)}`);

/** One model alone is always seen. */
export const isHidden = (model) => view.models.length > 1 && view.hidden.has(model);

/** The model whose map, quantiles, trajectories and two-time displacement are shown. */
export const pictured = () => (view.models.includes(view.picture) ? view.picture : view.models[0]);

/**
 * What of the choice a panel depends on, in words and for the names of files. by: "rows and values" as statistics, "rows" as
 * displacements, "entries" of token rows as stored, "nothing" of the tensor's at all.
 */
export function chosen(by) {
  const isTokens = view.rows === "tokens" && (by === "rows" || by === "rows and values");
  const isCentred = view.values === "centred" && by === "rows and values";
  const values = by === "rows and values" ? (isCentred ? "around column means" : "as stored") : null;
  const rows = { entries: "token rows", nothing: null }[by];
  const tensor = by === "nothing" ? null : view.tensor;
  return {
    words: [tensor, rows === undefined ? (isTokens ? "token rows" : "all rows") : rows, values].filter(Boolean).join(", "),
    ending: `${tensor ? `_${tensor.replace(/[^A-Za-z0-9]+/g, "-")}` : ""}${isTokens ? "_tokens" : ""}${isCentred ? "_centred" : ""}`,
  };
}

/** The column of a statistic for the chosen rows and values. */
export const statistic = (name) =>
  `${view.rows === "tokens" ? "tokens_" : ""}${view.values === "centred" ? "centred_" : ""}${name}`;

/** The column of a displacement for the chosen rows. */
export const moved = (name) => (view.rows === "tokens" ? `tokens_${name}` : name);
