// The token: asked for where the daemon refuses, tried at once on what was refused, and kept until the tab is closed.

import { hasToken, Problem, setToken } from "./api.js";
import { plain } from "./format.js";

const byId = (id) => document.getElementById(id);
let open = null; // a promise of the end of the dialog, while it is open

export const isRefusal = (error) => error instanceof Problem && (error.status === 401 || error.status === 403);
export const isAsking = () => open !== null;

/** The next token that the reader gives, or null once the dialog is closed. */
function given() {
  const form = byId("token-form");
  const dialog = byId("token-dialog");
  return new Promise((resolve) => {
    const done = (value) => {
      form.removeEventListener("submit", submit);
      dialog.removeEventListener("close", close);
      resolve(value);
    };
    const submit = () => done(form.elements.token.value.trim());
    const close = () => done(null);
    form.addEventListener("submit", submit);
    dialog.addEventListener("close", close);
  });
}

function describe(need, refusal, isAgain) {
  byId("token-dialog-title").textContent = need.what ? `To ${need.what}, this daemon needs a token` : "This daemon needs a token";
  byId("token-command").textContent = `bifurcated token create --name dashboard --scopes ${need.scopes}`;
  byId("token-error").hidden = !isAgain;
  byId("token-error").textContent = refusal.status === 401 ? "The daemon does not accept this token." : plain(refusal.message);
  byId("token-form").elements.token.setAttribute("aria-invalid", isAgain);
  byId("token-form").elements.token.select();
}

/** A token takes the place of the one that is kept only once the daemon has accepted it for what was refused. */
async function askAndAct(need, act, first) {
  const dialog = byId("token-dialog");
  let refusal = first;
  byId("token-form").elements.token.value = "";
  dialog.showModal();
  describe(need, refusal, hasToken());
  try {
    for (let token = await given(); token !== null && dialog.open; token = dialog.open ? await given() : null) {
      try {
        const value = await act(token);
        setToken(token);
        return value;
      } catch (error) {
        if (!isRefusal(error)) {
          if (error instanceof Problem && error.status < 500 && error.status !== 429) setToken(token); // it may; what it asked for is wrong
          throw error;
        }
        refusal = error;
        if (dialog.open) describe(need, refusal, true); // else it was closed during the try: that declines, too
      }
    }
    refusal.isDeclined = true;
    throw refusal;
  } finally {
    dialog.close();
  }
}

/**
 * What act(token) answers, where `token` is to be given on to the functions of api.js (undefined: the one that is kept). Where the
 * daemon refuses, the reader is asked for a token and it is done again, until it is accepted or the dialog is closed; then the
 * refusal is thrown. need: { what: "start a sweep", scopes: "read,sweep" }.
 */
export async function withToken(need, act) {
  try {
    return await act();
  } catch (error) {
    if (!isRefusal(error)) throw error;
    if (open) { // somebody else asks already: then with what comes of that
      await open;
      try {
        return await act();
      } catch (again) {
        again.isDeclined = isRefusal(again); // who was asked just now is not asked at once again
        throw again;
      }
    }
    const asked = askAndAct(need, act, error);
    open = asked.catch(() => {}).then(() => { open = null; });
    return asked;
  }
}

export function setUpAccess() {
  byId("token-form").addEventListener("submit", (event) => event.preventDefault()); // a token never becomes part of an address
  byId("token-close").addEventListener("click", () => byId("token-dialog").close());
}

/** Whether the reader means it: the text says what is lost, the button what is done. */
export function confirmed(title, text, button) {
  const dialog = byId("confirm-dialog");
  byId("confirm-title").textContent = plain(title);
  byId("confirm-text").textContent = text;
  byId("confirm-yes").textContent = button;
  dialog.returnValue = "";
  dialog.showModal();
  byId("confirm-no").focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
