// The list of sweeps, live by server-sent events, and the form that starts one.

import { withToken } from "./access.js";
import { get, Problem, stream, turns, write } from "./api.js";
import { ago, bytes, counted, duration, element, listName, number } from "./format.js";
import { jobLine } from "./jobs.js";
import { isNarrow } from "./narrow.js";
import { clean, onSubmit } from "./form.js";
import { renew } from "./table.js";

const FETCHED = 100; // newest first; those that are not over come first on the page
const SHOWN = 6; // unless all are asked for
const STREAMS_MAX = 1; // browsers open six connections to a host, for all its tabs together; the charts need some
const NAMED = 5; // revisions beside an error that they share
const POLL_MS = 5000;
const MAY_SWEEP = "read,sweep";

const streams = new Map(); // id → what ends the stream
const cards = new Map(); // id → element
const known = new Map(); // id → sweep: as the list has it, or whole, with its errors and jobs
const asOf = new Map(); // id → when what is known of it was asked for
const listTurn = turns();
let hasLooked = false; // at the list, once
let shownMost = SHOWN;
let tell = { changed() {}, failed() {}, acted() {} };

const isActive = (sweep) => sweep.state === "planning" || sweep.state === "running";
const isWhole = (sweep) => sweep.jobs !== undefined;

const waitOf = ({ reason, detail, waiting_until: until }) => (reason === "no_space" || reason === "cache_budget" ? `waits: ${detail}` : `waits for the hub, asked again at ${new Date(until).toLocaleTimeString()}: ${detail}`);

function describe(sweep) {
  const p = sweep.progress;
  const down = sweep.hub_wait?.detail && streams.has(sweep.id) ? waitOf(sweep.hub_wait) : null;
  if (sweep.state === "planning") return down ?? (sweep.error ? `waits: ${sweep.error.message}` : "looking up revisions");
  if (!p.revisions_total && sweep.state !== "running") {
    return [sweep.state === "done" ? "no revision to measure" : "ended before its revisions were known", sweep.finished_at && ago(sweep.finished_at)].filter(Boolean).join(" · ");
  }
  const parts = [counted(p.done, "revision", "revisions", p.revisions_total)];
  if (p.failed) parts.push(`${number(p.failed)} failed`);
  if (sweep.state === "running") {
    if (!p.running && !p.done && !p.failed) parts.push("waits for its turn");
    if (down) parts.push(down);
    else if (sweep.hub_wait && streams.has(sweep.id)) { // the list of sweeps does not have it
      parts.push(`waits for the hub until ${new Date(sweep.hub_wait.waiting_until).toLocaleTimeString()}: ${sweep.hub_wait.reason.replaceAll("_", " ")}`);
    } else if (p.rate_bytes_per_s) parts.push(`${bytes(p.rate_bytes_per_s)}/s`);
    if (p.seconds_left !== null) parts.push(`${duration(p.seconds_left)} left`);
  } else {
    parts.push(p.bytes_fetched > 0 ? `${bytes(p.bytes_fetched)} in ${duration(p.seconds)}` : duration(p.seconds));
    if (sweep.finished_at) parts.push(ago(sweep.finished_at));
  }
  return parts.map((part) => part.replaceAll(" ", "\u00a0")).join(" · "); // lines break between parts only
}

/** What went wrong; the list has only the sweep's own error, the rest is fetched when it is asked for. */
function errorList(sweep) {
  const alike = new Map(); // message → the revisions that it was said of: one cause often ends them all
  for (const one of sweep.errors || []) alike.set(one.message, [...(alike.get(one.message) ?? []), one.revision]);
  const lines = [...alike].map(([message, names]) => `${names.slice(0, NAMED).join(", ")}${names.length > NAMED ? ` and ${counted(names.length - NAMED, "other")}` : ""}: ${message}`);
  if (sweep.error) lines.unshift(sweep.error.message);
  const failed = sweep.progress.failed;
  if (!lines.length && !failed) return null;
  const rest = failed - (sweep.errors?.length ?? 0);
  if (isWhole(sweep) && rest > 0) lines.push(`and ${number(rest)} more: bifurcate tasks ${sweep.id} --state failed`);
  const title = failed ? `${counted(failed, "revision")} failed` : "Error";
  const fetchRest = (event) => {
    if (event.target.open && !isWhole(known.get(sweep.id))) fetchWhole(sweep.id).catch((error) => tell.failed(error, "act"));
  };
  return element("details", { ontoggle: fetchRest }, element("summary", {}, title), element("ul", {}, ...lines.map((line) => element("li", {}, line))));
}

function draw(sweep) {
  const p = sweep.progress;
  const old = cards.get(sweep.id);
  const card = element("article", { class: "sweep", "data-id": sweep.id, "data-state": sweep.state, "aria-label": `Sweep ${sweep.id} of ${sweep.model}` },
    element("div", { class: "row" }, element("span", { class: "name", title: `Sweep ${sweep.id} of ${sweep.model}` }, listName(sweep.model)), element("span", { class: "spring" }), element("span", { class: `chip ${sweep.state}` }, sweep.state)));
  if (isActive(sweep)) {
    const total = p.revisions_total || null;
    card.append(element("progress", { max: total ?? 1, value: total ? p.done + p.failed : null, "aria-label": `Progress of sweep ${sweep.id}` }));
  }
  card.append(element("div", { class: "muted" }, describe(sweep)));
  const job = isActive(sweep) ? jobLine(sweep.jobs) : "";
  if (job) card.append(element("div", { class: "muted" }, job));
  const errors = errorList(sweep);
  if (errors) card.append(errors);
  if (isActive(sweep)) {
    card.append(element("button", { type: "button", class: "plain", "aria-label": `Cancel sweep ${sweep.id}`, onclick: () => cancel(sweep.id) }, "Cancel"));
  } else if (mayRepeat(sweep)) {
    card.append(element("button", { type: "button", class: "plain", "data-key": "again", "aria-label": `Again: sweep ${sweep.id} of ${sweep.model}`, title: "Starts a sweep of the same request; what is measured already is not measured again", onclick: () => repeat(sweep.id) }, "Again"));
  }
  cards.set(sweep.id, old ? renew(old, card) : card);
  return cards.get(sweep.id);
}

/** Takes over what is new of a sweep; what only the whole has stays. An answer that was asked for before what is known is old. */
function take(sweep, askedAt = performance.now()) {
  const before = known.get(sweep.id);
  if (askedAt < (asOf.get(sweep.id) ?? 0)) return before;
  asOf.set(sweep.id, askedAt);
  known.set(sweep.id, { ...before, ...sweep });
  return before;
}

async function fetchWhole(id) {
  const askedAt = performance.now();
  take(await get(`/v1/sweeps/${id}`), askedAt);
  if (cards.has(id)) draw(known.get(id));
}

/** How far the sweeps at work are together, from 0 to 1; null where there is none. */
export function progress() {
  const active = [...known.values()].filter((sweep) => isActive(sweep) && sweep.progress.revisions_total > 0);
  const sum = (pick) => active.reduce((all, { progress: p }) => all + pick(p), 0);
  return active.length ? sum((p) => p.done + p.failed) / sum((p) => p.revisions_total) : null;
}

/** Whether a sweep of one of these models is at work; of any model, where there is none of them. */
export const isAtWork = (names) => [...known.values()].some((sweep) => isActive(sweep) && (!names.length || names.includes(sweep.model)));

/** Why the newest sweep of a model has failed, in words; null where it has not. */
export function failure(model) {
  const newest = [...known.values()].filter((sweep) => sweep.model === model).reduce((one, other) => (other.id > (one?.id ?? 0) ? other : one), null);
  if (newest?.state !== "failed") return null;
  return newest.error?.message ?? `${counted(newest.progress.failed, "revision")} failed; what is beside sweep ${newest.id} in the list says why`;
}

/** The sweeps on the page with their jobs, as the section on operations shows them; those that may still change are fetched again. */
export async function wholeSweeps() {
  const isSettled = (sweep) => isWhole(sweep) && !isActive(sweep) && sweep.jobs.every((job) => job.state === "ended" || job.state === "refused");
  const ids = [...cards.keys()].filter((id) => !streams.has(id) && !isSettled(known.get(id)));
  await Promise.all(ids.map(fetchWhole));
  return [...cards.keys()].map((id) => known.get(id)).filter(isWhole);
}

async function cancel(id) {
  try {
    take(await withToken({ what: `cancel sweep ${id}`, scopes: MAY_SWEEP }, (token) => write("DELETE", `/v1/sweeps/${id}`, undefined, token)));
    if (cards.has(id)) draw(known.get(id));
    tell.acted();
    tell.changed(known.get(id));
  } catch (error) {
    tell.failed(error, "act");
  }
}

/** What has ended short of its end, unless the model is being swept since. */
const mayRepeat = (sweep) => (sweep.state === "failed" || sweep.state === "cancelled") && ![...known.values()].some((one) => one.model === sweep.model && one.id > sweep.id && isActive(one));

let isRepeating = false; // a second click asks for nothing new

/** The same request as a sweep of its own, which measures what is missing. */
async function repeat(id) {
  if (isRepeating) return;
  isRepeating = true;
  try {
    if (!isWhole(known.get(id))) await fetchWhole(id);
    const body = known.get(id).request;
    const sweep = await withToken({ what: `sweep ${body.model} again`, scopes: MAY_SWEEP }, (token) => write("POST", "/v1/sweeps", body, token));
    tell.acted(`Sweep ${sweep.id} of ${sweep.model} has begun: what sweep ${id} left is measured now.`);
    await refreshSweeps();
    if (cards.has(id)) draw(known.get(id));
  } catch (error) {
    tell.failed(error, "act");
  } finally {
    isRepeating = false;
  }
}

function follow(sweep) {
  if (streams.has(sweep.id) || streams.size >= STREAMS_MAX) return;
  const takeEvent = (event, data) => {
    if (event !== "progress" && event !== "end") return;
    const now = JSON.parse(data);
    take(now);
    if (cards.has(now.id)) draw(known.get(now.id));
    tell.changed(now);
    if (!isActive(now)) leave(now.id);
  };
  const ended = () => { if (streams.get(sweep.id) === stop) streams.delete(sweep.id); }; // the poll finds it again
  const stop = stream(`/v1/sweeps/${sweep.id}/events`, takeEvent, ended);
  streams.set(sweep.id, stop);
}

function leave(id) {
  streams.get(id)?.();
  streams.delete(id);
}

/** In the order of interest: at work, waiting for their turn as the queue serves them, over. */
function inOrder(sweeps) {
  const rank = (sweep) => (!isActive(sweep) ? 2 : sweep.progress.running ? 0 : 1);
  return [...sweeps].sort((a, b) => rank(a) - rank(b) || (rank(a) === 2 ? b.id - a.id : b.priority - a.priority || a.id - b.id));
}

/** Puts the cards in their order; those that stand where they belong are not touched. */
function place(root, children) {
  const isThere = children.length === root.children.length && children.every((child, i) => child === root.children[i]);
  if (isThere) return;
  const focused = document.activeElement;
  root.replaceChildren(...children);
  if (root.contains(focused)) focused.focus(); // moving an element takes the focus from it
}

/** Before the charts are fetched: what changes from now on, they may not have. */
export async function lookAtSweeps() {
  const askedAt = performance.now();
  (await get(`/v1/sweeps?limit=${FETCHED}`)).sweeps.forEach((sweep) => take(sweep, askedAt));
  hasLooked = true;
}

/** What nobody sees and nobody may ask for again is not kept. */
function forget(sweeps) {
  for (const id of known.keys()) {
    if (cards.has(id) || sweeps.some((sweep) => sweep.id === id)) continue;
    known.delete(id);
    asOf.delete(id);
  }
}

export async function refreshSweeps() {
  const askedAt = performance.now();
  const isNewer = listTurn();
  const page = await get(`/v1/sweeps?limit=${FETCHED}`);
  if (!isNewer()) return;
  const root = document.getElementById("sweeps");
  for (const sweep of page.sweeps) {
    if (streams.has(sweep.id)) continue; // a stream knows better
    const before = take(sweep, askedAt);
    const now = known.get(sweep.id);
    if (!before && !hasLooked) continue; // the first look; charts are not older than it
    if (!before || before.state !== now.state || JSON.stringify(before.progress) !== JSON.stringify(now.progress)) tell.changed(now);
  }
  hasLooked = true;
  const sweeps = inOrder(page.sweeps.map((sweep) => known.get(sweep.id) ?? sweep));
  const atWork = sweeps.filter(isActive).length; // alone above the charts where all stands in one column
  const shown = sweeps.slice(0, isNarrow() && atWork && shownMost < Infinity ? Math.min(atWork, shownMost) : shownMost);
  for (const id of [...cards.keys()]) {
    if (!shown.some((sweep) => sweep.id === id)) cards.delete(id);
  }
  const followed = shown.filter(isActive).slice(0, STREAMS_MAX);
  for (const id of [...streams.keys()]) {
    if (!followed.some((sweep) => sweep.id === id)) leave(id);
  }
  forget(page.sweeps);
  const drawn = shown.map((sweep) => (streams.has(sweep.id) && cards.has(sweep.id) ? cards.get(sweep.id) : draw(sweep)));
  const more = sweeps.length - shown.length;
  const all = () => {
    shownMost = Infinity;
    return refreshSweeps().catch((error) => tell.failed(error, "act"));
  };
  if (more) {
    const text = `${number(more)}${page.next_cursor ? " and older" : ""} more`;
    const button = element("button", { type: "button", class: "plain", id: "sweeps-more", onclick: all }, text);
    const old = document.getElementById("sweeps-more");
    drawn.push(old ? renew(old, button) : button);
  }
  place(root, drawn.length ? drawn : [element("p", { class: "muted" }, "None yet.")]);
  followed.forEach(follow);
}

/**
 * answered() is called after every poll; told.changed(sweep) where one is not as it was, told.failed(error, source), told.acted(text)
 * once something was done that the reader asked for, with what is to be spoken of it, if anything. While the page is hidden, nothing is asked.
 */
export function watchSweeps(answered, told) {
  tell = told;
  let timer = 0;
  const poll = async () => {
    clearTimeout(timer);
    if (document.hidden) {
      [...streams.keys()].forEach(leave);
      return;
    }
    try {
      await refreshSweeps();
      await answered();
    } catch (error) {
      tell.failed(error, "poll");
    }
    clearTimeout(timer);
    timer = setTimeout(poll, POLL_MS);
  };
  for (const name of ["online", "offline"]) window.addEventListener(name, poll);
  document.addEventListener("visibilitychange", poll);
  return poll();
}

// -- The form ------------------------------------------------------------------------------------

function wholeNumber(form, name) {
  const text = form.elements[name].value.trim();
  if (text === "") return undefined;
  if (!/^-?\d+$/.test(text)) throw new Problem(0, { detail: `${name}: not a whole number`, field: `/${name}` });
  return Number(text);
}

function request(form) {
  const field = (name) => form.elements[name].value.trim() || undefined;
  const metrics = ["statistics", "perplexity"].filter((name) => form.elements[name].checked);
  if (!field("model")) throw new Problem(0, { detail: "model: is missing", field: "/model" });
  if (!metrics.length) throw new Problem(0, { detail: "choose at least one metric", field: "/statistics" });
  const revisions = { from: wholeNumber(form, "from"), to: wholeNumber(form, "to"), every: wholeNumber(form, "every"), rule: field("rule") };
  const made = { model: field("model"), metrics, reference: field("reference"), priority: wholeNumber(form, "priority") };
  if (Object.values(revisions).some((value) => value !== undefined)) made.revisions = revisions;
  if (field("tensor")) made.tensors = [field("tensor")];
  if (form.elements.perplexity.checked) Object.assign(made, { dataset: field("dataset"), mode: field("mode"), limit: wholeNumber(form, "limit") });
  return made;
}

function showPerplexity() {
  const form = document.getElementById("sweep-form");
  document.getElementById("perplexity-fields").hidden = !form.elements.perplexity.checked;
}

/** Opens the form, with a model filled in and perplexity ticked where they are given. */
export function openForm({ model, perplexity }) {
  const form = document.getElementById("sweep-form");
  clean(form, document.getElementById("sweep-error"));
  if (model) form.elements.model.value = model;
  if (perplexity) form.elements.perplexity.checked = true;
  showPerplexity();
  document.getElementById("sweep-dialog").showModal();
  form.elements.model.focus();
}

export function setUpForm(started) {
  const dialog = document.getElementById("sweep-dialog");
  const form = document.getElementById("sweep-form");
  form.elements.perplexity.addEventListener("change", showPerplexity);
  document.getElementById("start").addEventListener("click", () => openForm({}));
  document.getElementById("sweep-cancel").addEventListener("click", () => dialog.close());
  const inputOf = (field) => {
    const name = field.split("/").at(-1).replace(/^\d+$/, "tensor");
    return form.elements[name === "tensors" ? "tensor" : name];
  };
  onSubmit(form, document.getElementById("sweep-error"), inputOf, async () => {
    const body = request(form);
    const sweep = await withToken({ what: "start a sweep", scopes: MAY_SWEEP }, (token) => write("POST", "/v1/sweeps", body, token));
    dialog.close();
    tell.acted();
    await refreshSweeps();
    started(sweep);
  });
}
