// A chart as PNG, with its title and its legend.

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

export function savePicture(panel) {
  const scale = panel.chart.currentDevicePixelRatio;
  const made = document.createElement("canvas");
  const legend = panel.spec.kind ? [{ label: plain(panel.models[0].name), colour: panel.models[0].colour }] : panel.shown();
  const note = panel.leftOutText?.() ?? ""; // the law of a suite says itself what it leaves out
  const scaleTop = 30 + 17 * (legend.length + (note ? 1 : 0)); // below the legend
  const head = scaleTop + (panel.scale ? 26 : 0);
  const [width, height] = [panel.canvas.width / scale, panel.canvas.height / scale];
  made.width = (width + 24) * scale;
  made.height = (height + head + 24) * scale;
  const ctx = made.getContext("2d");
  ctx.scale(scale, scale);
  ctx.fillStyle = colour("card");
  ctx.fillRect(0, 0, width + 24, height + head + 24);
  ctx.fillStyle = colour("text");
  ctx.font = `600 14px ${font()}`;
  const { words } = chosen(panel.spec.by);
  ctx.fillText(words ? `${panel.spec.title} (${words})` : panel.spec.title, 14, 24);
  ctx.font = `12px ${font()}`;
  legend.forEach((line, i) => {
    const y = 44 + i * 17;
    ctx.strokeStyle = line.colour;
    ctx.lineWidth = 2;
    ctx.setLineDash(DASHES[line.line] || []);
    ctx.beginPath();
    ctx.moveTo(14, y - 4);
    ctx.lineTo(36, y - 4);
    ctx.stroke();
    ctx.fillStyle = colour("text");
    ctx.fillText(panel.models.length > 1 || !line.model ? line.label : plain(`${line.model.name}: ${line.label}`), 44, y);
  });
  if (note) ctx.fillText(note, 44, 44 + legend.length * 17);
  if (panel.scale) drawScale(ctx, panel.scale(), 24, scaleTop + 26);
  ctx.drawImage(panel.canvas, 8, head + 8, width, height);
  made.toBlob((blob) => {
    if (blob) save(panel.fileName("png"), blob);
    else say("act", "This picture is too large for the browser: make the panel narrower, or take the CSV.");
  }, "image/png");
}
