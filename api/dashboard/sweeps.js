// The list of sweeps, live by server-sent events, and the form that starts one.

import { get, Problem, setToken, stream, write } from "./api.js";
import { ago, bytes, duration, element, shortName } from "./format.js";

const SHOWN = 6;
const STREAMS_MAX = 3; // browsers open six connections to a host; the charts need some
const POLL_MS = 5000;

const streams = new Map(); // id → what ends the stream
const cards = new Map(); // id → element
let onChange = () => {};

const isActive = (sweep) => sweep.state === "planning" || sweep.state === "running";

function describe(sweep) {
  const p = sweep.progress;
  if (sweep.state === "planning") return "looking up revisions";
  const parts = [`${p.done} of ${p.revisions_total} revisions`];
  if (p.failed) parts.push(`${p.failed} failed`);
  if (sweep.state === "running") {
    if (p.rate_bytes_per_s) parts.push(`${bytes(p.rate_bytes_per_s)}/s`);
    if (p.seconds_left !== null) parts.push(`${duration(p.seconds_left)} left`);
  } else {
    parts.push(p.bytes_fetched > 0 ? `${bytes(p.bytes_fetched)} in ${duration(p.seconds)}` : duration(p.seconds));
    if (sweep.finished_at) parts.push(ago(sweep.finished_at));
  }
  return parts.map((part) => part.replaceAll(" ", "\u00a0")).join(" · "); // lines break between parts only
}

function errorList(sweep) {
  const lines = (sweep.errors || []).map((one) => `${one.revision}: ${one.message}`);
  if (sweep.error) lines.unshift(sweep.error.message);
  if (!lines.length) return null;
  return element("details", {}, element("summary", {}, lines.length === 1 ? "1 error" : `${lines.length} errors`), element("ul", {}, ...lines.map((line) => element("li", {}, line))));
}

function draw(sweep) {
  const p = sweep.progress;
  const old = cards.get(sweep.id);
  const card = element("article", { class: "sweep", "data-id": sweep.id, "data-state": sweep.state, "aria-label": `Sweep ${sweep.id} of ${sweep.model}` },
    element("div", { class: "row" }, element("span", { class: "name", title: sweep.model }, shortName(sweep.model)), element("span", { class: "spring" }), element("span", { class: `chip ${sweep.state}` }, sweep.state)));
  if (isActive(sweep)) {
    const total = p.revisions_total || null;
    card.append(element("progress", { max: total ?? 1, value: total ? p.done + p.failed : null, "aria-label": `Progress of sweep ${sweep.id}` }));
  }
  card.append(element("div", { class: "muted" }, describe(sweep)));
  const errors = errorList(sweep);
  if (errors) {
    errors.open = old?.querySelector("details")?.open ?? false;
    card.append(errors);
  }
  if (isActive(sweep)) {
    card.append(element("button", { type: "button", class: "plain", "aria-label": `Cancel sweep ${sweep.id}`, onclick: () => cancel(sweep.id) }, "Cancel"));
  }
  const hadFocus = old?.contains(document.activeElement);
  if (old) old.replaceWith(card);
  cards.set(sweep.id, card);
  if (hadFocus) card.querySelector("button, summary")?.focus();
  return card;
}

async function cancel(id) {
  try {
    await write("DELETE", `/v1/sweeps/${id}`);
  } catch (error) {
    onChange(null, error);
  }
}

function follow(sweep) {
  if (streams.has(sweep.id) || streams.size >= STREAMS_MAX) return;
  const take = (event, data) => {
    if (event !== "progress" && event !== "end") return;
    const now = JSON.parse(data);
    draw(now);
    onChange(now);
    if (!isActive(now)) leave(now.id);
  };
  const ended = () => { if (streams.get(sweep.id) === stop) streams.delete(sweep.id); }; // the poll finds it again
  const stop = stream(`/v1/sweeps/${sweep.id}/events`, take, ended);
  streams.set(sweep.id, stop);
}

function leave(id) {
  streams.get(id)?.();
  streams.delete(id);
}

export async function refreshSweeps() {
  const { sweeps } = await get(`/v1/sweeps?limit=${SHOWN}`);
  const root = document.getElementById("sweeps");
  for (const id of [...cards.keys()]) {
    if (!sweeps.some((sweep) => sweep.id === id)) {
      cards.delete(id);
      leave(id);
    }
  }
  const drawn = sweeps.map((sweep) => (streams.has(sweep.id) && cards.has(sweep.id) ? cards.get(sweep.id) : draw(sweep)));
  if (drawn.length) root.replaceChildren(...drawn);
  else root.replaceChildren(element("p", { class: "muted" }, "None yet."));
  sweeps.filter(isActive).forEach(follow);
}

/** answered() is called after every poll, changed(sweep, error) for every event. */
export function watchSweeps(answered, changed) {
  onChange = changed;
  let timer = 0;
  const poll = async () => {
    clearTimeout(timer);
    if (!document.hidden) {
      try {
        await refreshSweeps();
        await answered();
      } catch (error) {
        onChange(null, error);
      }
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
  const revisions = { from: wholeNumber(form, "from"), to: wholeNumber(form, "to"), every: wholeNumber(form, "every") };
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
  document.getElementById("sweep-error").hidden = true;
  if (model) form.elements.model.value = model;
  if (perplexity) form.elements.perplexity.checked = true;
  showPerplexity();
  document.getElementById("sweep-dialog").showModal();
  form.elements.model.focus();
}

export function setUpForm(started) {
  const dialog = document.getElementById("sweep-dialog");
  const form = document.getElementById("sweep-form");
  const fault = document.getElementById("sweep-error");
  form.elements.perplexity.addEventListener("change", showPerplexity);
  document.getElementById("start").addEventListener("click", () => openForm({}));
  document.getElementById("sweep-cancel").addEventListener("click", () => dialog.close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    fault.hidden = true;
    for (const input of form.elements) input.removeAttribute("aria-invalid");
    try {
      const token = form.elements.token.value.trim();
      if (token) setToken(token);
      const sweep = await write("POST", "/v1/sweeps", request(form));
      dialog.close();
      await refreshSweeps();
      started(sweep);
    } catch (error) {
      fault.textContent = error.message;
      fault.hidden = false;
      const needsToken = error.status === 401 || error.status === 403; // none, or one that may only read
      if (needsToken) document.getElementById("token-field").hidden = false;
      const name = needsToken ? "token" : (error.field || "").split("/").at(-1).replace(/^\d+$/, "tensor");
      const input = form.elements[name === "tensors" ? "tensor" : name];
      if (input?.focus) {
        input.setAttribute("aria-invalid", "true");
        input.focus();
      }
    }
  });
}
