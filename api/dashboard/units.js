// What the number in revisions' names counts: optimiser steps, or tokens, words or epochs. It is called a step whatever it counts.

import { number } from "./format.js";

const TITLES = { steps: "training step", tokens: "training tokens", words: "training words", epochs: "epoch" };
const units = new Map(); // model → its unit

/** Models as the daemon lists them. */
export function learnUnits(models) {
  for (const model of models) units.set(model.name, model.step_unit);
}

export const unitOf = (name) => units.get(name) ?? "steps";

/** What an axis of a unit is called; of several, all of them. */
export const unitTitle = (...names) => names.map((name) => TITLES[name] ?? TITLES.steps).join(", ");

/** "step", "token", "word", "epoch" */
export const unitWord = (unit) => (unit ?? "steps").slice(0, -1);

const isLarge = (unit) => unit === "tokens" || unit === "words";

/** A number of tokens or words with four digits at most: 220B, 2.097M; of others all digits. */
export function unitNumber(step, unit) {
  if (!Number.isFinite(step) || !isLarge(unit)) return number(step);
  const [size, letter] = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "K"]].find(([least]) => step >= least * 0.99995) ?? [1, ""];
  return `${Number((step / size).toPrecision(4))}${letter}`;
}

/** A place in the run: "step 512", "220B tokens", "epoch 3". */
export const unitPlace = (step, unit) => (isLarge(unit) ? `${unitNumber(step, unit)} ${unit}` : `${unitWord(unit)} ${number(step)}`);

/** From one place to another: "steps 400 to 1000", "200B to 220B tokens". */
export const unitRange = (from, to, unit) => (isLarge(unit) ? `${unitNumber(from, unit)} to ${unitNumber(to, unit)} ${unit}` : `${unit ?? "steps"} ${number(from)} to ${number(to)}`);
