// What is drawn over the lines of a chart: guide lines with their names, the verdicts as upright lines and bands, and the
// unit of the values.

import { axis } from "./axis.js";
import { colour, fade, font } from "./colours.js";
import { lit } from "./legend.js";
import { view } from "./view.js";

const LINE = 13; // pixels between two lines of names
const NARROW = 420; // pixels of a plot that has room for short names only

/** Pixels above a plot: a line for the unit, and one or two for the names of marks. */
export function markRoom(panel) {
  const named = panel.marks.filter((mark) => mark.label);
  if (!named.length) return panel.spec.unit ? 21 : 6;
  const isTight = view.axis === "linear" || panel.plot.clientWidth < NARROW;
  return named.length > 2 || (named.length > 1 && isTight) ? 32 : 19;
}

/** Text that stays legible over lines. */
function write(ctx, text, x, y, shade) {
  ctx.setLineDash([]);
  ctx.lineJoin = "round";
  ctx.lineWidth = 3;
  ctx.strokeStyle = colour("card");
  ctx.strokeText(text, x, y);
  ctx.fillStyle = shade;
  ctx.fillText(text, x, y);
}

/** Where a name of this width ends at the right, so that no mark runs through it. */
function rightOf(panel, chart, width) {
  const { chartArea: area, scales } = chart;
  let right = area.right - 3;
  const lines = panel.marks.filter((mark) => mark.to === undefined).map((mark) => scales.x.getPixelForValue(axis.place(mark.step)));
  for (const x of lines.sort((a, b) => b - a)) {
    if (x > right - width - 4 && x < right + 4) right = x - 5;
  }
  return right - width > area.left ? right : area.right - 3;
}

export function drawGuides(panel, chart) {
  const { ctx, chartArea: area, scales } = chart;
  ctx.save();
  ctx.font = `10.5px ${font()}`;
  ctx.textAlign = "right";
  for (const guide of panel.spec.guides || []) {
    if (guide.y < scales.y.min || guide.y > scales.y.max) continue;
    const y = scales.y.getPixelForValue(guide.y);
    ctx.strokeStyle = colour("muted");
    ctx.globalAlpha = 0.7;
    ctx.lineWidth = 1;
    ctx.setLineDash([3, 4]);
    ctx.beginPath();
    ctx.moveTo(area.left, y);
    ctx.lineTo(area.right, y);
    ctx.stroke();
    ctx.globalAlpha = 1;
    const isLow = y - area.top < 14; // no room above the line
    if (guide.label) write(ctx, guide.label, rightOf(panel, chart, ctx.measureText(guide.label).width), isLow ? y + 12 : y - 4, colour("muted"));
  }
  ctx.restore();
}

/** Onset, fall and stop: { step, to, label, short, colour, dash }; `to` makes it a band. */
export function drawMarks(panel, chart) {
  const { ctx, chartArea: area, scales } = chart;
  ctx.save();
  ctx.font = `10.5px ${font()}`;
  const taken = [];
  const first = panel.spec.kind ? null : lit();
  const at = (step) => scales.x.getPixelForValue(axis.place(step));
  for (const mark of panel.marks) {
    const x = at(mark.step);
    ctx.globalAlpha = first && mark.model !== first ? 0.2 : 1;
    const end = mark.to === undefined ? x : at(mark.to);
    if (end < area.left || x > area.right) continue;
    if (mark.to !== undefined) {
      const left = Math.max(x, area.left);
      ctx.fillStyle = fade(mark.colour, 0.16);
      ctx.fillRect(left, area.top, Math.min(end, area.right) - left, area.bottom - area.top);
    } else {
      ctx.strokeStyle = mark.colour;
      ctx.lineWidth = 1.2;
      const same = panel.marks.filter((other) => other.to === undefined && other.step === mark.step); // take turns, so that each is seen
      ctx.setLineDash(same.length > 1 ? [5, 8 * same.length - 5] : mark.dash || [5, 3]);
      ctx.lineDashOffset = -8 * same.indexOf(mark);
      ctx.beginPath();
      ctx.moveTo(x, area.top);
      ctx.lineTo(x, area.bottom);
      ctx.stroke();
    }
    if (!mark.label) continue;
    const label = area.right - area.left < NARROW ? mark.short ?? mark.label : mark.label;
    const place = placeLabel(Math.max(x, area.left), ctx.measureText(label).width, area, taken);
    write(ctx, label, place.left, area.top - 5 - LINE * place.line, mark.colour);
  }
  ctx.restore();
}

/** Above the plot, beside its line, where no other label is. */
function placeLabel(x, width, area, taken) {
  for (const line of [0, 1]) {
    for (const left of [x - 3, x - width + 3]) {
      if (left < area.left - 4 || left + width > area.right + 10) continue;
      if (taken.some((other) => other.line === line && left < other.left + other.width + 6 && other.left < left + width + 6)) continue;
      taken.push({ line, left, width });
      return { line, left };
    }
  }
  return { line: 1, left: Math.min(x - 3, area.right + 10 - width) };
}

/** The unit of the values, above their axis. */
export function drawUnit(panel, chart) {
  if (!panel.spec.unit) return;
  const { ctx, chartArea: area } = chart;
  ctx.save();
  ctx.font = `10.5px ${font()}`;
  ctx.textAlign = "left";
  write(ctx, panel.spec.unit, 2, area.top - 11, colour("muted")); // clear of the uppermost number
  ctx.restore();
}
