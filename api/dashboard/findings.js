// What the analysis concludes: a card for each model with onset, fall, rest and stop, the controls that would
// mimic them, and the audit of its revisions. Routes that a daemon does not have are left out.

import { axis } from "./axis.js";
import { getIfThere, modelPath, turns } from "./api.js";
import { counted, element, number, shortName } from "./format.js";
import { colour } from "./colours.js";
import { keyOf } from "./looks.js";
import { renewChildren } from "./table.js";
import { unitNumber, unitPlace, unitRange, unitWord } from "./units.js";
import { ofTensor, statistic, view } from "./view.js";

const FINDINGS_SHOWN = 12;
const analyses = new Map(); // model → { analysis, audit }
const asked = new Map(); // model → turns of its requests

export async function fetchFindings(name) {
  const path = modelPath(name);
  if (!asked.has(name)) asked.set(name, turns());
  const isNewer = asked.get(name)();
  try {
    const [analysis, audit] = await Promise.all([getIfThere(ofTensor(`${path}/analysis`)), getIfThere(ofTensor(`${path}/audit`))]);
    if (isNewer()) analyses.set(name, { analysis, audit });
  } catch (error) {
    if (!analyses.has(name)) analyses.set(name, { analysis: null, audit: null }); // no chart waits for what does not come
    throw error;
  }
}

/** All but those of these models. */
export function forgetFindings(names) {
  for (const name of analyses.keys()) {
    if (!names.includes(name)) analyses.delete(name);
  }
}

const onsetOf = (analysis, values) => analysis?.onsets?.find((one) => one.rows === view.rows && one.view === values);

/** Tokens of training at each step of a model: step → tokens; null where they are not known of all. */
export function tokensAt(name) {
  const points = analyses.get(name)?.analysis?.revisions || [];
  return points.length && points.every((one) => Number.isFinite(one.tokens)) ? new Map(points.map((one) => [one.step, one.tokens])) : null;
}

/** What weight decay and a random walk alone would do at each revision: name → MSD; empty where the schedule is not known. */
export function nullModel(name) {
  const points = analyses.get(name)?.analysis?.revisions || [];
  return new Map(points.filter((one) => one.msd_null > 0).map((one) => [one.revision, one.msd_null]));
}

/** Which perplexities are of other texts than most of their mode, so that no line may join them: name → modes; null while that is not known. */
export function textsApart(name) {
  if (!analyses.has(name)) return null;
  const points = analyses.get(name)?.analysis?.revisions || [];
  return new Map(points.filter((one) => one.other_texts?.length).map((one) => [one.revision, one.other_texts]));
}

/** What the audit says about single revisions: name → text. */
export function flags(name) {
  const findings = analyses.get(name)?.audit?.findings || [];
  return new Map(findings.filter((one) => one.revision).map((one) => [one.revision, one.text]));
}

/** Verdicts in the charts. Of one model all, with their names; of several the onsets, in the models' colours. */
export function marks(shown) {
  const found = [];
  for (const model of shown) {
    const analysis = analyses.get(model.name)?.analysis;
    if (!analysis) continue;
    const chosen = onsetOf(analysis, view.values);
    const onset = chosen?.verdict === "yes" ? chosen : onsetOf(analysis, analysis.onset_view);
    const isOther = onset !== chosen;
    if (shown.length > 1) {
      if (Number.isFinite(onset?.step)) found.push({ model: model.name, step: model.at(onset.step), label: "", colour: model.colour });
      continue;
    }
    const { perplexity_fall: fall, stop } = analysis;
    if (Number.isFinite(fall?.step_from)) found.push({ model: model.name, step: model.at(fall.step_from), to: model.at(fall.step_to), label: "steepest fall", short: "fall", colour: colour("muted") });
    if (Number.isFinite(onset?.step)) found.push({ model: model.name, step: model.at(onset.step), label: isOther ? `onset (${onset.view})` : "onset", colour: colour("bad") });
    if (stop?.verdict === "yes") found.push({ model: model.name, step: model.at(stop.step), label: "could have stopped", short: "stop", colour: colour("good"), dash: [1.5, 2.5] });
  }
  return found;
}

/** A model's places in words: in what the axis counts, where they are known in it. */
function wordsOf(model) {
  const isOfAxis = (step) => model.isCharted && Number.isFinite(model.at(step));
  const place = (step, write) => (isOfAxis(step) ? write(model.at(step), axis.unit) : write(step, model.unit));
  return {
    place: (step) => place(step, unitPlace),
    number: (step) => place(step, unitNumber),
    range: (from, to) => (isOfAxis(from) && isOfAxis(to) ? unitRange(model.at(from), model.at(to), axis.unit) : unitRange(from, to, model.unit)),
  };
}

function fact(name, verdict, value, reason) {
  const words = { yes: value, no: "no", insufficient: "not enough data" };
  return element("div", { title: reason }, element("dt", {}, name), element("dd", { class: verdict === "yes" ? null : "muted" }, words[verdict] ?? value));
}

function facts(analysis, words) {
  const onsets = ["raw", "centred"].map((values) => [values, onsetOf(analysis, values)]).filter(([, onset]) => onset);
  const fall = analysis.perplexity_fall;
  const rest = analysis.rest?.per_step;
  const stop = analysis.stop;
  const unit = analysis.step_unit;
  return element("dl", { class: "facts-list" },
    ...onsets.map(([values, onset]) => fact(`Onset of forking, ${values}`, onset.verdict,
      `${words.place(onset.step)}${onset.is_lasting ? "" : `, lost at ${words.number(onset.step_lost)}`}`, onset.reason)),
    fall && fact("Steepest fall of perplexity", fall.verdict, words.range(fall.step_from, fall.step_to), fall.reason),
    rest && fact(`At rest, per ${unitWord(unit)}`, rest.verdict, `from ${words.place(rest.step)}`, rest.reason),
    stop && fact("Could have stopped", stop.verdict, `at ${words.place(stop.step)}, saving ${number(100 * stop.saved, 2)} %`, stop.reason),
    fact("Revisions", "yes", `${number(analysis.revisions_measured)} measured, ${number(analysis.revisions_counted)} counted`, ""));
}

function reasons(analysis) {
  const lines = [];
  const add = (name, one) => { if (one?.reason) lines.push([name, one.reason]); };
  for (const values of ["raw", "centred"]) add(`Onset, ${values}`, onsetOf(analysis, values));
  add("Perplexity", analysis.perplexity_fall);
  add(`Rest per ${unitWord(analysis.step_unit)}`, analysis.rest?.per_step);
  add("Rest per learning rate", analysis.rest?.per_lr);
  add("Rest per learning rate²", analysis.rest?.per_lr_squared);
  add("Weight decay", analysis.decay);
  add("Stop", analysis.stop);
  for (const control of analysis.controls || []) {
    const state = control.holds === null ? "cannot be told" : control.holds ? "holds" : "does not hold";
    lines.push([`Control “${control.name.replaceAll("_", " ")}”`, `${state}: ${control.meaning}`]);
  }
  return element("details", { "data-key": "evidence" }, element("summary", {}, "Evidence and controls"),
    element("ul", { class: "findings" }, ...lines.map(([name, text]) => element("li", {}, element("b", {}, `${name}: `), text))));
}

/** Revisions with values that are not numbers: a run that diverged, or a file that is broken. */
function notFinite(rows) {
  const found = rows.filter((row) => ["nan_count", "positive_inf_count", "negative_inf_count"].some((name) => row[statistic(name)] > 0));
  if (!found.length) return [];
  const which = found.length === 1 ? `${found[0].revision} holds` : `${number(found.length)} revisions from ${found[0].revision} on hold`;
  return [`${which} NaN or Inf; they are counted apart and are in no mean`];
}

/** Points of the perplexity chart that cannot be compared with the others. */
function otherTexts(analysis) {
  const count = analysis.perplexity_fall?.revisions_of_other_texts;
  return count > 0 ? [`${counted(count, "of the perplexities is", "of the perplexities are")} of other texts or another limit than most; no verdict uses them`] : [];
}

/** Displacements that cannot be compared with the others. */
function otherReferences(analysis) {
  const count = analysis.revisions_of_other_references;
  return count > 0 ? [`${counted(count, "displacement is", "displacements are")} from another revision than ${analysis.reference}; a sweep of all revisions has them from one again`] : [];
}

/** What the table has and no chart: charts and verdicts are of one run. */
function apart(analysis) {
  const count = analysis.revisions_left_out;
  return count > 0 ? [`${counted(count, "more revision is", "more revisions are")} not part of this run: of later stages, or of a step that is there already; charts and verdicts leave them out`] : [];
}

function warnings(analysis, rows) {
  const texts = [...notFinite(rows), ...apart(analysis), ...otherTexts(analysis), ...otherReferences(analysis), ...[...(analysis.controls || []).filter((one) => one.holds), ...(analysis.stop?.cautions || [])].map((one) => one.meaning)];
  return texts.length ? element("ul", { class: "findings" }, ...[...new Set(texts)].map((text) => element("li", {}, element("span", { class: "chip warning" }, "caution"), ` ${text}`))) : null;
}

function auditList(audit) {
  const findings = (audit.findings || []).filter((one) => one.kind !== "not_finite"); // a caution says so in one line
  if (!findings.length) {
    const isWhole = audit.revisions_measured === audit.revisions_known;
    const sum = isWhole ? "every revision serves weights of its own" : `nothing found so far; measured: ${counted(audit.revisions_measured, "revision", "revisions", audit.revisions_known)}`;
    return element("p", { class: "muted" }, `Audit: ${sum}.`);
  }
  const line = (one) => element("li", {}, element("span", { class: "chip warning" }, one.kind.replaceAll("_", " ")), ` ${one.text}`);
  const rest = findings.slice(FINDINGS_SHOWN);
  return element("div", {},
    element("p", {}, element("b", {}, `Audit: ${counted(findings.length, "finding")}`)),
    element("ul", { class: "findings" }, ...findings.slice(0, FINDINGS_SHOWN).map(line)),
    rest.length ? element("details", { "data-key": "more" }, element("summary", {}, `${rest.length} more`), element("ul", { class: "findings" }, ...rest.map(line))) : null);
}

/** Revisions that no sweep takes into the run: their names give no step. */
const passedOver = (audit) => audit?.passed_over && element("p", { class: "muted" }, `Passed over: ${audit.passed_over.text}.`);

function card(model) {
  const { analysis, audit } = analyses.get(model.name) || {};
  if (!model.rows.length && !audit?.findings?.length && !audit?.passed_over) return null; // nothing is measured, nothing can be said
  const isMeasured = Boolean(analysis && model.rows.length);
  return element("section", { class: "card verdict", "data-key": model.name, "aria-label": `Findings for ${model.name}` },
    element("h3", { title: model.name }, keyOf(model.look), shortName(model.name)),
    ...(isMeasured ? [facts(analysis, wordsOf(model)), warnings(analysis, model.rows)] : []), audit && auditList(audit), passedOver(audit), isMeasured && reasons(analysis));
}

/** Several models: one line each, the whole on demand. */
function comparison(shown) {
  const known = shown.filter((model) => analyses.get(model.name)?.analysis);
  if (!known.length) return [];
  const word = (one, text) => (!one ? "–" : one.verdict === "yes" ? text(one) : one.verdict === "no" ? "no" : "not enough data");
  const units = [...new Set(known.map((model) => analyses.get(model.name).analysis.step_unit))];
  const isOfSteps = units.length === 1 && axis.unit === units[0];
  const brief = (text) => (isOfSteps ? text.replace(/^steps? /, "") : text); // of one unit the heads tell it
  const rows = known.map((model) => {
    const { analysis, audit } = analyses.get(model.name);
    const words = wordsOf(model);
    const cells = [
      ...["raw", "centred"].map((values) => word(onsetOf(analysis, values), (one) => `${words.place(one.step)}${one.is_lasting ? "" : ` to ${words.number(one.step_lost)}`}`)),
      word(analysis.perplexity_fall, (one) => brief(words.range(one.step_from, one.step_to))),
      word(analysis.rest?.per_step, (one) => `from ${brief(words.place(one.step))}`),
      word(analysis.stop, (one) => `${brief(words.place(one.step))}, saving ${number(100 * one.saved, 2)} %`),
      audit ? String(audit.findings.length) : "–",
    ];
    return element("tr", {}, element("th", { scope: "row", title: model.name }, keyOf(model.look), shortName(model.name)), ...cells.map((text) => element("td", {}, text)));
  });
  const rest = units.length > 1 ? "at rest, each in its own unit" : `at rest, per ${unitWord(units[0])}`;
  const heads = ["model", "onset, raw", "onset, centred", "steepest fall of perplexity", rest, "could have stopped", "audit findings"];
  const whole = element("details", {}, element("summary", {}, "Each model in full"), element("div", { class: "verdict" }, ...shown.map(card).filter(Boolean)));
  return [element("section", { class: "card verdict", "data-key": "compared", "aria-label": "Findings compared" },
    element("p", { class: "muted" }, "Upright dashed lines in the charts: the onsets, in the models' colours."),
    element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of findings" }, element("table", { class: "data verdicts" },
      element("thead", {}, element("tr", {}, ...heads.map((name) => element("th", { scope: "col" }, name)))), element("tbody", {}, ...rows))), whole)];
}

export function drawFindings(shown) {
  const root = document.getElementById("findings");
  const cards = [...(shown.length > 1 ? comparison(shown) : shown.map(card))].filter(Boolean);
  renewChildren(root, cards);
  root.hidden = document.getElementById("findings-title").hidden = !cards.length;
}
