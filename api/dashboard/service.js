// How the daemon is, beside the page's name; and what of it concerns whoever looks at the charts.

import { getIfThere } from "./api.js";
import { ago, bytes, element } from "./format.js";
import { hush, say } from "./notice.js";

let loaded = null; // the version that this page came with

export async function showService() {
  const status = await getIfThere("/v1/status");
  if (!status) return;
  document.getElementById("service").textContent = `version ${status.version}, started ${ago(status.started_at)}`;
  loaded ??= status.version;
  if (status.version === loaded) hush("version");
  else say("version", `The daemon is version ${status.version} now, this page is of ${loaded}. `, element("button", { type: "button", onclick: () => location.reload() }, "Load it again"));
  const disk = status.daemon?.disk;
  if (disk?.is_full) say("disk", `The daemon's disk is full (${bytes(disk.free_bytes)} free): nothing more is recorded until there is room. What is measured can be read.`);
  else hush("disk");
}
