// Pointing at a chart and zooming it, by mouse, finger and keyboard. All panels share one axis of steps and one step that is pointed at.

import { axis } from "./axis.js";
import { view } from "./view.js";

const DRAG = 6; // pixels that a hand trembles

export function listen(panel) {
  const { plot, canvas, hub } = panel;
  let start = null;
  const inPlot = (event) => event.clientX - plot.getBoundingClientRect().left;
  const placeAt = (x) => panel.chart.scales.x.getValueForPixel(x);
  const pointAt = (event) => {
    panel.pointedValue = panel.chart.scales.y.getValueForPixel(event.clientY - plot.getBoundingClientRect().top);
    hub.point(axis.nearest(placeAt(inPlot(event))), panel);
  };
  const isDrag = (x) => start !== null && Math.abs(x - start) > DRAG;
  plot.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !panel.chart) return; // it is drawn when it first comes into view
    start = inPlot(event);
    plot.setPointerCapture(event.pointerId);
  });
  plot.addEventListener("pointermove", (event) => {
    if (!panel.chart) return;
    const x = inPlot(event);
    if (isDrag(x)) panel.showBand(start, x);
    else pointAt(event);
  });
  plot.addEventListener("pointerup", (event) => {
    const x = inPlot(event);
    panel.band.hidden = true;
    if (isDrag(x)) {
      const [low, high] = [Math.min(start, x), Math.max(start, x)].map((at) => Math.max(0, Math.round(axis.step(placeAt(at)))));
      if (high > low) hub.zoom(low, high);
    } else if (start !== null && event.pointerType === "touch") {
      pointAt(event); // a tap; there is nothing that hovers
    }
    start = null;
  });
  plot.addEventListener("pointercancel", () => {
    start = null;
    panel.band.hidden = true;
  });
  plot.addEventListener("pointerleave", (event) => {
    if (start === null && event.pointerType !== "touch") hub.point(null, panel); // a finger leaves with every tap
  });
  plot.addEventListener("dblclick", () => hub.zoom(null, null));
  canvas.addEventListener("keydown", (event) => onKey(panel, event));
  canvas.addEventListener("blur", () => hub.point(null, panel));
}

function zoomByKey(panel, isIn) {
  const [low, high] = axis.range();
  const middle = panel.pointed === null || panel.pointed === undefined ? (low + high) / 2 : axis.place(panel.pointed);
  const half = ((high - low) / 2) * (isIn ? 0.5 : 2);
  const ends = [middle - half, middle + half].map((place) => Math.round(axis.step(place)));
  const from = Math.max(axis.first, ends[0]);
  const to = Math.min(axis.last, ends[1]);
  if (from <= axis.first && to >= axis.last) panel.hub.zoom(null, null);
  else if (to > from) panel.hub.zoom(from, to);
}

function stepByKey(panel, key) {
  const steps = axis.steps.filter((step) => step >= (view.from ?? 0) && step <= (view.to ?? Infinity));
  const at = steps.indexOf(panel.pointed);
  const go = { ArrowRight: at + 1, ArrowLeft: at < 0 ? steps.length - 1 : at - 1, Home: 0, End: steps.length - 1 }[key];
  if (go === undefined) return false;
  if (!steps.length) return true; // zoomed to where nothing is
  const step = steps[Math.max(0, Math.min(steps.length - 1, go))];
  panel.pointedValue = NaN;
  panel.hub.point(step, panel);
  panel.hub.speak(`${axis.words(step).replaceAll("\u202f", "")}: ${panel.reading(step).map(([name, value]) => `${name} ${value}`).join(", ") || "no value"}`);
  return true;
}

function onKey(panel, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "+" || event.key === "=" || event.key === "-") zoomByKey(panel, event.key !== "-");
  else if (event.key === "0") panel.hub.zoom(null, null);
  else if (event.key === "Escape") panel.hub.point(null, panel);
  else if (!stepByKey(panel, event.key)) return;
  event.preventDefault();
}
