// What the pictures of one model are made of: the map of its distribution, single entries, two-time displacement.

import { turns } from "./api.js";
import { listName } from "./format.js";
import { fetchDistribution } from "./heat.js";
import { fetchPairs } from "./pairs.js";
import { fetchTrajectories } from "./trajectories.js";
import { pictured, view } from "./view.js";

/** undefined: on its way, or not asked for yet; null: there is none. */
export const pictures = { distribution: null, trajectories: null, pairs: null };

const NAMED_MAX = 5;

/** What is to be said of revisions whose stored values are damaged; "" if none are. */
export function damagedText() {
  const names = [...new Set(Object.values(pictures).flatMap((picture) => picture?.damaged ?? []))];
  if (!names.length) return "";
  const some = names.length > NAMED_MAX ? `${names.slice(0, NAMED_MAX).join(", ")} and ${names.length - NAMED_MAX} more` : names.join(", ");
  return `What is stored of ${listName(of)} at ${some} is damaged and left out of the pictures. While the daemon is stopped, “bifurcated prune” deletes it; the next sweep measures it again.`;
}

const mapTurn = turns();
const entriesTurn = turns(); // which other rows and values do not change
let of; // the model that they are of
let tensorOf = null; // and its tensor
let pairsOf = null; // { name } whose two-time displacement is on its way; another object once it has to be asked for anew

/** The map and the entries. What was there stays until what is new has come, unless it is of another model. */
export async function fetchPictures(isFresh) {
  const name = pictured();
  const isNewerMap = mapTurn();
  const areNewerEntries = isFresh ? entriesTurn() : () => false;
  if (name !== of || view.tensor !== tensorOf) pictures.distribution = pictures.trajectories = name && undefined;
  of = name;
  tensorOf = view.tensor;
  if (isFresh) {
    pictures.pairs = undefined;
    pairsOf = null;
  }
  try {
    const asked = name ? [fetchDistribution(name, isFresh), isFresh ? fetchTrajectories(name) : null] : [];
    const [distribution = null, trajectories = null] = await Promise.all(asked);
    if (isNewerMap()) pictures.distribution = distribution;
    if (areNewerEntries()) pictures.trajectories = trajectories;
  } catch (error) {
    pictures.distribution ??= null; // no place is kept for what does not come
    pictures.trajectories ??= null;
    throw error;
  }
}

/** Two-time displacement, the largest answer, once its panel has come near; whether there is something new to draw. */
export async function fetchPairsOnce(failed) {
  const name = pictured();
  if (!name || pictures.pairs !== undefined || pairsOf?.name === name) return false;
  const asked = { name };
  pairsOf = asked;
  const pairs = await fetchPairs(name).catch(failed);
  if (pairsOf !== asked) return false; // an older answer
  pairsOf = null;
  if (name !== pictured()) return false;
  pictures.pairs = pairs ?? null;
  return true;
}
