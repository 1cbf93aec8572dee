// A chart as PNG, with its title and its legend.

import { colour, DASHES, font } from "./colours.js";
import { save } from "./format.js";
import { view } from "./view.js";

export function savePicture(panel) {
  const scale = panel.chart.currentDevicePixelRatio;
  const made = document.createElement("canvas");
  const legend = panel.spec.kind ? [{ label: panel.models[0].name, colour: panel.models[0].colour }] : panel.shown();
  const head = 30 + 17 * legend.length;
  const [width, height] = [panel.canvas.width / scale, panel.canvas.height / scale];
  made.width = (width + 24) * scale;
  made.height = (height + head + 24) * scale;
  const ctx = made.getContext("2d");
  ctx.scale(scale, scale);
  ctx.fillStyle = colour("card");
  ctx.fillRect(0, 0, width + 24, height + head + 24);
  ctx.fillStyle = colour("text");
  ctx.font = `600 14px ${font()}`;
  const choice = [view.rows === "tokens" ? "token rows" : "all rows", view.values === "centred" ? "centred" : null].filter(Boolean).join(", ");
  ctx.fillText(`${panel.spec.title} (${choice})`, 14, 24);
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
    ctx.fillText(panel.models.length > 1 || !line.model ? line.label : `${line.model.name}: ${line.label}`, 44, y);
  });
  ctx.drawImage(panel.canvas, 8, head + 8, width, height);
  made.toBlob((blob) => save(panel.fileName("png"), blob), "image/png");
}
