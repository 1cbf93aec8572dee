// Onset against model size over all models that the daemon knows, with the fitted law.

/* global Chart */

import { getIfThere, turns } from "./api.js";
import { colour, font } from "./colours.js";
import { count, counted, csvLine, element, number, plain, powerTick, powerTicks, save, shortName } from "./format.js";
import { drawUnit } from "./marks.js";
import { savePicture } from "./picture.js";
import { renew, renewChildren } from "./table.js";
import { unitNumber, unitPlace } from "./units.js";
import { isHidden, ofTensor, view } from "./view.js";

const ID = "panel-scaling";
let scaling = null;
const scalingTurn = turns();

export async function fetchScaling() {
  const isNewer = scalingTurn();
  const found = await getIfThere(ofTensor(`/v1/scaling?rows=${view.rows}&view=${view.values}&unit=${view.law}`));
  if (isNewer()) scaling = found;
}

/** The unit of the law; onsets that are not known in it have no place. */
const unit = () => scaling?.unit ?? "tokens";

/** The units that a law can have, [unit, how many models are known in it]. */
const units = () => Object.entries(scaling?.units ?? {}).filter(([, models]) => models > 0).sort(([, one], [, other]) => other - one);

/** A model's onset in that unit, and the last place before it. */
function inUnit(one) {
  if (unit() === "tokens") return { ...one, onset: one.onset_tokens, before: one.onset_tokens_before };
  const isKnown = (one.step_unit ?? "steps") === unit();
  return { ...one, onset: isKnown ? one.onset_step : null, before: isKnown ? one.onset_step_before : null };
}

const isForked = (one) => one.onset > 0;

/** Where a model's point or, without an onset so far, the foot of its open bar is. */
const stepOf = (one) => (isForked(one) ? one.onset : one.before);

/** What a pointed-at model says, in words and exact numbers. */
function describe(one) {
  const since = Number.isFinite(one.before) ? `, after ${unitPlace(one.before, unit())}` : "";
  const onset = isForked(one) ? `onset at ${unitPlace(one.onset, unit())}${one.is_lasting === false ? ", not to the end" : ""}` : "no onset so far";
  return `${one.model}: ${number(one.parameter_count)} parameters, ${onset}${since}`;
}

export class Scaling {
  /** hub: { speak(text), law(unit) } */
  constructor(hub) {
    this.hub = hub;
    this.spec = { title: "Onset against model size", kind: "scaling", unit: "onset step", by: "rows and values" };
    this.pointed = -1;
    const button = (text, label, onclick) => element("button", { type: "button", class: "plain", "aria-label": `${label}: ${this.spec.title}`, title: label, onclick }, text);
    this.canvas = element("canvas", { tabindex: 0, role: "img", "aria-describedby": `${ID}-help` });
    this.tip = element("div", { class: "tip", hidden: true });
    this.plot = element("div", { class: "plot" }, this.canvas, this.tip);
    this.help = element("p", { class: "help", id: `${ID}-help` });
    this.choice = element("p", { class: "choice" });
    this.details = element("details", {}, element("summary", {}, "Data table"));
    this.root = element("figure", { class: "card panel", id: ID, "aria-labelledby": `${ID}-title`, hidden: true },
      element("header", {}, element("h3", { id: `${ID}-title` }, this.spec.title),
        button("CSV", "Download as CSV", () => save("scaling.csv", new Blob(this.csv(), { type: "text/csv" }))),
        button("PNG", "Download as PNG", () => savePicture(this))),
      this.help, this.choice, this.plot, this.details);
    this.canvas.addEventListener("pointermove", (event) => this.pointAt(event.offsetX, event.offsetY));
    this.canvas.addEventListener("pointerleave", () => this.point(-1));
    this.canvas.addEventListener("blur", () => this.point(-1));
    this.canvas.addEventListener("keydown", (event) => this.onKey(event));
  }

  /** shown: the models that the other charts show, which have colours. */
  update(shown) {
    const pointed = this.tip.hidden ? null : this.known[this.pointed].model;
    this.all = (scaling?.models || []).map(inUnit);
    this.spec.unit = `onset ${unit() === "steps" ? "step" : unit()}`;
    this.known = this.all.filter((one) => stepOf(one) > 0 && one.parameter_count > 0)
      .sort((a, b) => a.parameter_count - b.parameter_count);
    this.root.hidden = this.known.length < 2 && !units().some(([, models]) => models > 1);
    if (this.root.hidden) return;
    this.shown = shown;
    this.offerUnits();
    this.plot.hidden = this.details.hidden = this.known.length < 2;
    this.models = [{ name: this.law(), colour: colour("muted") }]; // the legend of the picture
    this.help.textContent = `${this.law()}. Bars: where the onset may be; to the top: none so far. Rows: ${view.rows}; values: ${view.values}.`;
    this.canvas.setAttribute("aria-label", plain(`${this.spec.title}. ${this.known.map(describe).join("; ")}. ${this.law()}.`));
    if (this.plot.hidden) {
      this.point(-1);
      return;
    }
    this.draw();
    this.point(this.known.findIndex((one) => one.model === pointed));
    this.fillTable();
  }

  /** A button for each unit: the law is in tokens until the reader takes another. */
  offerUnits() {
    const others = units().filter(([name]) => name !== unit());
    renewChildren(this.choice, others.length ? ["The law is over ", element("b", {}, unit()), ". Over ", ...others.map(([name, models]) =>
      element("button", { type: "button", class: "plain", "data-key": name, onclick: () => this.hub.law(name) }, `${name} (${counted(models, "model")})`))] : []);
  }

  law() {
    const fit = scaling.fit;
    const diverged = this.known.filter((one) => one.left_out === "diverged").map((one) => shortName(one.model));
    const others = this.all.filter((one) => one.left_out === "unit").map((one) => `${shortName(one.model)} (${one.step_unit})`);
    const cut = scaling.is_cut ? `; only of the first ${number(this.all.length)} models by name, of more` : "";
    const without = [[diverged, "diverged"], [others, `known in other units than ${unit()}`]].filter(([names]) => names.length)
      .map(([names, why]) => `; not in the law, ${why}: ${names.join(", ")}`).join("") + cut;
    if (!fit?.is_fitted) return `No law: ${fit?.reason || "not fitted"}${without}`;
    return `Onset ${unit() === "steps" ? "step" : unit()} = ${number(fit.prefactor, 3)} · parameters^${number(fit.exponent, 3)}; 95 % confidence of the exponent ${number(fit.exponent_low, 3)} to ${number(fit.exponent_high, 3)}; ${counted(fit.count, "model")} of ${counted(fit.sizes, "size")}, not forked so far: ${fit.unforked}${without}`;
  }

  look(one) {
    const model = this.shown.find((other) => other.name === one.model && !isHidden(other.name));
    return model?.look ?? { colour: colour("muted"), marker: { style: "circle" } };
  }

  /** Where a model's point lies on the axis of sizes: models of one size and onset stand side by side. */
  size(one) {
    const alike = this.known.filter((other) => other.parameter_count === one.parameter_count && stepOf(other) === stepOf(one));
    const span = this.known.at(-1).parameter_count / this.known[0].parameter_count;
    return one.parameter_count * Math.max(span, 2) ** (0.014 * (alike.indexOf(one) - (alike.length - 1) / 2));
  }

  datasets() {
    const looks = this.known.map((one) => this.look(one));
    const radii = this.known.map((one) => (isForked(one) ? 5 : 0)); // an open bar has no point
    const made = [{
      showLine: false, data: this.known.map((one) => ({ x: this.size(one), y: stepOf(one) })), pointRadius: radii, pointHoverRadius: radii,
      pointStyle: looks.map((one) => one.marker.style), pointRotation: looks.map((one) => one.marker.turn ?? 0),
      pointBackgroundColor: looks.map((one) => (one.marker.isHollow ? colour("card") : one.colour)), pointBorderColor: looks.map((one) => one.colour), pointBorderWidth: 1.5,
    }];
    for (const [i, one] of this.known.entries()) {
      if (one.before > 0) {
        made.push({ data: [one.before, isForked(one) ? one.onset : this.span()[1]].map((y) => ({ x: this.size(one), y })), pointRadius: 0, borderWidth: 1.4, borderColor: looks[i].colour });
      }
    }
    const fit = scaling.fit;
    if (fit?.is_fitted) {
      const ends = [this.known[0].parameter_count, this.known.at(-1).parameter_count];
      made.push({ data: ends.map((x) => ({ x, y: fit.prefactor * x ** fit.exponent })), pointRadius: 0, borderWidth: 1.4, borderDash: [5, 4], borderColor: colour("muted") });
    }
    return made;
  }

  /** Onset steps that have to be seen: the bars and the ends of the law. */
  span() {
    const fit = scaling.fit;
    const ends = fit?.is_fitted ? [this.known[0], this.known.at(-1)].map((one) => fit.prefactor * one.parameter_count ** fit.exponent) : [];
    const steps = this.known.flatMap((one) => [one.before, one.onset]).filter((step) => step > 0);
    const onsets = [Math.min(...steps), Math.max(...steps)];
    const near = ends.filter((end) => end > onsets[0] / 30 && end < onsets[1] * 30); // a law that is far off does not flatten the points
    return [Math.min(...onsets, ...near) / 1.5, Math.max(...onsets, ...near) * 1.5];
  }

  options() {
    const [low, high] = this.span();
    const grid = { color: colour("grid"), borderColor: colour("line"), tickColor: colour("line"), tickLength: 4 };
    const ticks = { color: colour("muted"), font: { size: 11, family: font() }, maxRotation: 0, autoSkipPadding: 10 };
    const sizes = this.known.map((one) => one.parameter_count);
    const log = (callback) => ({ type: "logarithmic", grid, ticks: { ...ticks, callback }, afterBuildTicks: (scale) => { scale.ticks = powerTicks(scale.min, scale.max); } });
    return {
      animation: false, responsive: true, maintainAspectRatio: false, events: [], devicePixelRatio: Math.max(2, window.devicePixelRatio),
      layout: { padding: { right: 14, top: 19 } }, plugins: { legend: { display: false }, tooltip: { enabled: false } },
      scales: {
        x: { ...log((value) => count(value)), min: Math.min(...sizes) / 1.4, max: Math.max(...sizes) * 1.4, title: { display: true, text: "parameters", color: colour("muted"), font: { size: 11, family: font() }, padding: 0 } },
        y: { ...log(powerTick), min: low, max: high, afterFit: (scale) => { scale.width = 64; } },
      },
    };
  }

  draw() {
    if (!this.chart) {
      const unit = { id: "unit", afterDatasetsDraw: (chart) => drawUnit(this, chart) };
      this.chart = new Chart(this.canvas, { type: "line", data: { datasets: this.datasets() }, options: this.options(), plugins: [unit] });
      return;
    }
    this.chart.data.datasets = this.datasets();
    this.chart.options = this.options();
    this.chart.update("none");
  }

  place(i) {
    const { x, y } = this.chart.scales;
    return [x.getPixelForValue(this.size(this.known[i])), y.getPixelForValue(stepOf(this.known[i]))];
  }

  pointAt(x, y) {
    const distances = this.known.map((_, i) => Math.hypot(this.place(i)[0] - x, this.place(i)[1] - y));
    const near = distances.indexOf(Math.min(...distances));
    this.point(distances[near] < 40 ? near : -1);
  }

  point(i) {
    this.pointed = i;
    this.tip.hidden = i < 0 || !this.chart;
    if (this.tip.hidden) return;
    const one = this.known[i];
    const heads = this.heads();
    const [x, y] = this.place(i);
    const row = (name, value) => element("tr", {}, element("td", {}, name), element("td", {}, value));
    this.tip.replaceChildren(element("b", {}, shortName(one.model)), element("table", {}, element("tbody", {},
      row("parameters", number(one.parameter_count)), row(heads[2], isForked(one) ? unitNumber(one.onset, unit()) : "none so far"), row(heads[3], unitNumber(one.before, unit())))));
    const isRight = x > this.plot.clientWidth / 2;
    this.tip.style.left = isRight ? "auto" : `${x + 12}px`;
    this.tip.style.right = isRight ? `${this.plot.clientWidth - x + 12}px` : "auto";
    this.tip.style.top = `${Math.max(0, Math.min(y - 20, this.plot.clientHeight - 90))}px`;
  }

  onKey(event) {
    const last = this.known.length - 1;
    const go = { ArrowRight: this.pointed + 1, ArrowLeft: this.pointed < 0 ? last : this.pointed - 1, Home: 0, End: last, Escape: -1 }[event.key];
    if (go === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.point(event.key === "Escape" ? -1 : Math.max(0, Math.min(last, go)));
    if (this.pointed >= 0) this.hub.speak(describe(this.known[this.pointed]));
  }

  /** For the picture: it has no quantities that could be switched off. */
  near() {}

  /** Of the table and of what the pointer says. */
  heads() {
    const word = unit() === "steps" ? "step" : unit();
    return ["model", "parameters", `onset ${word}`, `${word} before`];
  }

  fileName(ending) {
    return `scaling.${ending}`;
  }

  csv() {
    const rows = (scaling.models || []).map((one) => csvLine([one.model, one.parameter_count, one.verdict, one.onset_step, one.onset_step_before, one.left_out, one.step_unit, one.onset_tokens, one.onset_tokens_before, one.is_lasting]));
    return [csvLine(["model", "parameters", "verdict", "onset_step", "onset_step_before", "left_out", "step_unit", "onset_tokens", "onset_tokens_before", "is_lasting"]), ...rows];
  }

  fillTable() {
    const old = this.details.querySelector(".scroll");
    const words = { yes: "", no: "no onset", insufficient: "not enough data" };
    const without = (one) => (one.left_out === "too_long" ? "too many revisions" : words[one.verdict] ?? one.verdict);
    const rows = [...this.all].sort((a, b) => a.parameter_count - b.parameter_count).map((one) => element("tr", {},
      element("th", { scope: "row", title: one.model }, shortName(one.model)), element("td", {}, number(one.parameter_count)),
      element("td", {}, one.verdict === "yes" ? unitNumber(one.onset, unit()) : without(one)), element("td", {}, unitNumber(one.before, unit()))));
    const heads = this.heads();
    const now = element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Data of ${this.spec.title}` },
      element("table", { class: "data" }, element("thead", {}, element("tr", {}, ...heads.map((name) => element("th", { scope: "col" }, name)))), element("tbody", {}, ...rows)));
    if (old) renew(old, now);
    else this.details.append(now);
  }
}
