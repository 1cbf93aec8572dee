// Which tensors there are to choose from: those that are measured of the shown models. Mostly that is the unembedding alone, and nothing to choose.

import { getIfThere, modelPath, turns } from "./api.js";
import { element } from "./format.js";
import { renewChildren } from "./table.js";
import { view } from "./view.js";

const measured = new Map(); // model → names of tensors but its unembedding
const asked = new Map(); // model → turns of its requests

export async function fetchTensors(name) {
  if (!asked.has(name)) asked.set(name, turns());
  const isNewer = asked.get(name)();
  const model = await getIfThere(modelPath(name));
  if (isNewer()) measured.set(name, (model?.tensors ?? []).map((one) => one.tensor).filter((tensor) => tensor !== model.tensor));
}

export function showTensors() {
  const names = [...new Set([...view.models.flatMap((name) => measured.get(name) ?? []), ...(view.tensor ? [view.tensor] : [])])].sort();
  const choice = document.getElementById("tensor");
  renewChildren(choice, [element("option", { value: "" }, "unembedding"), ...names.map((name) => element("option", { value: name }, name))]);
  choice.value = view.tensor ?? "";
  choice.title = view.tensor ?? "";
  document.getElementById("tensor-choice").hidden = !names.length;
}
