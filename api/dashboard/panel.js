// One chart with its title, legend, zoom, hover, downloads and table. Chart.js draws lines and axes; pointing
// and zooming are done here, because all panels share one axis of steps and one pointed-at revision.

/* global Chart */

import { axis } from "./axis.js";
import { colour, font } from "./colours.js";
import { counted, csvLine, element, number, plain, powerTick, powerTicks, save, shortName, tick } from "./format.js";
import { datasetsOf } from "./lines.js";
import { keyOf } from "./looks.js";
import { drawGuides, drawMarks, drawUnit, markRoom } from "./marks.js";
import { quantiles } from "./panels.js";
import { savePicture } from "./picture.js";
import { listen } from "./pointing.js";
import { renew, renewChildren } from "./table.js";
import { fillTip } from "./tip.js";
import { unitOf } from "./units.js";
import { chosen, isHidden, pictured, statistic, view } from "./view.js";

const Y_WIDTH = 64; // so that the plots of a column stand below each other
const nearness = new IntersectionObserver((entries) => {
  for (const entry of entries) entry.target.panel.near(entry.isIntersecting);
}, { rootMargin: "500px" });

export class Panel {
  /** hub: { point(step, panel), zoom(from, to), turn(id), candidates(), picture(name), speak(text) } */
  constructor(spec, hub) {
    this.spec = spec;
    this.hub = hub;
    this.off = new Set(); // quantities that are switched off
    this.marks = [];
    this.build();
    nearness.observe(this.root);
    this.root.panel = this;
  }

  /** Charts are drawn when they come near the window. */
  near(isNear) {
    this.isNear = isNear;
    if (isNear && this.isStale) this.draw();
  }

  build() {
    const { spec } = this;
    const id = `panel-${spec.id}`;
    const button = (text, label, onclick) => element("button", { type: "button", class: "plain", "aria-label": `${label}: ${spec.title}`, title: label, onclick }, text);
    this.legend = element("ul", { class: "legend" });
    this.canvas = element("canvas", { tabindex: 0, role: "img", "aria-describedby": `${id}-help` });
    this.cross = element("div", { class: "cross", hidden: true });
    this.spots = element("div");
    this.band = element("div", { class: "band", hidden: true });
    this.tip = element("div", { class: "tip", hidden: true });
    this.plot = element("div", { class: "plot" }, this.canvas, this.cross, this.spots, this.band, this.tip);
    this.drawn = element("span", { class: "drawn" });
    this.details = element("details", { ontoggle: () => this.fillTable() }, element("summary", {}, "Data table"));
    this.wideButton = button("⤢", "Wide or narrow", () => this.hub.turn(spec.id));
    this.root = element("figure", { class: "card panel", id, "aria-labelledby": `${id}-title` },
      element("header", {},
        element("h3", { id: `${id}-title` }, spec.title),
        this.wideButton,
        button("CSV", "Download as CSV", () => this.saveCsv()),
        button("PNG", "Download as PNG", () => this.savePng())),
      element("p", { class: "help", id: `${id}-help` }, this.drawn, spec.help || ""),
      this.legend, this.plot, this.details);
    listen(this);
  }

  // -- Data ------------------------------------------------------------------------------------

  /** models: [{name, look, colour, rows, at}]; rows of revisions with a step, in order. pictures: as pictures.js has them, for panels that are made of
   * them. Of what is on its way there is the empty card, so that
   * nothing jumps once it is there. */
  update(models, marks, pictures, isOnItsWay = false) {
    const pointed = this.pointed ?? null; // by a reader whom a live sweep does not disturb
    const isOwn = !this.tip.hidden;
    this.models = this.spec.kind ? models.filter((model) => model.name === pictured()) : models; // a picture is of one model
    this.marks = marks.filter((mark) => (this.spec.kind ? mark.model === pictured() : !isHidden(mark.model)));
    this.lines = isOnItsWay ? [] : this.makeLines();
    this.plot.classList.toggle("awaited", isOnItsWay);
    this.root.hidden = isOnItsWay ? !this.models.some((model) => model.rows.length) : !this.lines.some((line) => line.points.length);
    if (this.root.hidden) return;
    this.root.classList.toggle("wide", Boolean(this.spec.wide) !== view.wide.has(this.spec.id));
    this.root.classList.toggle("compared", !this.spec.kind && this.models.length > 1);
    this.wideButton.setAttribute("aria-pressed", this.root.classList.contains("wide"));
    this.drawn.textContent = chosen(this.spec.by).words;
    this.fillLegend();
    if (this.details.open) this.fillTable();
    if (isOnItsWay) {
      this.isStale = false; // there is nothing to draw
      this.unpoint();
      return;
    }
    this.draw();
    this.canvas.setAttribute("aria-label", plain(this.summary()));
    this.point(pointed, isOwn);
  }

  makeLines() {
    this.leftOut = 0;
    return this.spec.kind === "fan" ? this.fanLines() : this.spec.quantities.flatMap((quantity) => this.quantityLines(quantity));
  }

  quantityLines(quantity) {
    return this.models.map((model) => {
      const derive = quantity.derive ? quantity.derive(model.rows, model) : null;
      const column = quantity.column ? quantity.column() : null;
      const points = [];
      for (const row of model.rows) {
        const y = derive ? derive(row) : row[column];
        if (y === null || y === undefined) continue;
        if (this.spec.y === "log" && !(y > 0)) continue;
        if (quantity.mode && !model.apart) continue; // not drawn, to be taken away again
        if (quantity.mode && model.apart.get(row.revision)?.includes(quantity.mode)) {
          this.leftOut += 1;
          continue;
        }
        if (quantity.isFromReference && row.reference !== model.reference) {
          this.leftOut += 1;
          continue;
        }
        const error = quantity.error ? row[quantity.error] : null;
        points.push({ step: row.step, y, error, row });
      }
      const label = this.models.length > 1 ? `${shortName(model.name)}: ${quantity.name}` : quantity.name;
      return { key: quantity.name, model, quantity, label, line: quantity.line, colour: model.colour, points };
    }).filter((line) => line.points.length);
  }

  /** Quantiles of the first model as lines between which Chart.js fills. */
  fanLines() {
    const model = this.models[0];
    if (!model) return [];
    return quantiles.map((name) => {
      const column = statistic(name);
      const points = model.rows.filter((row) => row[column] !== null && row[column] !== undefined).map((row) => ({ step: row.step, y: row[column], row }));
      const label = name === "q50" ? "median" : `${Number(name.length === 4 ? name.slice(1) / 10 : name.slice(1))} %`;
      return { key: name, model, label, colour: model.colour, points };
    });
  }

  datasets() {
    return datasetsOf(this);
  }

  isOff(line) {
    return this.off.has(line.key) || (!this.spec.kind && isHidden(line.model.name));
  }

  shown() {
    return this.lines.filter((line) => !this.isOff(line));
  }

  // -- Drawing ---------------------------------------------------------------------------------

  options() {
    const [low, high] = axis.range();
    const isLog = this.spec.y === "log";
    const grid = { color: colour("grid"), borderColor: colour("line"), tickColor: colour("line"), tickLength: 4 };
    const ticks = { color: colour("muted"), font: { size: 11, family: font() }, maxRotation: 0, autoSkipPadding: 10 };
    return {
      animation: false, responsive: true, maintainAspectRatio: false, parsing: false, normalized: true, events: [], spanGaps: true,
      devicePixelRatio: Math.max(2, window.devicePixelRatio), layout: { padding: { right: 10, top: markRoom(this) } },
      plugins: { legend: { display: false }, tooltip: { enabled: false }, filler: { propagate: false } },
      scales: {
        x: {
          type: "linear", min: low, max: high, grid, ticks: { ...ticks, includeBounds: false, callback: (value, i, all) => all[i].label ?? axis.tick(value) },
          afterBuildTicks: (scale) => {
            const made = axis.ticks(scale.min, scale.max);
            if (made) scale.ticks = made;
            else scale.ticks = scale.ticks.filter((at) => at.value >= 0);
          },
          title: { display: true, text: axis.title(), color: colour("muted"), font: { size: 11, family: font() }, padding: 0 },
        },
        y: {
          type: isLog ? "logarithmic" : "linear", grid, grace: isLog || this.spec.span ? 0 : "4%",
          suggestedMin: this.spec.span?.[0], suggestedMax: this.spec.span?.[1],
          afterFit: (scale) => { scale.width = Y_WIDTH; },
          afterBuildTicks: isLog ? (scale) => { scale.ticks = powerTicks(scale.min, scale.max); } : undefined,
          ticks: { ...ticks, maxTicksLimit: 7, includeBounds: false, callback: (value, i, all) => (isLog ? all[i].label ?? powerTick(value) : tick(value)) },
        },
      },
    };
  }

  /** isForced: although it is not near the window. */
  draw(isForced = false) {
    this.isStale = !this.isNear && !isForced;
    if (this.isStale) return;
    if (!this.chart) {
      const guides = {
        id: "guides", beforeDatasetsDraw: (chart) => this.drawUnder(chart),
        afterDatasetsDraw: (chart) => {
          drawGuides(this, chart);
          drawMarks(this, chart);
          drawUnit(this, chart);
        },
      };
      this.chart = new Chart(this.canvas, { type: "line", data: { datasets: this.datasets() }, options: this.options(), plugins: [guides] });
      return;
    }
    this.chart.data.datasets = this.datasets();
    this.chart.options = this.options();
    this.chart.update("none");
  }

  /** What lies under the lines; maps are drawn here. */
  drawUnder() {}

  fillLegend() {
    renewChildren(this.legend, this.legendLines());
    const choice = this.legend.querySelector("select");
    if (choice) choice.value = this.models[0].name;
    this.legend.hidden = !this.legend.childElementCount;
  }

  leftOutLegend() {
    const text = this.leftOutText();
    return text ? [element("li", { class: "muted", "data-key": "left-out", title: this.damaged?.join(", ") }, text)] : [];
  }

  /** For panels that show one model only: which, and a choice where there are several. */
  modelLegend() {
    return [this.modelSign(), ...this.leftOutLegend()];
  }

  modelSign() {
    const candidates = this.hub.candidates();
    if (candidates.length > 1) {
      const choice = element("select", { "aria-label": `Model of ${this.spec.title}`, onchange: (event) => this.hub.picture(event.target.value) },
        ...candidates.map((model) => element("option", { value: model.name }, shortName(model.name))));
      return element("li", { class: "of" }, keyOf(this.models[0].look), choice);
    }
    return element("li", { class: "muted of", title: this.models[0].name }, keyOf(this.models[0].look), shortName(this.models[0].name));
  }

  legendButton(name, title, text, shade, line) {
    const key = element("span", { class: `key ${line || ""}` });
    key.style.borderColor = shade;
    const toggle = () => {
      if (!this.off.delete(name)) this.off.add(name);
      this.fillLegend();
      this.draw();
    };
    return element("li", { "data-key": name }, element("button", { type: "button", class: "plain", "aria-pressed": !this.off.has(name), title, onclick: toggle }, key, text));
  }

  /** How many points no line has, or which revisions a picture lacks; "" if all are drawn. */
  leftOutText() {
    if (this.damaged?.length) return `${counted(this.damaged.length, "revision")} left out: damaged`;
    const what = this.spec.quantities?.some((quantity) => quantity.isFromReference) ? "from another reference" : "of other texts";
    return this.leftOut ? `${number(this.leftOut)} ${what} left out` : "";
  }

  /** Quantities by their dashes; models are in the legend of all charts. */
  legendLines() {
    if (this.spec.kind) return this.modelLegend();
    const isMany = this.models.length > 1;
    const quantities = [...new Map(this.lines.map((line) => [line.key, line])).values()];
    const made = [];
    if (!isMany || this.spec.quantities.length > 1) {
      made.push(...quantities.map((line) => this.legendButton(line.key, "Show or hide", line.key, isMany ? colour("muted") : line.colour, line.line)));
    }
    return [...made, ...this.leftOutLegend()];
  }

  // -- Pointing and zooming --------------------------------------------------------------------

  showBand(from, to) {
    const area = this.chart.chartArea;
    const low = Math.max(area.left, Math.min(from, to));
    const high = Math.min(area.right, Math.max(from, to));
    this.band.hidden = false;
    this.band.style.left = `${low}px`;
    this.band.style.width = `${Math.max(0, high - low)}px`;
    this.band.style.top = `${area.top}px`;
    this.band.style.height = `${area.bottom - area.top}px`;
  }

  /** [name, value, colour, row, model, number] of each line at a step. */
  reading(step) {
    const read = [];
    for (const line of this.shown()) {
      const point = line.points.find((one) => one.step === step);
      if (!point) continue;
      const spread = point.error > 0 ? ` ± ${number(point.error, 3)}` : "";
      read.push([line.label, number(point.y, 7) + spread, line.colour, point.row, line.model, point.y]);
    }
    return this.spec.kind === "fan" ? read.reverse() : read;
  }

  point(step, isOwn) {
    this.pointed = step;
    if (!this.chart || this.root.hidden || this.isStale) return;
    const x = step === null ? NaN : this.chart.scales.x.getPixelForValue(axis.place(step));
    const area = this.chart.chartArea;
    if (!(x >= area.left - 1 && x <= area.right + 1)) {
      this.unpoint();
      return;
    }
    this.cross.hidden = false;
    this.cross.style.transform = `translateX(${x}px)`;
    this.cross.style.top = `${area.top}px`;
    this.cross.style.height = `${area.bottom - area.top}px`;
    this.placeSpots(step, x);
    this.tip.hidden = !isOwn;
    if (isOwn) fillTip(this, step, x);
  }

  unpoint() {
    this.pointed = null;
    this.cross.hidden = true;
    this.tip.hidden = true;
    this.spots.replaceChildren();
  }

  placeSpots(step, x) {
    const spots = [];
    for (const line of this.shown()) {
      const point = this.spec.kind === "fan" && line.key !== "q50" ? null : line.points.find((one) => one.step === step);
      if (!point) continue;
      const y = this.chart.scales.y.getPixelForValue(point.y);
      if (y < this.chart.chartArea.top - 1 || y > this.chart.chartArea.bottom + 1) continue;
      const spot = element("span", { class: "spot" });
      Object.assign(spot.style, { left: `${x}px`, top: `${y}px`, background: line.colour });
      spots.push(spot);
    }
    this.spots.replaceChildren(...spots);
  }

  // -- What can be taken away ------------------------------------------------------------------

  summary() {
    const parts = this.shown().filter((line) => this.spec.kind !== "fan" || line.key === "q50").map((line) => {
      const [first, last] = [line.points[0], line.points.at(-1)];
      const said = (step) => axis.words(step).replaceAll("\u202f", "");
      return `${line.label} from ${number(first.y, 4)} at ${said(first.step)} to ${number(last.y, 4)} at ${said(last.step)}`;
    });
    return `${this.spec.title}. ${parts.join("; ")}. The data table below holds the numbers.`;
  }

  rows() {
    const named = new Map();
    for (const line of this.lines) {
      for (const point of line.points) {
        const key = `${line.model.name} ${point.row.revision}`;
        if (!named.has(key)) named.set(key, { model: line.model.name, row: point.row, values: {} });
        const name = line.quantity ? line.quantity.name : line.label;
        named.get(key).values[name] = point.y;
        if (line.quantity?.error) named.get(key).values[`${name} standard error`] = point.error;
      }
    }
    const columns = [...new Set([...named.values()].flatMap((one) => Object.keys(one.values)))];
    return { columns, rows: [...named.values()] };
  }

  fillTable() {
    const old = this.details.querySelector(".scroll");
    if (!this.details.open) {
      old?.remove();
      return;
    }
    const { columns, rows } = this.rows();
    const isMany = this.models.length > 1;
    const head = element("tr", {}, ...["revision", ...(isMany ? ["model"] : []), ...columns].map((name) => element("th", { scope: "col" }, name)));
    const body = rows.map((one) => element("tr", {},
      element("th", { scope: "row" }, one.row.revision), isMany && element("td", { title: one.model }, shortName(one.model)),
      ...columns.map((name) => element("td", {}, number(one.values[name], 7)))));
    const now = element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Data of ${this.spec.title}` },
      element("table", { class: "data" }, element("caption", { class: "unseen" }, this.spec.title), element("thead", {}, head), element("tbody", {}, ...body)));
    if (old) renew(old, now);
    else this.details.append(now);
  }

  fileName(ending) {
    const models = this.models.map((model) => model.name.replace(/[^A-Za-z0-9]+/g, "-")).join("_").slice(0, 80);
    return `${models}_${this.spec.id}${chosen(this.spec.by).ending}.${ending}`;
  }

  saveCsv() {
    if (!this.lines?.length) return; // on its way
    save(this.fileName("csv"), new Blob(this.csv(), { type: "text/csv" }));
  }

  csv() {
    const { columns, rows } = this.rows();
    const lines = [csvLine(["model", "revision", "step", "step_unit", ...columns])];
    for (const one of rows) lines.push(csvLine([one.model, one.row.revision, one.row.own ?? one.row.step, unitOf(one.model), ...columns.map((name) => one.values[name])]));
    return lines;
  }

  savePng() {
    if (!this.lines?.length) return;
    this.near(true);
    savePicture(this);
  }
}
