// What the forms of the dialogs share: one request at a time, and what is wrong said beside the field that it concerns.

import { plain } from "./format.js";

/** Takes away what was said of an earlier try. */
export function clean(form, fault) {
  fault.hidden = true;
  for (const input of form.elements) input.removeAttribute("aria-invalid");
}

/** act() answers a submit; while it is on its way, the form is not sent again. inputOf(field) is the input of a problem's field. */
export function onSubmit(form, fault, inputOf, act) {
  let isBusy = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (isBusy) return; // a second click asks for nothing new
    isBusy = true;
    form.setAttribute("aria-busy", "true");
    clean(form, fault);
    try {
      await act();
    } catch (error) {
      fault.textContent = plain(error.message);
      fault.hidden = false;
      const input = inputOf(error.field || "");
      if (input?.closest?.("details")) input.closest("details").open = true;
      input?.setAttribute?.("aria-invalid", "true");
      input?.focus?.();
    } finally {
      isBusy = false;
      form.removeAttribute("aria-busy");
    }
  });
}

/** Whether the text is in the clipboard now: pages of a host without TLS have none, where an older way may do. */
export async function copyText(text, input = null) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    input?.select();
    return Boolean(input) && document.execCommand("copy");
  }
}
