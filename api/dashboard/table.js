// What is drawn anew at every poll without taking the reader's place; tables of the section on operations.

import { element } from "./format.js";

/** Makes `old` equal to `now` and gives what then stands in its place: nodes of the same kind and data-key stay, so that no click, focus,
 * scroll or opened list is lost to a poll. Handlers stay those of the old nodes, too: they may hold names, but no data. */
export function renew(old, now) {
  if (old.nodeName !== now.nodeName || old.dataset?.key !== now.dataset?.key) {
    old.replaceWith(now);
    return now;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== now.data) old.data = now.data;
    return old;
  }
  for (const { name } of [...old.attributes]) {
    if (name !== "open" && !now.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of now.attributes) {
    if (old.getAttribute(name) === value) continue;
    if (name === "style") old.style.cssText = now.style.cssText; // the attribute itself is closed to scripts by the page's policy
    else old.setAttribute(name, value);
  }
  renewChildren(old, [...now.childNodes]);
  return old;
}

/** The same for what stands in `root`. */
export function renewChildren(root, children) {
  while (root.childNodes.length > children.length) root.lastChild.remove();
  children.forEach((child, i) => {
    if (i < root.childNodes.length) renew(root.childNodes[i], child);
    else root.append(child);
  });
}

/** rows: lists of texts and elements, as many as heads; left: the heads of columns that hold words. Without rows the card is hidden. */
export function fillTable(root, { title, heads, left, rows, tools = null, empty = null }) {
  root.hidden = !rows.length && !empty;
  if (root.hidden) {
    root.replaceChildren();
    return;
  }
  const side = (i) => (left.includes(heads[i]) ? "left" : null);
  const head = element("tr", {}, ...heads.map((name, i) => element("th", { scope: "col", class: side(i) }, name || element("span", { class: "unseen" }, "actions"))));
  const body = rows.map((cells) => element("tr", {}, ...cells.map((cell, i) => element(i ? "td" : "th", { scope: i ? null : "row", class: side(i) }, cell))));
  const table = element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Table of ${title}` },
    element("table", { class: "data" }, element("caption", { class: "unseen" }, title), element("thead", {}, head), element("tbody", {}, ...body)));
  renewChildren(root, [element("header", {}, element("h3", { id: root.getAttribute("aria-labelledby") }, title), element("div", { class: "spring" }), tools),
    rows.length ? table : element("p", { class: "muted" }, empty)]);
}
