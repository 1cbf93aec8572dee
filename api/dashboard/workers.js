// Who measures: the daemon's own workers and those that connected to it, and what each works at.

import { ago, bytes, duration, element, now, number } from "./format.js";
import { fillTable } from "./table.js";

const SILENT_S = 90; // longer than a lease and a wait for work

const isSilent = (worker) => !worker.is_local && (!worker.last_seen_at || (now() - Date.parse(worker.last_seen_at)) / 1000 > SILENT_S);

function state(worker) {
  if (isSilent(worker)) return element("span", { class: "chip warning", title: "Its revisions go to others once their leases end" }, "silent");
  if (worker.hub_problem) return element("span", { class: "chip warning", title: worker.hub_problem }, "no hub");
  return worker.running ? element("span", { class: "chip running" }, "working") : element("span", { class: "chip unmeasured" }, "idle");
}

function device(worker, own) {
  if (worker.is_local) return own.daemon.device ?? "–";
  return worker.device ? `${worker.device}${worker.backend && worker.backend !== worker.device ? ` (${worker.backend})` : ""}` : "–";
}

function tasks(worker) {
  if (!worker.tasks.length) return "–";
  return element("ul", { class: "lines" }, ...worker.tasks.map((task) =>
    element("li", {}, `${task.revision} of sweep ${task.sweep}`, element("span", { class: "muted" }, ` · for ${duration(Math.max(0, now() - Date.parse(task.claimed_at)) / 1000)}${task.bytes_fetched ? `, ${bytes(task.bytes_fetched)}` : ""}`))));
}

/** Draws the table, and gives { there, working, silent } of the remote ones. own: the status of the daemon, whose workers are there, too. */
export function drawWorkers(root, workers, own) {
  const order = (worker) => (worker.is_local ? 0 : isSilent(worker) ? 1 : 2);
  const sorted = [...workers].sort((a, b) => order(a) - order(b) || b.running - a.running || (a.name < b.name ? -1 : 1));
  fillTable(root, {
    title: "Workers",
    heads: ["worker", "state", "works at", "device", "version", "recorded", "failed", "last seen"],
    left: ["worker", "state", "works at", "device", "version"],
    rows: sorted.map((worker) => [
      worker.is_local ? "this daemon" : worker.name, state(worker), tasks(worker),
      device(worker, own), worker.is_local ? own.version : worker.version ?? "–",
      worker.is_local ? "–" : number(worker.recorded),
      worker.is_local ? "–" : element("span", { class: worker.failed ? "error" : "" }, number(worker.failed)),
      worker.is_local ? "now" : worker.last_seen_at ? ago(worker.last_seen_at) : "never",
    ]),
  });
  const remote = workers.filter((worker) => !worker.is_local);
  return { there: remote.length, working: remote.filter((worker) => worker.running && !isSilent(worker)).length, silent: remote.filter(isSilent).length };
}
