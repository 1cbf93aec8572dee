// Tokens of the API, for whoever may: names, scopes, when each was used last; made and revoked here. Nothing is asked of the daemon
// before somebody wants to see them.

import { confirmed, withToken } from "./access.js";
import { all, Problem, write } from "./api.js";
import { clean, copyText, onSubmit } from "./form.js";
import { ago, element, now, until } from "./format.js";
import { fillTable } from "./table.js";

const byId = (id) => document.getElementById(id);
const MAY = "admin";
let isShown = false;

function state(token) {
  if (token.revoked_at) return element("span", { class: "chip cancelled" }, `revoked ${ago(token.revoked_at)}`);
  if (token.expires_at && Date.parse(token.expires_at) <= now()) return element("span", { class: "chip cancelled" }, `expired ${ago(token.expires_at)}`);
  return element("span", { class: "chip done" }, token.expires_at ? `expires in ${until(token.expires_at)}` : "valid");
}

const counts = (token) => !token.revoked_at && !(token.expires_at && Date.parse(token.expires_at) <= now());

async function revoke(token, speak) {
  const used = token.last_used_at ? `It was used ${ago(token.last_used_at)}.` : "It was never used.";
  if (!await confirmed(`Revoke the token of “${token.name}”?`, `${used} Whoever uses it is refused from now on. This cannot be taken back.`, "Revoke")) return;
  await withToken({ what: "revoke a token", scopes: MAY }, (trial) => write("DELETE", `/v1/tokens/${token.id}`, undefined, trial));
  speak(`Token of ${token.name} revoked`);
  await refreshTokens(speak);
}

let complain = () => {};
const guarded = (act) => () => act().catch(complain);

/** Fetches and draws them where they are shown. */
async function refreshTokens(speak) {
  if (!isShown) return;
  const tokens = await withToken({ what: "list tokens", scopes: MAY }, (trial) => all("/v1/tokens?limit=1000", "tokens", trial));
  tokens.sort((a, b) => counts(b) - counts(a) || b.id - a.id);
  fillTable(byId("tokens"), {
    title: "Tokens",
    heads: ["name", "may", "state", "made", "last used", ""],
    left: ["name", "may", "state", "made", "last used"],
    tools: element("button", { type: "button", "data-key": "make", onclick: openForm }, "Make a token"),
    empty: "There are none yet. From other machines, a request that changes something needs one.",
    rows: tokens.map((token) => [
      token.name, token.scopes.join(", "), state(token), ago(token.created_at), token.last_used_at ? ago(token.last_used_at) : "never",
      counts(token) ? element("div", { class: "buttons right" }, element("button", { type: "button", class: "plain", "data-key": `revoke ${token.id}`, "aria-label": `Revoke the token of ${token.name}`, onclick: guarded(() => revoke(token, speak)) }, "Revoke")) : "",
    ]),
  });
}

// -- The form that makes one -----------------------------------------------------------------------

function openForm() {
  const form = byId("key-form");
  form.reset();
  clean(form, byId("key-error"));
  byId("key-made").hidden = byId("key-copy").hidden = true;
  byId("key-fields").hidden = form.querySelector("[type=submit]").hidden = false;
  byId("key-dialog").showModal();
  form.elements.name.focus();
}

function request(form) {
  const scopes = ["read", "sweep", "worker", "admin"].filter((name) => form.elements[name].checked);
  const days = form.elements.expires_days.value.trim();
  if (!form.elements.name.value.trim()) throw new Problem(0, { detail: "name: is missing: it says whose token this is", field: "/name" });
  if (!scopes.length) throw new Problem(0, { detail: "choose what the token allows", field: "/read" });
  if (days && !/^\d+$/.test(days)) throw new Problem(0, { detail: "days: not a whole number", field: "/expires_days" });
  return { name: form.elements.name.value.trim(), scopes, ...(days ? { expires_days: Number(days) } : {}) };
}

async function make(form, speak) {
  const body = request(form);
  const made = await withToken({ what: "make a token", scopes: MAY }, (trial) => write("POST", "/v1/tokens", body, trial));
  byId("key-fields").hidden = form.querySelector("[type=submit]").hidden = true;
  byId("key-made").hidden = byId("key-copy").hidden = false;
  byId("key-text").value = made.token;
  byId("key-text").select();
  await refreshTokens(speak);
}

export function setUpTokens({ speak, fail }) {
  complain = fail;
  const form = byId("key-form");
  const button = byId("tokens-show");
  button.addEventListener("click", async () => {
    isShown = !isShown;
    try {
      await refreshTokens(speak);
    } catch (error) {
      isShown = false;
      fail(error);
    }
    if (!isShown) byId("tokens").hidden = true;
    button.setAttribute("aria-expanded", isShown);
  });
  byId("key-close").addEventListener("click", () => byId("key-dialog").close());
  byId("key-dialog").addEventListener("close", () => { byId("key-text").value = ""; }); // shown once
  byId("key-copy").addEventListener("click", async () => {
    byId("key-copy").textContent = await copyText(byId("key-text").value, byId("key-text")) ? "Copied" : "Press Ctrl+C";
    setTimeout(() => { byId("key-copy").textContent = "Copy"; }, 2000);
  });
  onSubmit(form, byId("key-error"), (field) => form.elements[field.split("/").at(-1)], () => make(form, speak));
}
