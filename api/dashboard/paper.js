// The page on paper: dark on light, everything drawn, as wide as a page of A4, so that its letters are as large as on the screen. A browser lays
// out for paper without running scripts; what needs them happens before. Above it stands where and when it is from, above the charts of
// several models which line is which.

import { axis } from "./axis.js";
import { element } from "./format.js";
import { unitNumber } from "./units.js";
import { chosen, view } from "./view.js";

const root = document.documentElement;

/** The legend as text: models that are hidden have no line. */
function legend() {
  const shown = [...document.querySelectorAll("#legend .entry")].map((entry) => entry.querySelector("button")).filter((button) => button.ariaPressed === "true");
  if (!shown.length) return null;
  return element("p", { class: "paper-legend" }, ...shown.map((button) => element("span", {}, ...[...button.childNodes].map((node) => node.cloneNode(true)))));
}

function heading() {
  const range = view.from === null && view.to === null ? null : `${axis.unit} ${unitNumber(view.from ?? axis.first, axis.unit)} to ${unitNumber(view.to ?? axis.last, axis.unit)}`;
  const words = [location.origin + location.pathname, new Date().toLocaleString(), document.getElementById("service").textContent.split(",")[0], chosen("rows and values").words, range];
  return element("p", { class: "paper-head" }, words.filter(Boolean).join(" · "));
}

/** draw(isPrinting) draws all that is there anew. */
export function setUpPrinting(draw) {
  let theme; // the reader's colours
  let added = [];
  window.addEventListener("beforeprint", () => {
    if (root.classList.contains("paper")) return; // a browser may say so twice
    theme = root.dataset.theme;
    root.dataset.theme = "light";
    root.classList.add("paper");
    draw(true);
    added = [heading()];
    document.getElementById("main").prepend(added[0]);
    const places = [document.querySelector("#scaling > :not([hidden])")?.parentElement, ...document.querySelectorAll("#panels > section:not([hidden]) .grid:has(.panel.compared)")];
    for (const place of places) {
      const made = place && legend();
      if (!made) continue;
      place.before(made);
      added.push(made);
    }
  });
  window.addEventListener("afterprint", () => {
    added.forEach((one) => one.remove());
    root.classList.remove("paper");
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    draw(false);
  });
}
