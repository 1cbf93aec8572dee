// The list of models at the side: which the daemon knows, and which of them are shown.

import { all } from "./api.js";
import { count, counted, element, listName, tellApart } from "./format.js";
import { bySize, keyOf, looksOf } from "./looks.js";
import { hush, say } from "./notice.js";
import { oneStop } from "./stops.js";
import { renewChildren } from "./table.js";
import { learnUnits } from "./units.js";
import { SHOWN_MAX, view } from "./view.js";

const byId = (id) => document.getElementById(id);
let models = []; // as the daemon lists them, the smallest first
let told = { chosen: async () => {} };

export const isKnown = (name) => models.some((model) => model.name === name);

/** Whether anything is measured of a model. */
export const isMeasured = (name) => models.some((model) => model.name === name && model.measured_count > 0);

const settleModels = oneStop(byId("models"), () => [...byId("models").querySelectorAll("input")], (all) => all.find((box) => box.checked) ?? all[0]);

/** Models that an address names and the daemon does not know stand there, too, so that they can be left out. */
export function drawModels() {
  const wanted = byId("filter").value.trim().toLowerCase();
  byId("filter").hidden = models.length < 9;
  const unknown = view.models.filter((name) => !isKnown(name)).map((name) => ({ name }));
  const found = [...models, ...unknown].filter((model) => model.name.toLowerCase().includes(wanted));
  const looks = looksOf(view.models);
  const lines = found.map((model) => {
    const sign = looks.has(model.name) ? keyOf(looks.get(model.name)) : null;
    const point = (model.step_unit ?? "steps") === "steps" ? "step" : "revision";
    const measured = model.measured_count === model.revision_count ? counted(model.revision_count, point) : `${counted(model.measured_count, point, `${point}s`, model.revision_count)} measured`;
    const facts = [model.parameter_count ? `${count(model.parameter_count)} parameters` : null, model.revision_count === undefined ? "not known here" : measured];
    const box = element("input", { type: "checkbox", value: model.name, onchange: (event) => choose(model.name, event.target.checked) });
    return element("label", { class: "model", "data-key": model.name }, box, element("span", { class: "name", title: model.name }, sign, listName(model.name)), element("span", { class: "facts" }, facts.filter(Boolean).map((part) => part.replaceAll(" ", "\u00a0")).join(" · ")));
  });
  const list = byId("models");
  const isFirst = !list.childElementCount;
  renewChildren(list, lines.length ? lines : [element("p", { class: "muted" }, models.length ? "No name matches." : "None measured yet.")]);
  for (const box of list.querySelectorAll("input")) box.checked = view.models.includes(box.value);
  settleModels();
  if (isFirst) list.scrollTop = (list.querySelector(".model:has(:checked)")?.offsetTop ?? 0) - list.offsetTop; // on a phone the list is short
  renewChildren(byId("known-models"), models.map((model) => element("option", { value: model.name })));
}

export async function choose(name, isOn) {
  hush("act");
  view.models = view.models.filter((model) => model !== name);
  view.hidden.delete(name);
  if (view.lit === name) view.lit = null;
  if (isOn) view.models.push(name);
  if (view.models.length > SHOWN_MAX) {
    const left = view.models.shift();
    say("act", `At most ${SHOWN_MAX} models at once: ${listName(left)} is not shown any more.`);
  }
  drawModels();
  await told.chosen(isOn ? name : null);
}

let askedModels = 0;
export async function listModels() {
  const turn = ++askedModels;
  const found = await all("/v1/models?limit=1000", "models");
  if (turn !== askedModels) return; // a later answer is newer
  models = found.sort((a, b) => bySize(a.name, b.name));
  tellApart(models.map((model) => model.name));
  learnUnits(models);
  if (!view.models.length && models.length) view.models = [models.find((model) => model.measured_count > 0)?.name ?? models[0].name];
  drawModels();
}

/** chosen(name) once another model is shown, or (null) one less. */
export function setUpModels(page) {
  told = page;
  byId("filter").addEventListener("input", drawModels);
}
