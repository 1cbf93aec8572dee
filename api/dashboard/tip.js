// What is written beside the pointer: the values of all lines at a step, and what the audit says of these revisions.

import { axis } from "./axis.js";
import { element, shortName } from "./format.js";
import { briefly, keyOf } from "./looks.js";

function swatch(shade) {
  const made = element("span", { class: "swatch" });
  made.style.background = shade;
  return made;
}

/** One model: a line for each quantity. */
const plainRows = (read) => read.map(([name, value, shade]) => element("tr", {}, element("td", {}, swatch(shade), name), element("td", {}, value)));

/** Several: a line for each model; of one quantity in the order in which the lines lie. */
function comparedRows(panel, read, names) {
  const found = new Map();
  for (const [name, value, , , model, size] of read) {
    if (!found.has(model)) found.set(model, { size, values: names.map(() => "") });
    found.get(model).values[names.findIndex((key) => name.endsWith(`: ${key}`))] = value;
  }
  const lines = [...found].sort(([one, a], [other, b]) => (names.length === 1 ? b.size - a.size : one.look.place - other.look.place));
  const [, ends] = briefly(panel.models.map((model) => model.name));
  const text = (model) => (ends[0] === panel.models[0].name ? shortName(model.name) : ends[panel.models.indexOf(model)]);
  return lines.map(([model, { values }]) => element("tr", {}, element("td", {}, keyOf(model.look), text(model)), ...values.map((value) => element("td", {}, value))));
}

/** Beside the pointer, and whole within the window: sixteen models are taller than a chart, and wider than a half of one on a phone. */
function place(tip, plot, x) {
  tip.style.left = tip.style.top = "0px"; // as wide as it wants to be
  const { left, top } = plot.getBoundingClientRect();
  const wanted = x > plot.clientWidth / 2 ? x - 12 - tip.offsetWidth : x + 12;
  const right = document.documentElement.clientWidth - 4 - left - tip.offsetWidth;
  tip.style.left = `${Math.max(4 - left, Math.min(wanted, right))}px`;
  tip.style.top = `${Math.max(Math.min(4, window.innerHeight - 4 - top - tip.offsetHeight), 4 - top)}px`;
}

export function fillTip(panel, step, x) {
  const isMany = panel.models.length > 1;
  const read = panel.reading(step);
  const names = [...new Set(panel.shown().map((line) => line.key))];
  const notes = new Set(read.map(([, , , row, model]) => model?.flags.get(row.revision)).filter(Boolean));
  const head = isMany && names.length > 1 ? element("thead", {}, element("tr", {}, element("td", {}), ...names.map((name) => element("td", {}, name)))) : "";
  const body = element("tbody", {}, ...(isMany ? comparedRows(panel, read, names) : plainRows(read)));
  const { tip, plot } = panel;
  tip.classList.toggle("compared", isMany);
  tip.replaceChildren(element("b", {}, axis.words(step)), element("table", {}, head, body), ...[...notes].map((text) => element("div", { class: "flag" }, text)));
  place(tip, plot, x);
}
