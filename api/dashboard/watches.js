// The list of watched models: when each is looked at next, and what the last look found.

import { getIfThere } from "./api.js";
import { ago, duration, element, number, shortName } from "./format.js";

function times(watch) {
  const left = (Date.parse(watch.next_run_at) - Date.now()) / 1000;
  const often = watch.every_minutes ? `every ${duration(watch.every_minutes * 60)}` : `every day at ${watch.at}`;
  return `${often} · next ${left > 0 ? `in ${duration(left)}` : "now"}`;
}

function found(watch) {
  const run = watch.last_run;
  if (!run) return "not looked at yet";
  const parts = ["new", "moved", "gone"].filter((kind) => run[kind]?.count).map((kind) => `${number(run[kind].count)} ${kind}`);
  if (run.unfinished?.length) parts.push(`${number(run.unfinished.length)} unfinished`);
  if (run.error) parts.push(run.error.message);
  const outcome = run.outcome === "sweeping" ? `swept ${number(run.swept)}` : run.outcome;
  return [`${outcome} ${ago(watch.last_run_at)}`, ...parts].join(" · ");
}

export async function refreshWatches(section) {
  const page = await getIfThere("/v1/watches?limit=100");
  const watches = page?.watches ?? [];
  section.hidden = !watches.length;
  section.querySelector("div").replaceChildren(...watches.map((watch) =>
    element("article", { class: "sweep", "data-model": watch.model, "aria-label": `Watch of ${watch.model}` },
      element("div", { class: "name", title: watch.model }, shortName(watch.model)),
      element("div", { class: "muted" }, times(watch)),
      element("div", { class: "muted" }, found(watch)))));
}
