// The series of the shown models, as far as they are read.

import { all, modelPath, REVISIONS_PAGE, turns } from "./api.js";
import { columns } from "./panels.js";
import { ofTensor, view } from "./view.js";

const series = new Map(); // model → Map of choice of rows, values and tensor → rows

const choice = () => `${view.rows} ${view.values} ${view.tensor ?? ""}`;

const seriesTurns = new Map(); // model → turns of its requests

/** Only the columns of the chosen rows and values: a fourth of all. Those of other choices are kept until there is something new. */
export async function fetchSeries(name, isFresh = true) {
  const chosen = choice();
  if (!isFresh && series.get(name)?.has(chosen)) return;
  if (!seriesTurns.has(name)) seriesTurns.set(name, turns());
  const isNewer = seriesTurns.get(name)();
  const rows = await all(ofTensor(`${modelPath(name)}/revisions?limit=${REVISIONS_PAGE}&stepless=true&fields=${columns().join(",")}`), "revisions");
  if (!isNewer()) return;
  if (isFresh || !series.has(name)) series.set(name, new Map());
  series.get(name).set(chosen, rows);
}

export const isRead = (name) => series.has(name);

/** Of what is chosen now; undefined before they are there. */
export const rowsOf = (name) => series.get(name)?.get(choice());

/** All but those of these models. */
export function forgetSeries(names) {
  for (const name of series.keys()) {
    if (!names.includes(name)) series.delete(name);
  }
}
