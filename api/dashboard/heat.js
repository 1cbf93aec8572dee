// The picture of the forking: the share of values in each bin at each revision, as a map over steps and values.

import { getIfThere, modelPath, REVISIONS_PAGE, turns, whole } from "./api.js";
import { ascending, axis } from "./axis.js";
import { counted, csvLine, element, number } from "./format.js";
import { colour, isDark } from "./colours.js";
import { Panel } from "./panel.js";
import { unitOf } from "./units.js";
import { ofTensor, pictured, view } from "./view.js";

const BINS = 160;
const LEVELS = 96;
const RAMPS = {
  light: [[255, 255, 255], [198, 219, 239], [107, 174, 214], [33, 113, 181], [8, 48, 107], [4, 20, 50]],
  dark: [[22, 27, 34], [20, 52, 96], [24, 100, 160], [60, 160, 190], [150, 215, 170], [253, 245, 180]],
};

const kept = new Map(); // address → distribution
const keptTurn = turns();

/** The distribution of a model for the chosen rows and values, or null where the daemon has none. */
export async function fetchDistribution(name, isFresh) {
  const path = ofTensor(`${modelPath(name)}/distribution?rows=${view.rows}&view=${view.values}&bins=${BINS}&limit=${REVISIONS_PAGE}`);
  if (!isFresh && kept.has(path)) return kept.get(path);
  const isNewer = keptTurn();
  if (isFresh) kept.clear(); // those of other rows and values are as old, and one model is pictured
  const map = await whole(path, "revisions", getIfThere);
  if (isNewer()) kept.set(path, map); // else it may be older than what was kept meanwhile; it is asked for again
  return map;
}

/** LEVELS colours from nothing to the fullest bin, as [red, green, blue]. */
function shades() {
  const stops = RAMPS[isDark() ? "dark" : "light"];
  return Array.from({ length: LEVELS }, (_, level) => {
    const at = (level / (LEVELS - 1)) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    return stops[low].map((value, i) => Math.round(value + (stops[low + 1][i] - value) * (at - low)));
  });
}

/** The same for style sheets. */
export const ramp = () => shades().map((shade) => `rgb(${shade.join(" ")})`);

/** A scale of colours as part of a legend: { colours, marks: [[place in 0…1, text]], caption }. */
export function scaleLegend({ colours, marks, caption }) {
  const bar = element("span", { class: "colourbar" });
  bar.style.background = `linear-gradient(to right, ${colours.join(",")})`;
  const names = marks.map(([place, text]) => {
    const mark = element("span", { class: "mark" }, text);
    mark.style.left = `${100 * place}%`;
    return mark;
  });
  return element("li", { class: "muted scale", "aria-hidden": "true" }, element("span", { class: "colours" }, bar, ...names), caption);
}

const level = (count, most) => Math.round(Math.sqrt(count / most) * (LEVELS - 1));

export class HeatPanel extends Panel {
  update(models, marks, pictures) {
    const map = pictures.distribution;
    this.damaged = map?.damaged;
    const at = models.find((model) => model.name === pictured())?.at ?? ((step) => step);
    const rows = ascending((map?.revisions || []).filter((row) => row.elements > 0).map((row) => ({ ...row, step: at(row.step), own: row.step })));
    this.map = map && rows.length ? { ...map, rows, width: (map.high - map.low) / map.bins } : null;
    super.update(models, marks, pictures, map === undefined);
  }

  makeLines() {
    if (!this.map || !this.models.length) return []; // the map may come before the series
    const points = this.map.rows.map((row) => ({ step: row.step, y: this.middle(row.counts.indexOf(Math.max(...row.counts))), row }));
    return [{ key: "mode", model: this.models[0], label: "fullest bin", quantity: { name: "fullest bin" }, colour: this.models[0].colour, points }];
  }

  middle(bin) {
    return this.map.low + (bin + 0.5) * this.map.width;
  }

  /** The bins at the ends hold what lies beyond them, too. */
  bin(i) {
    if (i === 0) return `below ${number(this.map.low + this.map.width, 4)}`;
    if (i === this.map.bins - 1) return `above ${number(this.map.high - this.map.width, 4)}`;
    return `at ${number(this.middle(i), 4)}`;
  }

  datasets() {
    return [{ data: [], borderWidth: 0 }];
  }

  options() {
    const made = super.options();
    Object.assign(made.scales.y, { min: this.map.low, max: this.map.high, grace: 0 });
    return made;
  }

  /** The colours' scale: even steps of the square root of the share. */
  scale() {
    return { colours: ramp(), marks: [0, 0.1, 0.5, 1].map((share) => [Math.sqrt(share), `${100 * share} %`]), caption: "of the fullest bin" };
  }

  legendLines() {
    return [...this.modelLegend(), scaleLegend(this.scale())];
  }

  /** Each revision fills half the way to its neighbours; colour grows with the square root of the count. A revision is a strip of pixels,
   * one for each bin, stretched to its place: thousands of them are drawn in a fraction of the time that rectangles take. */
  drawUnder(chart) {
    if (!this.map) return;
    const { ctx, chartArea: area, scales } = chart;
    const { bins } = this.map;
    const places = this.map.rows.map((row) => scales.x.getPixelForValue(axis.place(row.step)));
    const colours = shades();
    const strip = element("canvas", { width: 1, height: bins });
    const brush = strip.getContext("2d");
    const pixels = brush.createImageData(1, bins);
    ctx.save();
    ctx.imageSmoothingEnabled = false;
    ctx.beginPath();
    ctx.rect(area.left, area.top, area.right - area.left, area.bottom - area.top);
    ctx.clip();
    this.map.rows.forEach((row, i) => {
      const reach = i > 0 ? (places[i] - places[i - 1]) / 2 : ((places[1] ?? places[0] + 20) - places[0]) / 2;
      const left = places[i] - reach;
      const right = places[i] + (i + 1 < places.length ? (places[i + 1] - places[i]) / 2 : reach);
      if (right < area.left || left > area.right) return;
      const most = Math.max(...row.counts);
      row.counts.forEach((count, bin) => {
        const at = 4 * (bins - 1 - bin);
        [pixels.data[at], pixels.data[at + 1], pixels.data[at + 2]] = colours[level(count, most)];
        pixels.data[at + 3] = count ? 255 : 0;
      });
      brush.putImageData(pixels, 0, 0);
      ctx.drawImage(strip, left, area.top, right - left + 0.6, area.bottom - area.top);
    });
    ctx.restore();
  }

  placeSpots() {}

  reading(step) {
    const row = this.map?.rows.find((one) => one.step === step);
    if (!row) return [];
    const read = [["fullest bin", number(this.middle(row.counts.indexOf(Math.max(...row.counts))), 4), colour("accent"), row]];
    const bin = Math.floor((this.pointedValue - this.map.low) / this.map.width);
    if (bin >= 0 && bin < this.map.bins) {
      read.push([`share ${this.bin(bin)}`, `${number((100 * row.counts[bin]) / row.elements, 4)} %`, ramp()[level(row.counts[bin], Math.max(...row.counts))], row]);
    }
    if (row.not_finite > 0) read.push(["NaN or Inf", `${number((100 * row.not_finite) / row.elements, 3)} %`, colour("muted"), row]);
    return read;
  }

  summary() {
    return `${this.spec.title} of ${this.models[0].name}: ${counted(this.map.rows.length, "revision")}, ${this.map.bins} bins from ${number(this.map.low, 4)} to ${number(this.map.high, 4)}. The CSV holds the counts.`;
  }

  csv() {
    const edges = Array.from({ length: this.map.bins }, (_, bin) => this.middle(bin).toPrecision(6));
    const lines = [csvLine(["model", "revision", "step", "step_unit", "elements", ...edges])];
    for (const row of this.map.rows) lines.push(csvLine([this.map.model, row.revision, row.own, unitOf(this.map.model), row.elements, ...row.counts]));
    return lines;
  }
}
