// Which line is which model: one legend for all charts, which stays in the window. Each name hides its model or brings it back, the star
// beside it lets it stand out for good; the name that is pointed at, or reached by the keyboard, stands out meanwhile. One stop of the
// Tab key for all of it, arrows within, as toolbars have it (WAI-ARIA).

import { element, listName } from "./format.js";
import { briefly, keyOf } from "./looks.js";
import { renewChildren } from "./table.js";
import { isHidden, view } from "./view.js";

const REST_MS = 60; // the pointer only passes by
const MOST = 36; // letters of a name: longer ones would take the room of the charts
const root = document.getElementById("legend");
const all = document.getElementById("show-all");
let pointed = null; // the model that stands out while it is pointed at
let timer = 0;
let tell = { changed() {}, lit() {} };

/** The model that stands out, or null. */
export function lit() {
  const name = pointed ?? view.lit;
  return view.models.length > 1 && view.models.includes(name) && !isHidden(name) ? name : null;
}

function hide(name) {
  if (!view.hidden.delete(name)) view.hidden.add(name);
  if (view.lit === name) view.lit = null;
  tell.changed();
}

function light(name) {
  view.lit = view.lit === name ? null : name;
  view.hidden.delete(name);
  tell.changed();
}

function showAll() {
  view.hidden.clear();
  view.lit = null;
  pointed = null;
  tell.changed();
  root.querySelector("button")?.focus(); // the button that was pressed is gone
}

function entry(model, text) {
  const { name, look } = model;
  return element("span", { class: "entry", "data-key": name, "data-model": name },
    element("button", { type: "button", class: "plain", tabindex: -1, title: name, "aria-pressed": !isHidden(name), onclick: () => hide(name) }, keyOf(look), text),
    element("button", { type: "button", class: "plain star", tabindex: -1, title: "Let it stand out", "aria-label": `Let ${name} stand out`, "aria-pressed": view.lit === name, onclick: () => light(name) }, view.lit === name ? "★" : "☆"));
}

/** models: [{ name, look }] of all that is chosen. */
export function drawLegend(models) {
  root.hidden = models.length < 2;
  all.hidden = view.lit === null && !models.some((model) => isHidden(model.name));
  if (root.hidden) {
    root.replaceChildren();
    return;
  }
  const sorted = [...models].sort((a, b) => a.look.place - b.look.place);
  const names = sorted.map((model) => model.name), brief = briefly(names);
  const [head, ends] = brief[1].some((end) => end.length > MOST) ? ["", names.map(listName)] : brief;
  renewChildren(root, [
    element("span", { class: "muted head", title: head, hidden: !head }, `${head}…`),
    ...sorted.map((model, i) => entry(model, ends[i])),
  ]);
  const buttons = [...root.querySelectorAll("button")];
  (buttons.find((one) => one === document.activeElement) ?? buttons[0]).tabIndex = 0;
}

function point(name) {
  clearTimeout(timer);
  if (name === pointed) return;
  timer = setTimeout(() => {
    pointed = name;
    tell.lit();
  }, REST_MS);
}

function onKey(event) {
  const buttons = [...root.querySelectorAll("button")];
  const at = buttons.indexOf(document.activeElement);
  const go = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (go === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  buttons[(go + buttons.length) % buttons.length].focus();
}

/** told.changed(): another choice; told.lit(): another model stands out. */
export function setUpLegend(told) {
  tell = told;
  const modelOf = (target) => target.closest?.("[data-model]")?.dataset.model ?? null;
  all.addEventListener("click", showAll);
  root.addEventListener("keydown", onKey);
  root.addEventListener("focusin", ({ target }) => {
    for (const button of root.querySelectorAll("button")) button.tabIndex = button === target ? 0 : -1;
    if (target.matches(":focus-visible")) point(modelOf(target));
  });
  root.addEventListener("focusout", () => point(null));
  root.addEventListener("pointerover", (event) => { if (event.pointerType !== "touch") point(modelOf(event.target)); });
  root.addEventListener("pointerleave", () => point(null));
}
