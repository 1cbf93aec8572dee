// What there is to say above the charts. Each line has a source, and stands until that source has better news: an answer to one
// question does not wipe away what was said of another.

import { element } from "./format.js";
import { renewChildren } from "./table.js";

const said = new Map(); // source → line

function draw() {
  renewChildren(document.getElementById("notice"), [...said.values()]);
}

/** `button`: for what can be done about it. */
export function say(source, text, button = null) {
  said.set(source, element("span", { class: "line", "data-key": `${source} ${text} ${button?.textContent ?? ""}` }, text, button));
  draw();
}

export function hush(source) {
  if (said.delete(source)) draw();
}

export const isSaid = (source) => said.has(source);
