// Tables of the section on operations, drawn anew at every poll without taking the reader's place.

import { element } from "./format.js";

/** Draws a part of the page anew; what has the focus or is opened (by its data-key) stays so, and tables stay scrolled. */
export function redraw(root, ...children) {
  const key = root.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const open = new Set([...root.querySelectorAll("details[open][data-key]")].map((one) => one.dataset.key));
  const scroll = root.querySelector(".scroll");
  const [left, top] = scroll ? [scroll.scrollLeft, scroll.scrollTop] : [0, 0];
  root.replaceChildren(...children);
  for (const one of root.querySelectorAll("details[data-key]")) one.open = open.has(one.dataset.key);
  root.querySelector(".scroll")?.scrollTo(left, top);
  if (key !== undefined) [...root.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key)?.focus();
}

/** rows: lists of texts and elements, as many as heads; left: the heads of columns that hold words. Without rows the card is hidden. */
export function fillTable(root, { title, heads, left, rows, note = null, tools = null, empty = null }) {
  root.hidden = !rows.length && !empty;
  if (root.hidden) {
    root.replaceChildren();
    return;
  }
  const side = (i) => (left.includes(heads[i]) ? "left" : null);
  const head = element("tr", {}, ...heads.map((name, i) => element("th", { scope: "col", class: side(i) }, name || element("span", { class: "unseen" }, "actions"))));
  const body = rows.map((cells) => element("tr", {}, ...cells.map((cell, i) => element(i ? "td" : "th", { scope: i ? null : "row", class: side(i) }, cell))));
  const table = element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Table of ${title}`, "data-key": "scroll" },
    element("table", { class: "data" }, element("caption", { class: "unseen" }, title), element("thead", {}, head), element("tbody", {}, ...body)));
  redraw(root, element("header", {}, element("h3", { id: root.getAttribute("aria-labelledby") }, title), note && element("p", { class: "muted" }, note), element("div", { class: "spring" }), tools),
    rows.length ? table : element("p", { class: "muted" }, empty));
}
