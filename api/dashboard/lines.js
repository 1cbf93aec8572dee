// The lines of a chart as Chart.js wants them: models by colour and shape, quantities by dashes, bands of errors below them.

import { axis } from "./axis.js";
import { colour, DASHES, fade } from "./colours.js";
import { lit } from "./legend.js";

const SIGNS = 9; // points of a line that show its model's shape, where there are too many to show all
const MANY = 600; // points of all lines
const FAINT = 0.22; // what does not stand out

/** One look where all points have the same: looked up point by point, thousands of them take seconds. */
const alike = (looks) => (looks.every((one) => one === looks[0]) ? looks[0] : looks);

const place = (line, pick) => line.points.map((point) => ({ x: axis.place(point.step), y: pick(point) }));

/** A few points in even distances, other ones for each of the models, so that shapes do not cover each other. */
function chosenPoints(line, share) {
  const [low, high] = axis.range();
  const distance = (high - low) / SIGNS;
  const found = new Set();
  let at = 0;
  for (let i = 0; i < SIGNS; i++) {
    const wanted = low + (i + share) * distance;
    const gap = (k) => Math.abs(axis.place(line.points[k].step) - wanted);
    while (at + 1 < line.points.length && gap(at + 1) <= gap(at)) at++;
    if (line.points.length && gap(at) < distance / 2) found.add(at);
  }
  return found;
}

/** The size of each point of a line. */
function sizes(panel, line, most) {
  const { models } = panel;
  if (models.length > 1 && most > MANY) {
    const chosen = chosenPoints(line, (models.indexOf(line.model) + 0.5) / models.length);
    return (i) => (chosen.has(i) ? 3.4 : 0);
  }
  const size = most > MANY || line.points.length > 220 ? 0 : line.points.length > 60 ? 1.4 : models.length > 1 ? 3 : 2.5;
  return () => size;
}

function fan(panel) {
  const shades = [0.1, 0.14, 0.2, 0.34];
  const most = panel.lines.reduce((sum, line) => sum + line.points.length, 0);
  return panel.lines.map((line, i) => {
    const isMedian = line.key === "q50";
    return {
      data: place(line, (point) => point.y), borderColor: line.colour, borderWidth: isMedian ? 1.8 : 0, pointRadius: isMedian ? sizes(panel, line, most)(0) : 0,
      pointBackgroundColor: line.colour, pointBorderWidth: 0, fill: i > 0 ? "-1" : false, backgroundColor: fade(line.colour, shades[Math.min(i - 1, 8 - i)] ?? 0),
    };
  });
}

function band(panel, line, shade) {
  const floor = (point) => (panel.spec.y === "log" ? Math.max(point.y - point.error, point.y / 20) : point.y - point.error);
  const edge = { borderWidth: 0, pointRadius: 0 };
  return [{ ...edge, data: place(line, floor), fill: false }, { ...edge, data: place(line, (point) => point.y + point.error), fill: "-1", backgroundColor: shade }];
}

export function datasetsOf(panel) {
  if (panel.spec.kind === "fan") return fan(panel);
  const first = panel.models.length > 1 ? lit() : null;
  const shown = panel.shown();
  const most = shown.reduce((sum, line) => sum + line.points.length, 0);
  const card = colour("card");
  const made = [];
  for (const line of [...shown].sort((one, other) => (other.model.name === first) - (one.model.name === first))) { // the first is drawn last
    const isFaint = first !== null && line.model.name !== first;
    const shade = isFaint ? fade(line.colour, FAINT) : line.colour;
    const { marker } = line.model.look;
    const sizeOf = isFaint ? () => 0 : sizes(panel, line, most);
    const isFlagged = ({ row }) => line.model.flags.has(row.revision);
    if (!isFaint && line.points.some((point) => point.error > 0)) made.push(...band(panel, line, fade(line.colour, 0.14)));
    made.push({
      data: place(line, (point) => point.y), borderColor: shade, borderWidth: line.model.name === first ? 3 : 1.8, borderDash: DASHES[line.line] || [],
      pointBorderColor: shade, pointBorderWidth: marker.isOpen || marker.isHollow ? 1.6 : 1.2, pointRotation: marker.turn ?? 0,
      // hollow diamonds: the audit has something to say about this revision
      pointBackgroundColor: alike(line.points.map((point) => (isFlagged(point) || marker.isHollow ? card : shade))),
      pointStyle: alike(line.points.map((point) => (isFlagged(point) ? "rectRot" : marker.style))),
      pointRadius: alike(line.points.map((point, i) => (isFlagged(point) ? 4 : sizeOf(i)))),
      fill: false,
    });
  }
  return made;
}
