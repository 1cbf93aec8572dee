// The lines of a chart as Chart.js wants them: models by colour and shape, quantities by dashes, bands of errors below them.

import { axis } from "./axis.js";
import { colour, DASHES, fade } from "./colours.js";
import { lit } from "./legend.js";

const SIGNS = 9; // points of a line that show its model's shape, where there are too many to show all
const MANY = 600; // points of all lines
const FAINT = 0.22; // what does not stand out

const place = (points, pick = (point) => point.y) => points.map((point) => ({ x: axis.place(point.step), y: pick(point) }));

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
    if (line.points.length && gap(at) < distance / 2) found.add(line.points[at]);
  }
  return [...found];
}

/** The size of all points of a line; 0: a few show its model's shape, or none. */
function sizeOf(panel, line, most) {
  const many = line.points.length;
  if (panel.models.length > 1) return most > MANY || many > 60 ? 0 : 3;
  return most > MANY || many > 220 ? 0 : many > 60 ? 1.4 : 2.5;
}

function fan(panel) {
  const shades = [0.1, 0.14, 0.2, 0.34];
  const most = panel.lines.reduce((sum, line) => sum + line.points.length, 0);
  return panel.lines.map((line, i) => {
    const isMedian = line.key === "q50";
    return {
      data: place(line.points), borderColor: line.colour, borderWidth: isMedian ? 1.8 : 0, pointRadius: isMedian ? sizeOf(panel, line, most) : 0,
      pointBackgroundColor: line.colour, pointBorderWidth: 0, fill: i > 0 ? "-1" : false, backgroundColor: fade(line.colour, shades[Math.min(i - 1, 8 - i)] ?? 0),
    };
  });
}

function band(panel, line, shade) {
  const floor = (point) => (panel.spec.y === "log" ? Math.max(point.y - point.error, point.y / 20) : point.y - point.error);
  const edge = { borderWidth: 0, pointRadius: 0 };
  return [{ ...edge, data: place(line.points, floor), fill: false }, { ...edge, data: place(line.points, (point) => point.y + point.error), fill: "-1", backgroundColor: shade }];
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
    if (!isFaint && line.points.some((point) => point.error > 0)) made.push(...band(panel, line, fade(line.colour, 0.14)));
    const points = {
      pointStyle: marker.style, pointRotation: marker.turn ?? 0, pointBorderColor: shade, pointBackgroundColor: marker.isHollow ? card : shade,
      pointBorderWidth: marker.isOpen || marker.isHollow ? 1.6 : 1.2, fill: false,
    };
    const only = { ...points, showLine: false, borderWidth: 0 };
    // What a few points have for themselves is a set of its own: looked up point by point, thousands of them take seconds.
    const flagged = line.points.filter(({ row }) => line.model.flags.has(row.revision)); // the audit has something to say about them
    if (flagged.length) made.push({ ...only, data: place(flagged), pointStyle: "rectRot", pointRotation: 0, pointBackgroundColor: card, pointBorderWidth: 1.2, pointRadius: 4 });
    const size = isFaint ? 0 : sizeOf(panel, line, most);
    const signs = !isFaint && !size && panel.models.length > 1 ? chosenPoints(line, (panel.models.indexOf(line.model) + 0.5) / panel.models.length) : [];
    if (signs.length) made.push({ ...only, data: place(signs), pointRadius: 3.4 });
    made.push({ ...points, data: place(line.points), borderColor: shade, borderWidth: line.model.name === first ? 3 : 1.8, borderDash: DASHES[line.line] || [], pointRadius: size });
  }
  return made;
}
