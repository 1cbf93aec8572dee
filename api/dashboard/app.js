// The page: keeps the panels, the table and the address in step with what is chosen and what is read.

import { isAsking, isRefusal, setUpAccess, withToken } from "./access.js";
import { get, Unreachable } from "./api.js";
import { ascending, axis } from "./axis.js";
import { element, listName, plain } from "./format.js";
import { HeatPanel } from "./heat.js";
import { drawOverview } from "./overview.js";
import { PairsPanel } from "./pairs.js";
import { setUpTheme } from "./colours.js";
import { refreshOperations, setUpOperations } from "./operations.js";
import { Panel } from "./panel.js";
import { groups } from "./panels.js";
import { setUpPrinting } from "./paper.js";
import { damagedText, fetchPairsOnce, fetchPictures, pictures } from "./pictures.js";
import { drawFindings, fetchFindings, flags, forgetFindings, marks, nullModel, textsApart, tokensAt } from "./findings.js";
import { fillRevisions } from "./revisions.js";
import { drawLegend, setUpLegend } from "./legend.js";
import { loadSoon, noteWhole, setUpLive } from "./live.js";
import { looksOf } from "./looks.js";
import { choose, drawModels, isKnown, isMeasured, listModels, setUpModels } from "./models.js";
import { arrange, setUpNarrow } from "./narrow.js";
import { hush, isSaid, say } from "./notice.js";
import { fetchScaling, Scaling } from "./scaling.js";
import { fetchSeries, forgetSeries, isRead, rowsOf } from "./series.js";
import { showService } from "./service.js";
import { isAtWork, lookAtSweeps, openForm, progress, refreshSweeps, setUpForm, watchSweeps } from "./sweeps.js";
import { setUpTokens } from "./tokens.js";
import { setUpToolbar, showToolbar } from "./toolbar.js";
import { TrajectoriesPanel } from "./trajectories.js";
import { fetchTensors } from "./tensors.js";
import { chartUnit, unitOf } from "./units.js";
import { pictured, readView, view, writeView } from "./view.js";
import { refreshWatches, setUpWatches } from "./watches.js";

const MODELS_POLL_MS = 30_000;
const REST_MS = 100; // so long the charts of a series wait for the pictures, which cost the daemon most
const EARLY_MS = 2000; // and so long for the verdicts
const KINDS = { heat: HeatPanel, pairs: PairsPanel, trajectories: TrajectoriesPanel };

const byId = (id) => document.getElementById(id);
const panels = [];
let candidates = []; // models that are shown, if only in the table

const hub = {
  point(step, own) {
    for (const panel of panels) panel.point(step, panel === own);
  },
  zoom(from, to) {
    view.from = from;
    view.to = to;
    show();
  },
  turn(id) {
    if (!view.wide.delete(id)) view.wide.add(id);
    show();
  },
  /** The unit of the law over sizes. */
  async law(unit) {
    view.law = unit;
    await whileBusy(fetchScaling()).catch(complain);
    show();
  },
  /** Also those that have no place in the charts: chosen here, they give these their unit. */
  candidates: () => candidates,
  async picture(name) {
    if (unitOf(name) !== axis.unit) view.from = view.to = null;
    view.picture = name;
    await whileBusy(fetchPictures(true)).catch(complain);
    show();
  },
  async pairs() {
    if (!await fetchPairsOnce(complain)) return;
    const shown = shownModels().models.filter((model) => model.isCharted);
    panels.find((panel) => panel.spec.kind === "pairs").update(shown, marks(shown), pictures);
    showSections(shown);
    showDamage();
  },
  speak(text) {
    byId("spoken").textContent = plain(text);
  },
};

const scalingPanel = new Scaling(hub);

/** A daemon may want a token for reading, too. Whoever closes the dialog is not asked again before he wants to be. */
async function askToRead() {
  const title = "This daemon answers only with a token. ";
  say("read", title);
  try {
    await withToken({ what: "", scopes: "read" }, (trial) => get("/v1/models?limit=1", trial));
  } catch (error) {
    if (!error.isDeclined) throw error;
    say("read", title, element("button", { type: "button", onclick: () => askToRead().catch(complain) }, "Enter a token"));
    return;
  }
  hush("read");
  await refreshModels();
  await Promise.all([load(), refreshSweeps(), refreshOperations()]);
}

let isWanting = false; // what the charts need failed, and may come if it is asked for again

/** source: what went wrong, "load", "poll" or "act"; it is said until that source has better news. */
function complain(error, source = "load") {
  if (isRefusal(error) && !error.isDeclined) {
    if (!isAsking() && !isSaid("read")) askToRead().catch(complain);
    return;
  }
  if (source === "load") isWanting = error.status === 429 || error.status >= 500;
  if (error instanceof Unreachable) say("away", "The daemon does not answer; trying again.");
  else say(source, error.message);
}

/** After an answer: catch up with what was missed. */
async function welcome() {
  arrange();
  hush("poll");
  if (isSaid("away")) {
    hush("away");
    await refreshModels();
    await load();
  }
  await refreshOperations();
}

/** With what is watched of them. A page that is open for weeks does not keep what nobody looks at. */
async function refreshModels() {
  await Promise.all([listModels(), refreshWatches(byId("watches"))]);
  forgetSeries(view.models);
  forgetFindings(view.models);
}

// -- Series --------------------------------------------------------------------------------------

/** Shows that something is under way. Numbers of before are not read as those of now: until `read`, a part of it, is there, charts do not
 * answer to the pointer. */
let busy = 0;
let stale = 0;
async function whileBusy(what, read = what) {
  const main = byId("main");
  main.setAttribute("aria-busy", Boolean(++busy));
  main.classList.toggle("stale", Boolean(++stale));
  hub.point(null, null);
  const ended = () => main.classList.toggle("stale", Boolean(--stale));
  read.then(ended, ended);
  try {
    return await what;
  } finally {
    main.setAttribute("aria-busy", Boolean(--busy));
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Shows what is there before all is: the series with its verdicts soon, the series alone where these take long. */
async function showEarly(read, whole) {
  if (!await Promise.race([whole.then(() => false), read.then(() => pause(REST_MS)).then(() => true), pause(EARLY_MS).then(() => true)])) return;
  hush("loading");
  show();
  document.body.dataset.ready = "yes";
}

/** isWhole: the verdicts and pictures too, which cost the daemon more; isAsked: by the reader, who sees what is there before the rest. */
async function load(names = view.models, isWhole = true, isAsked = true) {
  if (isWhole) noteWhole(names);
  const scaling = isWhole ? fetchScaling() : null;
  const rows = names.map((name) => fetchSeries(name));
  const read = [...rows, ...(isWhole ? names.map(fetchFindings) : []), view.models.length > 1 ? scaling : null]; // of several models it comes first
  const tensors = isWhole ? names.map(fetchTensors) : [];
  const rest = isWhole ? Promise.allSettled(rows).then(() => fetchPictures(true)) : null; // not beside the series, which would wait for them
  const whole = Promise.allSettled([...read, ...tensors, scaling, rest]);
  if (isAsked) {
    const isRead = Promise.allSettled(read);
    showEarly(isRead, whole).catch(complain);
    await whileBusy(whole, isRead);
  }
  const failed = (await whole).find((one) => one.status === "rejected");
  isWanting = false;
  hush("loading");
  if (failed) complain(failed.reason, "load");
  else hush("load");
  show();
}

// -- Showing -------------------------------------------------------------------------------------

/** In place of panels that nothing is measured for: what to do about it. */
function emptyHint(group) {
  const measure = () => openForm({ model: view.models[0], perplexity: true });
  return group.empty && element("p", { class: "card hint", hidden: true }, group.empty.text, element("button", { type: "button", onclick: measure }, group.empty.button));
}

function buildPanels() {
  const root = byId("panels");
  byId("scaling").append(scalingPanel.root);
  for (const group of groups) {
    const grid = element("div", { class: "grid" });
    const title = `group-${group.title.toLowerCase().replaceAll(" ", "-")}`;
    const section = element("section", { "aria-labelledby": title },
      element("div", { class: "section-head" }, element("h2", { id: title }, group.title), element("p", {}, group.help)), grid);
    for (const spec of group.panels) {
      const panel = new (KINDS[spec.kind] || Panel)({ by: group.by ?? "rows and values", ...spec }, hub);
      panels.push(panel);
      grid.append(panel.root);
    }
    section.panels = panels.slice(-group.panels.length);
    section.hint = emptyHint(group);
    if (section.hint) section.append(section.hint);
    root.append(section);
  }
}

/** The audit's words on revisions; where there is no audit, what the series itself shows. */
function flagsOf(model) {
  const found = flags(model.name);
  if (!found.size) {
    for (const row of model.all) {
      if (row.same_as && row.step !== null) found.set(row.revision, `same weights as ${row.same_as}`);
    }
  }
  return found;
}

/** The rows of a chart: where their steps are not what the axis counts, `own` keeps them. */
function chartRows(all, at) {
  const measured = ascending(all.filter((row) => row.state === "measured"));
  return at === itself ? measured : ascending(measured.map((row) => ({ ...row, step: at(row.step), own: row.step })));
}

const itself = (step) => step;

/** With the unit of the charts; at(step) is where a model's step lies on their axis. */
function shownModels() {
  const looks = looksOf(view.models);
  const found = view.models.map((name) => ({ name, look: looks.get(name), all: rowsOf(name), unit: unitOf(name), tokens: tokensAt(name) })).filter((model) => model.all);
  const chosen = chartUnit(found, found.find((model) => model.name === pictured()) ?? found[0], view.count === "tokens");
  const models = found.map((model) => {
    const at = model.unit === chosen.unit ? itself : (step) => model.tokens?.get(step) ?? null;
    const rows = chartRows(model.all, at);
    return { ...model, at, rows, isCharted: chosen.isCharted(model), colour: model.look.colour, flags: flagsOf(model), nulls: nullModel(model.name),
      apart: textsApart(model.name), reference: rows.findLast((row) => row.reference)?.reference }; // of the newest, as the analysis has it
  });
  return { ...chosen, models };
}

/** Models whose names count something else than the axis, and of which it is not known in its unit. */
function showUnits(shown, unit) {
  const without = shown.filter((model) => !model.isCharted);
  if (without.length) say("units", `Not in the charts, whose axis is in ${unit}: ${without.map((model) => `${listName(model.name)} (${model.unit})`).join(", ")}.`);
  else hush("units");
}

/** Groups without a chart are left out, or say what to do about it. */
function showSections(shown) {
  const hasRows = shown.some((model) => model.rows.length) && shown.every((model) => model.apart); // not before it is known what is not there
  for (const section of byId("panels").children) {
    const isEmpty = section.panels.every((panel) => panel.root.hidden);
    if (section.hint) section.hint.hidden = !(isEmpty && hasRows);
    section.hidden = isEmpty && !(section.hint && hasRows);
  }
}

let isPrinting = false;

function show() {
  const { models: shown, unit, mayChoose } = shownModels();
  const charted = shown.filter((model) => model.isCharted);
  candidates = shown;
  axis.use(charted.flatMap((model) => model.rows.map((row) => row.step)), unit);
  for (const section of byId("panels").children) section.hidden = false; // charts need a width
  const marked = marks(charted);
  for (const panel of panels) panel.update(charted, marked, pictures);
  if (isPrinting) panels.forEach((panel) => panel.isStale && !panel.root.hidden && panel.draw(true));
  showSections(charted);
  if ((shown.length > 1) !== (byId("scaling").nextElementSibling === byId("panels"))) {
    byId("panels")[shown.length > 1 ? "before" : "after"](byId("scaling")); // first where models are compared
  }
  scalingPanel.update(shown);
  drawLegend(charted);
  showToolbar(mayChoose ? shown[0].unit : null);
  showUnits(shown, unit);
  drawFindings(shown);
  fillRevisions(shown);
  showOverview(shown);
  showDamage();
  showTitle();
  writeView();
}

function showDamage() {
  const text = damagedText();
  if (text) say("damage", text);
  else hush("damage");
}

/** The tab says how far the sweeps at work are, while it is seen: hidden it asks for nothing, and would tell of old times. */
function showTitle() {
  const share = document.hidden ? null : progress();
  document.title = [share === null ? null : `${Math.floor(100 * share)} %`, view.models.map((name) => listName(name)).join(", ") || null, "bifurcated"].filter(Boolean).join(" – ");
}

function showOverview(shown) {
  const hasAny = shown.some((model) => model.rows.length);
  document.querySelector(".keys").hidden = !hasAny;
  const isOnItsWay = view.models.some((name) => isMeasured(name) && !shown.some((one) => one.name === name));
  drawOverview(hasAny || isOnItsWay ? null : shown); // a series that does not come is told above the charts
}

/** After a choice above the charts. */
async function rechoose(name) {
  if (name === "count") view.from = view.to = null;
  writeView();
  if (name === "tensor") {
    forgetFindings([]); // no verdict of the one before stands beside the new one's charts
    await load();
    return;
  }
  if (name === "rows" || name === "values") await whileBusy(Promise.all([...view.models.map((model) => fetchSeries(model, false)), fetchPictures(false), fetchScaling()])).then(() => hush("load"), complain);
  show();
}

// -- The beginning -------------------------------------------------------------------------------

async function start() {
  say("loading", "Loading…");
  readView();
  setUpTheme(() => {
    drawModels();
    show();
  });
  setUpAccess();
  setUpToolbar({ changed: rechoose, zoom: hub.zoom });
  setUpModels({ chosen: (name) => load(view.models.filter((model) => model === name || !isRead(model))) }); // what is there is kept up by its sweeps
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId("main").focus();
  });
  setUpLegend({ changed: show, lit: () => panels.forEach((panel) => panel.root.hidden || panel.draw()) });
  buildPanels();
  const speak = (text) => {
    hush("act");
    hub.speak(text);
  };
  const changes = { speak, fail: (error) => complain(error, "act"), done: refreshOperations };
  setUpWatches(changes);
  setUpTokens(changes);
  setUpOperations((error) => complain(error, "poll"));
  setUpPrinting((isNow) => {
    isPrinting = isNow; // what changes meanwhile is drawn whole, too
    for (const panel of [...panels, scalingPanel]) panel.chart?.resize();
    show();
  });
  setUpNarrow(() => isAtWork([]));
  setUpForm(async (sweep) => {
    arrange();
    if (!view.models.includes(sweep.model)) await choose(sweep.model, true);
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hub.point(null, null); }); // what the mouse has brought up, too
  setUpLive({ isShown: (name) => view.models.includes(name), load: (name, isWhole) => load([name], isWhole, false), failed: complain });
  document.addEventListener("visibilitychange", showTitle);
  window.addEventListener("hashchange", async () => {
    const before = view.tensor;
    readView();
    if (view.tensor !== before) forgetFindings([]);
    drawModels();
    await load();
  });
  const polled = async () => {
    try {
      if (!document.hidden) await Promise.all([refreshModels(), showService(), isWanting && load(view.models, true, false)]);
    } catch (error) {
      complain(error, "poll");
    }
    setTimeout(polled, MODELS_POLL_MS);
  };
  await Promise.all([lookAtSweeps().catch(() => {}), polled()]); // what is wrong, the next request says
  arrange();
  await load();
  document.body.dataset.ready = "yes";
  await watchSweeps(welcome, { changed, failed: complain, acted: (text) => (text ? speak(text) : hush("act")) });
}

/** A sweep is not as it was. */
async function changed(sweep) {
  const isNew = !isKnown(sweep.model);
  const isOver = sweep.state !== "planning" && sweep.state !== "running";
  arrange();
  showTitle();
  showOverview(shownModels().models);
  if (isNew || isOver) await refreshModels().catch((error) => complain(error, "poll"));
  if (isOver) hub.speak(`Sweep ${sweep.id} of ${sweep.model}: ${sweep.state}, ${sweep.progress.done} of ${sweep.progress.revisions_total} revisions`);
  if (view.models.includes(sweep.model) && sweep.progress.revisions_total > 0) loadSoon(sweep.model, isOver);
}

start().catch(complain);
