// Two-time displacement: how far any revision is from any other, estimated from the sample of entries.

import { getIfThere, modelPath } from "./api.js";
import { axis } from "./axis.js";
import { counted, csvLine, number } from "./format.js";
import { ramp, scaleLegend } from "./heat.js";
import { colour } from "./colours.js";
import { Panel } from "./panel.js";
import { unitOf } from "./units.js";
import { ofTensor, pictured } from "./view.js";

const REVISIONS = 120;

/** { revisions, steps, msd: [[…]], cosine: [[…]] }, or null where the daemon has none. */
export const fetchPairs = (name) => getIfThere(ofTensor(`${modelPath(name)}/displacement?limit=${REVISIONS}`));

/** The borders of cells: half the way to the neighbours. */
function borders(places) {
  const middle = places.slice(1).map((place, i) => (place + places[i]) / 2);
  const first = places.length > 1 ? places[0] - (middle[0] - places[0]) : places[0] - 0.5;
  const last = places.length > 1 ? places.at(-1) + (places.at(-1) - middle.at(-1)) : places[0] + 0.5;
  return [first, ...middle, last];
}

export class PairsPanel extends Panel {
  near(isNear) {
    super.near(isNear);
    if (isNear && this.isAwaited) this.hub.pairs();
  }

  update(models, marks, pictures) {
    const given = pictures.pairs;
    this.at = models.find((model) => model.name === pictured())?.at ?? ((step) => step);
    this.spec.unit = `against ${axis.unit === "steps" ? "step" : axis.unit}`;
    this.isAwaited = given === undefined && pictures.trajectories !== null; // both come from the sample of entries
    if (!this.isAwaited) this.take(given);
    else if (this.map?.model !== pictured()) this.map = null; // what was there stays until what is new has come
    super.update(models, marks, pictures, this.isAwaited && !this.map);
    if (this.isAwaited && this.isNear && pictures.trajectories) this.hub.pairs();
  }

  take(given) {
    this.map = given?.steps?.length > 1 ? { ...given, steps: given.steps.map((step) => this.at(step)), own: given.steps } : null;
    this.damaged = this.map?.damaged;
    if (!this.map) return;
    const positive = given.msd.flat().filter((value) => value > 0);
    const most = positive.reduce((one, other) => Math.max(one, other), 0);
    this.high = Math.log10(most);
    this.low = Math.log10(positive.reduce((one, other) => Math.min(one, other), most));
    this.low = Math.max(this.low, this.high - 6);
  }

  makeLines() {
    if (!this.map || !this.models.length) return [];
    const points = this.map.steps.map((step, i) => ({ step, y: this.map.msd[i][0], row: { revision: this.map.revisions[i], step } }));
    const name = `MSD from ${this.map.revisions[0]}`;
    return [{ key: name, model: this.models[0], quantity: { name }, label: name, colour: this.models[0].colour, points }];
  }

  datasets() {
    return [{ data: [], borderWidth: 0 }];
  }

  options() {
    const made = super.options();
    const [low, high] = axis.range();
    Object.assign(made.scales.y, {
      min: low, max: high, grace: 0, ticks: { ...made.scales.x.ticks },
      afterBuildTicks: (scale) => {
        const ticks = axis.ticks(scale.min, scale.max);
        scale.ticks = ticks ?? scale.ticks.filter((at) => at.value >= 0);
      },
    });
    return made;
  }

  scale() {
    const marks = this.high > this.low ? [[0, number(10 ** this.low, 2)], [1, number(10 ** this.high, 2)]] : [[1, number(10 ** this.high, 2)]];
    return { colours: ramp(), marks, caption: "weight², logarithmic" };
  }

  legendLines() {
    return [...this.modelLegend(), scaleLegend(this.scale())];
  }

  drawUnder(chart) {
    if (!this.map) return;
    const { ctx, chartArea: area, scales } = chart;
    const colours = ramp();
    const edges = borders(this.map.steps.map((step) => axis.place(step)));
    const xs = edges.map((place) => scales.x.getPixelForValue(place));
    const ys = edges.map((place) => scales.y.getPixelForValue(place));
    ctx.save();
    ctx.beginPath();
    ctx.rect(area.left, area.top, area.right - area.left, area.bottom - area.top);
    ctx.clip();
    this.map.msd.forEach((row, i) => row.forEach((value, k) => {
      if (value === null) return; // not known
      const share = value > 0 ? (this.high > this.low ? (Math.log10(value) - this.low) / (this.high - this.low) : 1) : 0;
      ctx.fillStyle = colours[Math.round(Math.min(Math.max(share, 0), 1) * (colours.length - 1))];
      ctx.fillRect(xs[i], ys[k + 1], xs[i + 1] - xs[i] + 0.5, ys[k] - ys[k + 1] + 0.5);
    }));
    ctx.restore();
  }

  placeSpots() {}

  point(step, isOwn) {
    if (this.map) super.point(step, isOwn);
  }

  reading(step) {
    const i = this.map ? this.map.steps.indexOf(step) : -1;
    if (i < 0) return [];
    const wanted = Number.isFinite(this.pointedValue) ? this.pointedValue : axis.place(this.map.steps[0]);
    const distances = this.map.steps.map((one) => Math.abs(axis.place(one) - wanted));
    const k = distances.indexOf(Math.min(...distances));
    const row = { revision: this.map.revisions[i] };
    return [
      [axis.unit === "steps" ? "against step" : "against", axis.words(this.map.steps[k]).replace(/^step /, ""), colour("muted"), row],
      ["MSD", number(this.map.msd[i][k], 5), colour("accent"), row],
      ["cosine", number(this.map.cosine?.[i]?.[k], 5), colour("muted"), row],
    ];
  }

  summary() {
    return `${this.spec.title} of ${this.models[0].name}: ${counted(this.map.steps.length, "revision")}. The CSV holds the matrix.`;
  }

  csv() {
    const lines = [csvLine(["model", "revision", "step", "step_unit", ...this.map.revisions])];
    this.map.msd.forEach((row, i) => lines.push(csvLine([this.map.model, this.map.revisions[i], this.map.own[i], unitOf(this.map.model), ...row])));
    return lines;
  }
}
