// How the service itself fares: queue and devices, workers, jobs of a cluster, watches with their webhooks, tokens. Asked for only
// while the section is near the window, and hardly seen where there is nothing of all that.

import { all, get, turns } from "./api.js";
import { ago, bytes, counted, element, number, until } from "./format.js";
import { drawJobs, isLive } from "./jobs.js";
import { wholeSweeps } from "./sweeps.js";
import { renewChildren } from "./table.js";
import { drawWatches, refreshWatches } from "./watches.js";
import { drawWorkers } from "./workers.js";

const byId = (id) => document.getElementById(id);
let isNear = false;
let devices = null; // they stay what they are while the daemon runs
const turn = turns();

function fact(name, value, title = null) {
  return element("div", { title }, element("dt", {}, name), element("dd", {}, value));
}

/** CUDA that is absent is a fact worth a reason, where one looks for it. */
function device() {
  const list = devices.devices;
  const used = list.find((one) => one.is_used) ?? list.find((one) => one.is_available);
  const absent = list.filter((one) => !one.is_available).map((one) => `${one.name}: ${one.reason}`);
  return fact("Device", used ? used.name.toUpperCase() : "none", [used?.description, ...absent].filter(Boolean).join("; "));
}

/** Which of the daemon's requests to the hub wait, and for what. */
function hub({ hub: wait }) {
  if (!wait) return null;
  const reason = { request_budget: "request-budget of this daemon", rate_limit: "rate limit of the hub", retry_after: "pause that the hub asks for" }[wait.reason];
  if (wait.reason === "cache_budget") return fact("Hub", `${counted(wait.waiting_requests, "download waits", "downloads wait")} for the cache budget`, wait.detail);
  if (wait.detail) return fact("Hub", element("span", { class: "error" }, `down, asked again in ${until(wait.waiting_until)}`), wait.detail);
  return fact("Hub", wait.waiting_until ? `waits ${until(wait.waiting_until)}: ${reason}` : "no wait", wait.waiting_until ? counted(wait.waiting_requests, "request waits", "requests wait") : null);
}

function drawFacts(status) {
  const { tasks, daemon } = status;
  const { disk, slurm } = daemon;
  const facts = [
    fact("Queue", tasks.queued || tasks.running ? `${number(tasks.queued)} waiting, ${number(tasks.running)} running` : "empty"),
    Number.isFinite(daemon.workers) && fact("Workers here", daemon.workers ? `${number(daemon.busy_workers)} of ${number(daemon.workers)} busy` : "none: others measure"),
    device(),
    slurm && fact("Slurm", `${number(slurm.workers_running)} running, ${number(slurm.workers_pending)} waiting, at most ${number(slurm.workers_max)}`),
    hub(daemon),
    fact("Database", bytes(status.database_bytes)),
    disk && fact("Disk", disk.is_full ? element("span", { class: "error" }, `full: ${bytes(disk.free_bytes)} free`) : `${bytes(disk.free_bytes)} of ${bytes(disk.size_bytes)} free`),
    fact("Version", status.version),
    fact("Started", ago(status.started_at)),
  ];
  renewChildren(byId("daemon-facts"), [...facts.filter(Boolean),
    ...(slurm?.error ? [element("div", {}, element("dt", {}, "Slurm does not answer"), element("dd", { class: "error" }, slurm.error))] : [])]);
}

function summary({ status, workers, jobs, watches }) {
  const live = jobs.filter(isLive);
  const parts = [];
  const isIdle = status.daemon.workers === 0 && !status.daemon.slurm && workers.there === workers.silent && !live.length;
  if (isIdle && status.tasks.queued) parts.push(`No worker takes tasks from the queue: bifurcated worker --connect ${location.origin}`);
  if (workers.there) parts.push(`${counted(workers.there, "remote worker")}, ${number(workers.working)} working${workers.silent ? `, ${number(workers.silent)} silent` : ""}`);
  if (live.length) parts.push(`${counted(live.length, "job")} in the cluster`);
  if (watches.there) parts.push(`${counted(watches.there, "watch", "watches")}${watches.failing ? `, ${number(watches.failing)} with a failure` : ""}`);
  return parts.join(" · ") || "No remote worker, no job and no watch.";
}

/** Fetches and draws all of it, if it is near the window. */
export async function refreshOperations() {
  if (!isNear || document.hidden) return;
  const isNewer = turn();
  const [status, workers, sweeps] = await Promise.all([get("/v1/status"), all("/v1/workers", "workers"), wholeSweeps(), refreshWatches(byId("watches"))]);
  if (devices?.of !== status.started_at) devices = { ...await get("/v1/devices"), of: status.started_at };
  if (!isNewer()) return;
  drawFacts(status);
  const drawn = { status, workers: drawWorkers(byId("workers"), workers, status), jobs: drawJobs(byId("jobs"), sweeps), watches: drawWatches(byId("watched")) };
  const text = summary(drawn);
  if (byId("operations-summary").textContent !== text) byId("operations-summary").textContent = text;
}

export function setUpOperations(fail) {
  const section = byId("operations");
  new IntersectionObserver(([entry]) => {
    isNear = entry.isIntersecting;
    refreshOperations().catch(fail);
  }, { rootMargin: "300px" }).observe(section);
  byId("to-operations").addEventListener("click", async () => {
    section.focus({ preventScroll: true });
    section.scrollIntoView();
    isNear = true;
    await refreshOperations().catch(fail);
    section.scrollIntoView(); // it has grown
  });
}
