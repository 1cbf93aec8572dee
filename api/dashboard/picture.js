// A chart as PNG, with its title and its legend.

/* global Chart */

import { colour, DASHES, font } from "./colours.js";
import { plain, save } from "./format.js";
import { say } from "./notice.js";
import { chosen } from "./view.js";

/** The scale of the colours, 170 pixels wide. */
function drawScale(ctx, { colours, marks, caption }, left, top) {
  const step = 170 / colours.length;
  colours.forEach((shade, i) => {
    ctx.fillStyle = shade;
    ctx.fillRect(left + i * step, top - 22, step + 0.5, 9);
  });
  ctx.fillStyle = colour("muted");
  ctx.font = `10.5px ${font()}`;
  ctx.fillText(caption, left + 178, top - 14);
  ctx.textAlign = "center";
  for (const [place, text] of marks) ctx.fillText(text, left + 170 * place, top - 1);
  ctx.textAlign = "left";
}

/** What stands beside each sign: { text, line } for quantities, { text, look } for models. */
function legendOf(panel) {
  if (panel.spec.kind) return panel.models.map(({ name, look, colour: shade }) => ({ text: plain(name), look, colour: shade }));
  const isMany = panel.models.length > 1;
  const shown = panel.shown();
  const quantities = [...new Map(shown.map((line) => [line.key, line])).values()];
  const models = [...new Set(shown.map((line) => line.model))].sort((a, b) => a.look.place - b.look.place);
  const made = isMany && panel.spec.quantities.length < 2 ? [] : quantities.map((line) => ({
    text: isMany ? line.label.slice(line.label.indexOf(": ") + 2) : plain(`${line.model.name}: ${line.label}`), line: line.line, colour: isMany ? colour("muted") : line.colour }));
  return isMany ? [...made, ...models.map((model) => ({ text: plain(model.name), look: model.look, colour: model.colour }))] : made;
}

/** Puts the entries beside each other as long as there is room: each gets its place, and the number of lines is given. */
function flow(ctx, entries, width) {
  let [left, line] = [14, 0];
  for (const entry of entries) {
    const room = 30 + ctx.measureText(entry.text).width + 18;
    if (left > 14 && left + room > width) [left, line] = [14, line + 1];
    Object.assign(entry, { left, line });
    left += room;
  }
  return line + 1;
}

function drawEntry(ctx, { text, look, line, colour: shade, left }, y) {
  ctx.strokeStyle = shade;
  ctx.lineWidth = 2;
  ctx.setLineDash(DASHES[line] || []);
  ctx.beginPath();
  ctx.moveTo(left, y - 4);
  ctx.lineTo(left + 24, y - 4);
  ctx.stroke();
  ctx.setLineDash([]);
  if (look) {
    ctx.fillStyle = look.marker.isHollow ? colour("card") : shade;
    Chart.helpers.drawPoint(ctx, { pointStyle: look.marker.style, rotation: look.marker.turn ?? 0, radius: 4, borderWidth: 1.5 }, left + 12, y - 4);
  }
  ctx.fillStyle = colour("text");
  ctx.fillText(text, left + 30, y);
}

export function savePicture(panel) {
  const scale = panel.chart.currentDevicePixelRatio;
  const made = document.createElement("canvas");
  const ctx = made.getContext("2d");
  const legendFont = `12px ${font()}`;
  const [width, height] = [panel.canvas.width / scale, panel.canvas.height / scale];
  const legend = legendOf(panel);
  ctx.font = legendFont;
  const lines = flow(ctx, legend, width + 24);
  const note = panel.leftOutText?.() ?? ""; // the law of a suite says itself what it leaves out
  const scaleTop = 30 + 17 * (lines + (note ? 1 : 0)); // below the legend
  const head = scaleTop + (panel.scale ? 26 : 0);
  made.width = (width + 24) * scale;
  made.height = (height + head + 24) * scale;
  ctx.scale(scale, scale);
  ctx.fillStyle = colour("card");
  ctx.fillRect(0, 0, width + 24, height + head + 24);
  ctx.fillStyle = colour("text");
  ctx.font = `600 14px ${font()}`;
  const { words } = chosen(panel.spec.by);
  ctx.fillText(words ? `${panel.spec.title} (${words})` : panel.spec.title, 14, 24);
  ctx.font = legendFont;
  for (const entry of legend) drawEntry(ctx, entry, 44 + 17 * entry.line);
  ctx.fillStyle = colour("text");
  if (note) ctx.fillText(note, 44, 44 + lines * 17);
  if (panel.scale) drawScale(ctx, panel.scale(), 24, scaleTop + 26);
  ctx.drawImage(panel.canvas, 8, head + 8, width, height);
  made.toBlob((blob) => {
    if (blob) save(panel.fileName("png"), blob);
    else say("act", "This picture is too large for the browser: make the panel narrower, or take the CSV.");
  }, "image/png");
}
