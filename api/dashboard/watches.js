// Watched models: when each is looked at next, what the last look found, what its webhook was told; and changes of them.

import { confirmed, withToken } from "./access.js";
import { all, Problem, turns, watchPath, write } from "./api.js";
import { clean, onSubmit } from "./form.js";
import { ago, counted, duration, element, listName, now, number, shortName, until } from "./format.js";
import { fillTable, renewChildren } from "./table.js";

const byId = (id) => document.getElementById(id);
const MAY = "read,sweep";
const EVENTS = { "sweep.finished": "sweep ended", "onset.found": "onset", "stopping.recommended": "could stop", "audit.finding": "audit" };
let watches = [];
const listTurn = turns();
let changed = async () => {}; // after one was changed
let complain = () => {};
let say = () => {};

const often = (watch) => (watch.every_minutes ? `every ${duration(watch.every_minutes * 60)}` : `every day at ${watch.at}`);
const next = (watch) => (Date.parse(watch.next_run_at) > now() ? `in ${until(watch.next_run_at)}` : "now");

/** "swept 25 in sweep 7 (done)" */
function sweptIn({ last_run: run, last_sweep: sweep, last_sweep_state: state }) {
  const end = state ? ` (${state})` : "";
  return `swept ${number(run.swept)}${sweep ? ` in sweep ${sweep}${end}` : ""}`;
}

const SAID = { waiting: "waits for the first checkpoint; looked", missing: "there is no such model; looked" };
const isFailing = (watch) => ["failed", "missing"].includes(watch.last_run?.outcome);

function found(watch) {
  const run = watch.last_run;
  if (!run) return "not looked at yet";
  const parts = ["new", "moved", "gone"].filter((kind) => run[kind]?.count).map((kind) => `${number(run[kind].count)} ${kind}`);
  if (run.unfinished?.length) parts.push(`${number(run.unfinished.length)} unfinished`);
  if (run.gated) parts.push(`${counted(run.gated.count, "waits", "wait")} for access: ${run.gated.reason}`);
  if (run.untried) parts.push(`${counted(run.untried.count, "revision")} not tried again by the watch as it is, only by a sweep: ${run.untried.reason}`);
  if (run.error) parts.push(run.error.message);
  if (watch.last_sweep_error) parts.push(watch.last_sweep_error);
  const outcome = run.outcome === "sweeping" ? sweptIn(watch) : SAID[run.outcome] ?? run.outcome;
  return [`${outcome} ${ago(watch.last_run_at)}`, ...parts].join(" · ");
}

/** What a webhook has been told of late: { failed, pending, text }. */
function told(watch) {
  const list = watch.webhook?.deliveries ?? [];
  const count = (state) => list.filter((one) => one.state === state).length;
  const parts = [["delivered", count("delivered")], ["waiting", count("pending")], ["given up", count("failed")]].filter(([, many]) => many);
  return { failed: count("failed"), pending: count("pending"), text: parts.map(([name, many]) => `${number(many)} ${name}`).join(", ") || "nothing sent yet" };
}

function deliveryLine(one) {
  const parts = [EVENTS[one.event] ?? one.event, ago(one.created_at)];
  if (one.state === "pending") parts.push(one.next_attempt_at && one.attempts ? `again in ${until(one.next_attempt_at)}` : "waits");
  if (one.attempts > 1) parts.push(`${number(one.attempts)} attempts`);
  if (one.error) parts.push(one.error);
  else if (one.status) parts.push(`status ${one.status}`);
  const chips = { delivered: "done", pending: "pending", failed: "failed" };
  return element("li", {}, element("span", { class: `chip ${chips[one.state]}` }, one.state === "failed" ? "given up" : one.state), ` ${parts.join(" · ")}`);
}

function webhook(watch) {
  if (!watch.webhook) return "–";
  const sum = told(watch);
  const lines = watch.webhook.deliveries.map(deliveryLine);
  return element("div", {}, element("div", {}, watch.webhook.url),
    lines.length ? element("details", { "data-key": `told ${watch.model}` }, element("summary", { class: sum.failed ? "error" : "muted" }, sum.text), element("ul", { class: "lines" }, ...lines)) : element("span", { class: "muted" }, sum.text));
}

/** The short list beside the charts. */
function drawList(section) {
  section.hidden = !watches.length;
  renewChildren(section.querySelector("div"), watches.map((watch) => {
    const sum = told(watch);
    return element("article", { class: "sweep", "data-model": watch.model, "aria-label": `Watch of ${watch.model}` },
      element("div", { class: "name", title: watch.model }, listName(watch.model)),
      element("div", { class: "muted" }, `${often(watch)} · next ${next(watch)}`),
      element("div", { class: isFailing(watch) ? "error" : "muted" }, found(watch)),
      sum.failed > 0 && element("div", { class: "error" }, `Webhook: ${sum.text}`));
  }));
}

export async function refreshWatches(section) {
  const isNewer = listTurn();
  const found = await all("/v1/watches?limit=1000", "watches");
  if (!isNewer()) return;
  watches = found;
  drawList(section);
}

/** Draws the table, and gives { there, failing }. */
export function drawWatches(root) {
  const button = (text, watch, label, act) => element("button", { type: "button", class: "plain", "data-key": `${text} ${watch.model}`, "aria-label": `${label} ${watch.model}`, onclick: () => act(watches.find((one) => one.model === watch.model) ?? watch).catch(complain) }, text);
  fillTable(root, {
    title: "Watches",
    heads: ["model", "looks", "next", "last look", "webhook", ""],
    left: ["model", "looks", "next", "last look", "webhook"],
    rows: watches.map((watch) => [
      element("span", { class: "wrap name", title: watch.model }, listName(watch.model)), often(watch), next(watch),
      element("span", { class: `wrap ${isFailing(watch) ? "error" : ""}` }, found(watch)), webhook(watch),
      element("div", { class: "buttons" }, button("Look now", watch, "Look now at", look), button("Change", watch, "Change the watch of", async () => openWatch(watch)), button("Stop", watch, "Stop watching", stop)),
    ]),
  });
  return { there: watches.length, failing: watches.filter((watch) => isFailing(watch) || told(watch).failed > 0).length };
}

// -- Changes -------------------------------------------------------------------------------------

async function look(watch) {
  await withToken({ what: "look at a model now", scopes: MAY }, (trial) => write("POST", `${watchPath(watch.model)}/runs`, undefined, trial));
  say(`${watch.model} is looked at`);
  await changed();
}

async function stop(watch) {
  const text = `Its new revisions are not swept any more${watch.webhook ? ", and its webhook is told nothing more" : ""}. What is measured stays.`;
  if (!await confirmed(`Stop watching ${shortName(watch.model)}?`, text, "Stop watching")) return;
  await withToken({ what: "stop watching a model", scopes: MAY }, (trial) => write("DELETE", watchPath(watch.model), undefined, trial));
  say(`${watch.model} is not watched any more`);
  await changed();
}

function showWhen() {
  const isAt = byId("watch-form").elements.when.value === "at";
  byId("watch-at").hidden = !isAt;
  byId("watch-every").hidden = isAt;
}

let edited = null; // the watch that is changed, or null for a new one

/** Opens the form, empty or with a watch to be changed. */
function openWatch(watch) {
  const form = byId("watch-form");
  form.reset();
  edited = watch;
  clean(form, byId("watch-error"));
  byId("watch-dialog-title").textContent = watch ? `Change the watch of ${shortName(watch.model)}` : "Watch a model";
  form.elements.model.readOnly = Boolean(watch);
  form.elements.model.value = watch?.model ?? "";
  form.elements.when.value = watch?.every_minutes ? "every" : "at";
  if (watch?.at) form.elements.at.value = watch.at;
  if (watch?.every_minutes) form.elements.every_minutes.value = watch.every_minutes;
  const kept = byId("watch-kept");
  kept.hidden = !watch?.webhook;
  kept.textContent = watch?.webhook ? `Its webhook at ${watch.webhook.url} is not shown whole: enter the address again to keep it (the secret then stays), or leave it out to remove it.` : "";
  form.querySelector("details").open = Boolean(watch?.webhook);
  showWhen();
  byId("watch-dialog").showModal();
  form.elements[watch ? "when" : "model"].focus();
}

/** What the watch's sweeps ask for stays as it is. */
function request(form) {
  const field = (name) => form.elements[name].value.trim();
  if (!field("model")) throw new Problem(0, { detail: "model: is missing", field: "/model" });
  const { model, ...made } = edited?.request ?? {};
  if (field("when") === "at") made.at = field("at");
  else if (/^\d{1,6}$/.test(field("every_minutes"))) made.every_minutes = Number(field("every_minutes"));
  else throw new Problem(0, { detail: "minutes: not a whole number", field: "/every_minutes" });
  if (field("url")) made.webhook = { url: field("url"), ...(field("secret") ? { secret: field("secret") } : {}) };
  else if (field("secret")) throw new Problem(0, { detail: "a secret needs the address of a webhook", field: "/url" });
  return made;
}

async function submit(form) {
  const body = request(form);
  const model = form.elements.model.value.trim();
  if (!/^file:\/|^[^/]+\/[^/]+$/.test(model)) throw new Problem(0, { detail: "model: not owner/name, and not file:/folder", field: "/model" });
  if (!edited && watches.some((watch) => watch.model === model)) throw new Problem(0, { detail: "this model is watched already; change that watch instead", field: "/model" });
  await withToken({ what: "watch a model", scopes: MAY }, (trial) => write("PUT", watchPath(model), body, trial));
  byId("watch-dialog").close();
  say(`${model} is watched`);
  await changed();
}

export function setUpWatches({ speak, fail, done }) {
  [say, complain, changed] = [speak, fail, done];
  const form = byId("watch-form");
  byId("watch-new").addEventListener("click", () => openWatch(null));
  byId("watch-close").addEventListener("click", () => byId("watch-dialog").close());
  form.elements.when.addEventListener("change", showWhen);
  onSubmit(form, byId("watch-error"), (field) => form.elements[field.split("/").at(-1)], () => submit(form));
}
