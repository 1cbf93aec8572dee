// In place of the charts, where there are none: the numbers of revisions without a step, such as main; why there is nothing to draw,
// and what to do.

import { element, shortName } from "./format.js";
import { numbers } from "./revisions.js";
import { failure, isAtWork, openForm } from "./sweeps.js";
import { renewChildren } from "./table.js";
import { view } from "./view.js";

/** What is measured of a revision that has no place on the axis of steps. */
function card(model, row) {
  const facts = numbers().map(([name, pick]) => [name === "MSD" && row.reference ? `MSD from ${row.reference}` : name, pick(row)]).filter(([, text]) => text !== "–");
  const title = `${row.revision} of ${shortName(model.name)}`;
  return element("section", { class: "card verdict", "aria-label": title }, element("h3", { title: model.name }, title),
    element("dl", { class: "facts-list" }, ...facts.map(([name, text]) => element("div", {}, element("dt", {}, name), element("dd", {}, text)))));
}

function lines(shown) {
  if (isAtWork(view.models)) return [element("p", {}, "A sweep is running. The charts appear with its first revision; there is nothing to do.")];
  const [model] = view.models;
  const isStepless = shown.length > 0 && shown.every(({ all }) => all.length && all.every((row) => row.step === null));
  if (isStepless) return [element("p", {}, "No revision of this model has a training step in its name: there is nothing to draw over training.")];
  const start = element("button", { type: "button", onclick: () => openForm({ model: view.models[0] }) }, "Start a sweep");
  const why = model && failure(model);
  return [why && element("p", { class: "error" }, `Its last sweep failed: ${why}`), element("p", {}, model ? "No training step of this model is measured yet." : "No model is measured yet. Start a sweep to measure the revisions that a model publishes."), start,
    element("p", { class: "muted" }, "Or on the command line: ", element("code", {}, `bifurcate sweep ${model ?? "EleutherAI/pythia-14m"} --follow`))].filter(Boolean);
}

/** shown: the models, none of which has a chart; null: there are charts, or there will be. */
export function drawOverview(shown) {
  const cards = (shown ?? []).flatMap((model) => model.all.filter((row) => row.step === null && row.state === "measured").map((row) => card(model, row)));
  renewChildren(document.getElementById("overview"), shown ? [...cards, element("div", { class: "card empty" }, ...lines(shown))] : []);
}
