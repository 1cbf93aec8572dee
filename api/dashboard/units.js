// What the number in revisions' names counts: optimiser steps, or tokens, words, epochs or checkpoints. It is called a step whatever it
// counts. Charts are of one unit: that of the names, or tokens of training where these are known of all that is shown.

import { number } from "./format.js";

const TITLES = { steps: "training step", tokens: "training tokens", words: "training words", epochs: "epoch", checkpoints: "checkpoint" };
const units = new Map(); // model → its unit

/** Models as the daemon lists them. */
export function learnUnits(models) {
  for (const model of models) units.set(model.name, model.step_unit);
}

export const unitOf = (name) => units.get(name) ?? "steps";

/** What an axis of a unit is called. */
export const unitTitle = (unit) => TITLES[unit] ?? TITLES.steps;

/** "step", "token", "word", "epoch", "checkpoint" */
export const unitWord = (unit) => (unit ?? "steps").slice(0, -1);

const SCALES = { K: 1e3, M: 1e6, B: 1e9, T: 1e12 };

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

/** A number as people type it, "2.5T" of tokens or words, "10k" of steps, or null. */
export function readNumber(text, unit) {
  const [, digits, letter] = /^(\d{1,16}(?:\.\d+)?)([kmbt]?)$/i.exec(text.trim()) ?? [];
  if (digits === undefined || (!letter && digits.includes("."))) return null;
  const value = Number(digits) * (SCALES[letter.toUpperCase()] ?? 1);
  const whole = Math.round(value);
  return isLarge(unit) || Math.abs(value - whole) < 1e-6 ? whole : null; // there are no parts of steps
}

/** Of each model { unit, tokens }, tokens being those seen at each of its steps, or null where one is not known: the unit of the charts,
 * and which models have a place in it. The first model's names decide where tokens do not. */
export function chartUnit(models, first, areTokensWanted) {
  const units = new Set(models.map((model) => model.unit));
  const isKnown = models.every((model) => model.unit === "tokens" || model.tokens);
  const own = first?.unit ?? "steps";
  const isOfTokens = isKnown && (areTokensWanted || units.size > 1);
  const unit = isOfTokens ? "tokens" : own;
  const isCharted = (model) => model.unit === unit || (unit === "tokens" && Boolean(model.tokens));
  return { unit, isCharted, mayChoose: isKnown && units.size === 1 && own !== "tokens" && models.length > 0 };
}
