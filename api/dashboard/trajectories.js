// Single entries of the tensor over training: the fixed, seeded sample that the daemon keeps.

import { getIfThere, modelPath, REVISIONS_PAGE, whole } from "./api.js";
import { ascending, axis } from "./axis.js";
import { counted, number } from "./format.js";
import { colour, fade } from "./colours.js";
import { Panel } from "./panel.js";
import { ofTensor } from "./view.js";

const ENTRIES = 48;

/** { entries: [{row, column}], revisions: [{revision, step, values}] }, or null where the daemon has none. */
export const fetchTrajectories = (name) => whole(ofTensor(`${modelPath(name)}/trajectories?entries=${ENTRIES}&limit=${REVISIONS_PAGE}`), "revisions", getIfThere);

export class TrajectoriesPanel extends Panel {
  update(models, marks, pictures) {
    this.sample = pictures.trajectories;
    this.damaged = this.sample?.damaged;
    super.update(models, marks, pictures, this.sample === undefined);
  }

  makeLines() {
    const model = this.models[0];
    if (!model || !this.sample) return [];
    const revisions = ascending(this.sample.revisions.map((row) => ({ ...row, step: row.step === null ? null : model.at(row.step), own: row.step })));
    return this.sample.entries.map((entry, i) => {
      const name = `row ${entry.row}, column ${entry.column}`;
      const points = revisions.filter((row) => row.values[i] !== null).map((row) => ({ step: row.step, y: row.values[i], row }));
      return { key: name, model, label: name, quantity: { name }, colour: model.colour, points };
    }).filter((line) => line.points.length);
  }

  datasets() {
    const shade = fade(this.models[0].colour, 0.42);
    return this.lines.map((line) => ({ data: line.points.map((point) => ({ x: axis.place(point.step), y: point.y })), pointRadius: 0, borderWidth: 1.2, borderColor: shade, fill: false }));
  }

  legendLines() {
    return this.modelLegend();
  }

  placeSpots() {}

  /** The entry nearest to the pointer, and how far the sample reaches. */
  reading(step) {
    const here = this.lines.map((line) => ({ line, point: line.points.find((one) => one.step === step) })).filter((one) => one.point);
    if (!here.length) return [];
    const read = [];
    const row = here[0].point.row;
    if (Number.isFinite(this.pointedValue)) {
      const near = here.reduce((best, one) => (Math.abs(one.point.y - this.pointedValue) < Math.abs(best.point.y - this.pointedValue) ? one : best));
      read.push([near.line.label, number(near.point.y, 7), near.line.colour, row, near.line.model]);
    }
    const values = here.map((one) => one.point.y);
    read.push(["lowest", number(Math.min(...values), 5), colour("muted"), row], ["highest", number(Math.max(...values), 5), colour("muted"), row]);
    return read;
  }

  summary() {
    return `${this.spec.title}: ${counted(this.lines.length, "entry", "entries")} of ${this.models[0].name}. The data table below holds the numbers.`;
  }
}
