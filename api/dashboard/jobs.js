// Jobs of a cluster: arrays of workers that were submitted for sweeps.

import { ago, element, listName, number } from "./format.js";
import { fillTable } from "./table.js";

const LIVE = new Set(["submitting", "pending", "running"]);
const CHIPS = { submitting: "pending", pending: "pending", running: "running", ended: "done", refused: "failed" };

export const isLive = (job) => LIVE.has(job.state);

/** "3 running, 2 waiting", without what there is none of. */
function elements(job) {
  const parts = [["running", job.running], ["waiting", job.pending], ["done", job.completed], ["failed", job.failed], ["cancelled", job.cancelled]];
  return parts.filter(([, count]) => count > 0).map(([name, count]) => `${number(count)} ${name}`).join(", ") || `${number(job.workers)} asked for`;
}

const name = (job) => (job.id === null ? (job.state === "refused" ? "refused" : "being submitted") : String(job.id));

/** What a sweep's card says of its jobs. */
export function jobLine(jobs) {
  const told = (jobs || []).filter((job) => isLive(job) || job.state === "refused");
  return told.map((job) => `Job ${name(job)}: ${elements(job)}${job.reason ? ` (${job.reason})` : ""}`).join(" · ");
}

/** Those that may hold a node come first, then the newest. */
export function drawJobs(root, sweeps) {
  const jobs = sweeps.flatMap((sweep) => sweep.jobs.map((job) => ({ sweep, job })));
  jobs.sort((a, b) => isLive(b.job) - isLive(a.job) || Date.parse(b.job.submitted_at) - Date.parse(a.job.submitted_at));
  fillTable(root, {
    title: "Slurm jobs",
    heads: ["job", "state", "workers", "sweep", "model", "submitted", "ended", "reason"],
    left: ["job", "state", "workers", "sweep", "model", "reason"],
    rows: jobs.map(({ sweep, job }) => [
      name(job), element("span", { class: `chip ${job.failed && !isLive(job) ? "failed" : CHIPS[job.state]}` }, job.state), elements(job),
      String(sweep.id), element("span", { class: "wrap name", title: sweep.model }, listName(sweep.model)), `${ago(job.submitted_at)}${job.attempts > 1 ? `, attempt ${number(job.attempts)}` : ""}`, job.ended_at ? ago(job.ended_at) : "–",
      element("span", { class: `wrap reason ${job.state === "refused" || job.failed ? "error" : ""}` }, job.reason ?? ""),
    ]),
  });
  return jobs.map(({ job }) => job);
}
