// The axis of training steps, which all charts share: logarithmic with step 0 beside it, or linear.

import { evenTicks, tick } from "./format.js";
import { unitPlace, unitTitle } from "./units.js";
import { view } from "./view.js";

const GAP = 0.4; // decades between step 0 and the first positive step

/** One run of ascending steps, as the analysis reads it: what begins anew (a later stage) or repeats a step is no point of its lines. */
export function ascending(rows) {
  let last = -1;
  return rows.filter(({ step }) => {
    const isNext = step !== null && step > last;
    if (isNext) last = step;
    return isNext;
  });
}

export const axis = {
  first: 0, // of all that is shown
  last: 1,
  positive: 1, // the smallest positive step
  steps: [], // all, ascending
  unit: "steps", // what they count

  /** Takes over the steps of what is shown, and what they count. */
  use(steps, unit) {
    this.unit = unit;
    this.steps = [...new Set(steps)].sort((a, b) => a - b);
    this.first = this.steps[0] ?? 0;
    this.last = this.steps.at(-1) ?? 1;
    this.positive = this.steps.find((step) => step > 0) ?? 1;
  },

  title() {
    return unitTitle(this.unit);
  },

  /** A step in words. */
  words(step) {
    return unitPlace(step, this.unit);
  },

  /** As short as possible, and as people say it: 200B tokens. */
  tick(step) {
    if (step >= 1e12) return `${Number((step / 1e12).toPrecision(6))}T`;
    return step >= 1e9 ? `${Number((step / 1e9).toPrecision(6))}B` : tick(step);
  },

  place(step) {
    if (view.axis === "linear") return step;
    return step > 0 ? Math.log10(step) : Math.log10(this.positive) - GAP;
  },

  step(place) {
    if (view.axis === "linear") return place;
    return place < Math.log10(this.positive) - GAP / 2 ? 0 : 10 ** place;
  },

  /** [low, high] in places, as wide as the zoom says. */
  range() {
    let low = this.place(Math.max(view.from ?? this.first, 0));
    let high = this.place(view.to ?? this.last);
    if (!(high > low)) {
      low -= 0.5;
      high += 0.5;
    }
    const room = (high - low) * 0.012;
    return [low - room, high + room];
  },

  ticks(low, high) {
    if (view.axis === "linear") return null; // Chart.js knows
    const fronts = high - low < 1.2 ? [1, 2, 3, 5, 7] : high - low < 2.6 ? [1, 2, 5] : [1];
    const places = [];
    if (this.first === 0) places.push(0);
    for (let power = Math.floor(low); power <= high; power++) {
      for (const front of fronts) {
        if (front * 10 ** power >= this.positive) places.push(front * 10 ** power); // what is left of it belongs to step 0
      }
    }
    const shown = (steps) => steps.map((step) => ({ value: this.place(step), label: this.tick(step) })).filter((at) => at.value >= low && at.value <= high);
    const made = shown(places);
    if (made.length > 1) return made;
    const even = shown(evenTicks(this.step(low), 10 ** high, 1).filter((step) => step === 0 || step >= this.positive)); // a part of a decade
    return even.length > 1 ? even : shown([0, this.last]);
  },

  /** The step of a revision that is nearest to a place. */
  nearest(place) {
    let best = null;
    for (const step of this.steps) {
      const distance = Math.abs(this.place(step) - place);
      if (best === null || distance < best.distance) best = { step, distance };
    }
    return best ? best.step : null;
  },
};
