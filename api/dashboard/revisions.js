// The table of revisions of the shown models.

import { addressOf, fetchBlob, hasToken, modelPath } from "./api.js";
import { element, number, save, shortName } from "./format.js";
import { hush, say } from "./notice.js";
import { oneStop } from "./stops.js";
import { renewChildren } from "./table.js";
import { unitOf } from "./units.js";
import { moved, ofTensor, statistic, view } from "./view.js";

const PAPER_ROWS = 400; // more are not printed

/** [name, text of a row] of what is measured, for the chosen rows and values. */
export function numbers() {
  return [
    ["MSD", (row) => number(row[moved("msd")], 5)],
    ["lag-1 MSD", (row) => number(row[moved("lag1_msd")], 5)],
    ["cosine", (row) => number(row[moved("cosine")], 5)],
    ["BC", (row) => number(row[statistic("bimodality")], 4)],
    ["√n·dip", (row) => number(row[statistic("dip_sqrt_n")], 4)],
    ["perplexity", (row) => number(row.perplexity, 5)],
    ["accuracy", (row) => number(row.accuracy, 4)],
  ];
}

/** A link that is fetched here: files come whole, however many pages they are, and a link could not carry a token. */
function link(path, name, text, isFile) {
  const onclick = async (event) => {
    if (!isFile && !hasToken()) return;
    event.preventDefault();
    try {
      save(name, await fetchBlob(path));
      hush("act");
    } catch (error) {
      say("act", `${name} could not be fetched: ${error.message}`);
    }
  };
  return element("a", { href: addressOf(path), download: isFile ? name : null, tabindex: isFile ? null : -1, "data-key": path, onclick }, text);
}

function remarks(model, row) {
  const texts = [];
  if (model.flags.has(row.revision)) texts.push(model.flags.get(row.revision));
  for (const [name, column] of [["NaN", "nan_count"], ["+Inf", "positive_inf_count"], ["−Inf", "negative_inf_count"]]) {
    if (row[statistic(column)] > 0) texts.push(`${number(row[statistic(column)])} ${name}`);
  }
  if (model.apart?.has(row.revision)) texts.push("perplexity of other texts or another limit than most");
  if (row.reference && model.reference && row.reference !== model.reference) texts.push(`displacement from ${row.reference}, not from ${model.reference}`);
  if (row.error) texts.push(row.error);
  return texts.join("; ");
}

/** main and other names without a step; not the branches that nobody asked about. */
const stepless = (model) => model.all.filter((row) => row.step === null && row.state !== "unmeasured");

const settle = oneStop(document.getElementById("revisions"), () => [...document.querySelectorAll("#revisions tbody a")]);

let filled = []; // what the table was made of last
let waiting = 0;

/** Once the charts above it are seen: thousands of rows take as long as these. */
export function fillRevisions(shown) {
  document.getElementById("table").hidden = !shown.some((model) => model.all.length);
  clearTimeout(waiting);
  waiting = setTimeout(() => fill(shown), 0);
}

function fill(shown) {
  const now = [moved(""), statistic(""), ...shown.flatMap((model) => [model.name, model.all, [...model.flags, ...(model.apart ?? []), model.reference].join("\n")])];
  if (now.length === filled.length && now.every((one, i) => one === filled[i])) return; // a zoom does not make thousands of rows anew
  filled = now;
  document.getElementById("table").classList.toggle("long", shown.reduce((sum, model) => sum + model.all.length, 0) > PAPER_ROWS);
  const isMany = shown.length > 1;
  const units = new Set(shown.map((model) => unitOf(model.name)));
  const names = [[units.size > 1 || units.has("steps") ? "step" : [...units][0], (row) => number(row.step)], ...numbers()];
  const heads = ["revision", ...(isMany ? ["model"] : []), "state", ...names.map(([name]) => name), "remark"];
  const left = new Set(["revision", "model", "state", "remark"]);
  const head = element("thead", {}, element("tr", {}, ...heads.map((name) => element("th", { scope: "col", class: left.has(name) ? "left" : null }, name))));
  const body = element("tbody", {});
  for (const model of shown) {
    for (const row of [...stepless(model), ...model.all.filter((one) => one.step !== null)]) {
      const note = remarks(model, row);
      body.append(element("tr", {},
        element("th", { scope: "row" }, link(ofTensor(`${modelPath(model.name)}/revisions/${encodeURIComponent(row.revision)}`), `${row.revision}.json`, row.revision, false)),
        isMany && element("td", { class: "left", title: model.name }, shortName(model.name)),
        element("td", { class: "left" }, element("span", { class: `chip ${row.state}` }, row.state)),
        ...names.map(([, pick]) => element("td", {}, pick(row))),
        element("td", { class: `left remark ${row.error ? "error" : ""}` }, note)));
    }
  }
  renewChildren(document.getElementById("revisions"), [element("caption", { class: "unseen" }, "Revisions without a step, then those with one in step order"), head, body]);
  settle();
  renewChildren(document.getElementById("table-links"), shown.map((model) =>
    link(ofTensor(`${modelPath(model.name)}/revisions?format=csv${stepless(model).length ? "&stepless=true" : ""}&limit=10000`), `${[model.name, view.tensor].filter(Boolean).map((name) => name.replace(/[^A-Za-z0-9]+/g, "-")).join("_")}.csv`, isMany ? `CSV of ${shortName(model.name)}` : "All columns as CSV", true)));
}
