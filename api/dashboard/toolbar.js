// The choices above the charts: rows, values, the axis and what it counts, range, and the link to what is shown.

import { axis } from "./axis.js";
import { copyText } from "./form.js";
import { showTensors } from "./tensors.js";
import { readNumber, unitNumber } from "./units.js";
import { view } from "./view.js";

const CHOICES = ["rows", "values", "axis", "count"];
const byId = (id) => document.getElementById(id);

/** own: what the names of all that is shown count, where tokens may be counted instead; else null. */
export function showToolbar(own) {
  byId("count").hidden = own === null;
  byId("count-own").textContent = own;
  for (const name of CHOICES) {
    for (const input of document.querySelectorAll(`input[name="${name}"]`)) input.checked = input.value === view[name];
  }
  showTensors();
  byId("from").value = view.from ?? "";
  byId("to").value = view.to ?? "";
  byId("from").placeholder = axis.steps.length ? unitNumber(axis.first, axis.unit).replaceAll("\u202f", "") : "";
  byId("to").placeholder = axis.steps.length ? unitNumber(axis.last, axis.unit).replaceAll("\u202f", "") : "";
  byId("reset").disabled = view.from === null && view.to === null;
}

/** What sticks to the top of the window lies below each other, and never over what is focused. */
function watchHeights() {
  const measure = () => {
    for (const [name, root] of [["--bar", document.querySelector(".toolbar")], ["--legend", byId("legend")]]) {
      const isStuck = getComputedStyle(root).position === "sticky";
      document.documentElement.style.setProperty(name, `${isStuck ? root.offsetHeight : 0}px`);
    }
  };
  const observer = new ResizeObserver(measure);
  observer.observe(document.querySelector(".toolbar"));
  observer.observe(byId("legend"));
  window.addEventListener("resize", measure);
}

/** told.changed(name) after a choice of tensor, rows, values, axis or what it counts; told.zoom(from, to). */
export function setUpToolbar(told) {
  byId("tensor").addEventListener("change", (event) => {
    view.tensor = event.target.value || null;
    told.changed("tensor");
  });
  for (const name of CHOICES) {
    byId(name).addEventListener("change", (event) => {
      view[name] = event.target.value;
      told.changed(name);
    });
  }
  for (const end of ["from", "to"]) {
    byId(end).addEventListener("change", (event) => {
      const text = event.target.value;
      const ends = { from: view.from, to: view.to, [end]: readNumber(text, axis.unit) };
      if (ends.from !== null && ends.to !== null && ends.from >= ends.to) ends[end === "from" ? "to" : "from"] = null;
      told.zoom(ends.from, ends.to);
    });
  }
  byId("reset").addEventListener("click", () => told.zoom(null, null));
  byId("link").addEventListener("click", async (event) => {
    const button = event.target;
    button.textContent = await copyText(location.href) ? "Copied" : "See the address bar";
    setTimeout(() => { button.textContent = "Copy link"; }, 2000);
  });
  watchHeights();
}
