// What the charts show: groups of panels, each with its quantities, guide lines and an explanation; `by`: which of the chosen rows and
// values it is of, where not both (view.js).

import { moved, statistic } from "./view.js";

const plain = (name) => () => name;
const stat = (name) => () => statistic(name);
const shift = (name) => () => moved(name);

/**
 * Local exponent d log MSD / d log (t − t₀) between the revisions that lie a factor of at least √2 in training since the reference
 * t₀ before and after (or the last one), so that dense late revisions do not turn it into noise. Repeated weights are left out.
 */
function exponents(rows, model) {
  const column = moved("msd");
  const steps = new Map(model.all.map((row) => [row.revision, row.step === null ? null : model.at(row.step)]));
  const since = (row) => row.step - (steps.get(row.reference) ?? NaN);
  const usable = rows.map((row) => ({ row, since: since(row), y: row[column] })).filter((one) => one.since > 0 && one.y > 0 && !one.row.same_as && one.row.reference === model.reference)
    .sort((one, other) => one.since - other.since);
  const found = new Map();
  let [early, late] = [-1, 0]; // places of the two, which only grow
  for (const one of usable) {
    while (usable[early + 1].since <= one.since / Math.SQRT2) early++;
    while (late < usable.length - 1 && usable[late].since < one.since * Math.SQRT2) late++;
    const [before, after] = [usable[early], usable[late]];
    if (before) found.set(one.row, Math.log(after.y / before.y) / Math.log(after.since / before.since));
  }
  return (row) => found.get(row) ?? null;
}

export const groups = [
  {
    title: "Distribution",
    help: "The values of the tensor over training.",
    panels: [
      {
        id: "heat", kind: "heat", title: "Distribution", wide: true, unit: "weight",
        help: "How many values lie in each bin, as a share of the fullest bin of each revision.",
      },
      { id: "fan", kind: "fan", title: "Quantiles", wide: true, unit: "weight", help: "Bands: 0.1–99.9 %, 1–99 %, 5–95 %, 25–75 %; line: the median." },
    ],
  },
  {
    title: "Displacement",
    by: "rows",
    help: "How far the tensor has moved from the reference revision, and since the revision before.",
    panels: [
      {
        id: "msd", title: "Mean square displacement", y: "log", wide: true, unit: "weight²",
        help: "Mean of (w(t) − w(t₀))² over all entries; dashed: against the previous revision; dotted: weight decay and a random walk alone, where the schedule is known.",
        quantities: [
          { name: "MSD", column: shift("msd"), isFromReference: true },
          { name: "lag-1 MSD", column: shift("lag1_msd"), line: "dash" },
          { name: "null model, token rows", derive: (rows, model) => (row) => model.nulls.get(row.revision) ?? null, line: "dot" },
        ],
      },
      {
        id: "exponent", title: "Local exponent of the MSD", help: "d log MSD / d log (t − t₀) over a factor of two of t − t₀, the training since the reference.",
        guides: [{ y: 1, label: "diffusive" }, { y: 2, label: "ballistic" }, { y: 0, label: "at rest" }],
        quantities: [{ name: "exponent", derive: exponents, needs: shift("msd") }],
      },
      { id: "norm", span: [0, 0], title: "Norm", unit: "weight", help: "Frobenius norm of the tensor.", quantities: [{ name: "norm", column: shift("norm") }] },
      {
        id: "cosine", span: [0, 1], title: "Cosine similarity", help: "Overlap with the reference; dashed: with the previous revision.",
        quantities: [
          { name: "cosine", column: shift("cosine"), isFromReference: true },
          { name: "lag-1 cosine", column: shift("lag1_cosine"), line: "dash" },
        ],
      },
    ],
  },
  {
    title: "Language",
    by: "nothing",
    help: "What the whole model achieves at each revision; bands are ± one standard error.",
    empty: { text: "Perplexity is not measured here. It loads whole checkpoints, so it is measured on request. ", button: "Measure perplexity" },
    panels: [
      {
        id: "perplexity", title: "Perplexity", y: "log",
        help: "exp of the mean negative log-probability; the mode is in the legend. Only perplexities of the same texts are joined.",
        quantities: [
          { name: "last word", column: plain("perplexity"), error: "perplexity_stderr", mode: "last_word" },
          { name: "pooled", column: plain("pooled_perplexity"), error: "pooled_perplexity_stderr", mode: "tokens", line: "dash" },
          { name: "mean of texts", column: plain("text_mean_perplexity"), error: "text_mean_perplexity_stderr", mode: "text_mean", line: "dot" },
        ],
      },
      {
        id: "accuracy", span: [0, 0], title: "Last-word accuracy", help: "Share of documents whose last word is the most likely continuation.",
        quantities: [{ name: "accuracy", column: plain("accuracy"), error: "accuracy_stderr", mode: "last_word" }],
      },
    ],
  },
  {
    title: "Single entries",
    by: "entries",
    help: "A few entries of token rows, drawn at random once and kept at every revision as stored.",
    panels: [
      {
        id: "pairs", kind: "pairs", title: "Two-time displacement", unit: "against step",
        help: "Mean square displacement between any two revisions, estimated from the entries.",
      },
      {
        id: "trajectories", kind: "trajectories", title: "Sampled trajectories", unit: "weight",
        help: "One line for each entry.",
      },
    ],
  },
  {
    title: "Bimodality",
    help: "Measures that may disagree; none decides alone.",
    panels: [
      {
        id: "bc", title: "Bimodality coefficient", help: "Sarle's, with sample correction: 1/3 for a normal, 5/9 for a uniform distribution. An exponential one, with one mode, exceeds 5/9, too: it decides nothing.",
        guides: [{ y: 5 / 9, label: "5/9" }, { y: 1 / 3, label: "normal" }],
        quantities: [{ name: "BC", column: stat("bimodality") }],
      },
      {
        id: "effect", span: [0, 0], title: "Dip", help: "Hartigan's distance from the nearest unimodal distribution. An onset needs 0.005, with the valley, and D or two modes.",
        guides: [{ y: 0.005, label: "onset" }],
        quantities: [{ name: "dip", column: stat("dip") }],
      },
      {
        id: "dip", span: [0, 0], title: "√n·dip", help: "The dip scaled by √n, as its significance is judged.",
        quantities: [{ name: "√n·dip", column: stat("dip_sqrt_n") }],
      },
      {
        id: "ashman", span: [0, 2], title: "Ashman's D", help: "Distance of two normal components, fitted to the body without far entries, in their widths. An onset needs 2, a clean split, or two modes.",
        guides: [{ y: 2, label: "onset" }],
        quantities: [{ name: "D", column: stat("ashman_d") }],
      },
      {
        id: "valley", span: [0, 1], title: "Valley to peak", help: "Lowest density of the body between two of its peaks over the lower one, the least of all pairs; 1 where there is one peak. An onset needs 0.9 or less.",
        guides: [{ y: 0.9, label: "onset" }],
        quantities: [{ name: "valley / peak", column: stat("valley_to_peak") }],
      },
      {
        id: "modes", span: [0, 2], title: "Modes", help: "Peaks of the body's smoothed density that stand out from their surroundings. An onset needs two, or D.",
        guides: [{ y: 2, label: "onset" }],
        quantities: [{ name: "modes", column: stat("modes") }],
      },
      {
        id: "bic", title: "ΔBIC of two components", help: "One normal component less two, of the body. Of millions of values any tail that is not normal makes it large: read it with D.",
        guides: [{ y: 0, label: "equal" }],
        quantities: [{ name: "ΔBIC", column: stat("delta_bic") }],
      },
    ],
  },
  {
    title: "Moments",
    help: "Of the distribution of all values.",
    panels: [
      {
        id: "sd", title: "Standard deviation", unit: "weight", help: "Population, √variance.",
        quantities: [{ name: "σ", needs: stat("variance"), derive: () => (row) => (row[statistic("variance")] === null ? null : Math.sqrt(row[statistic("variance")])) }],
      },
      { id: "mean", title: "Mean", unit: "weight", help: "Of all values.", guides: [{ y: 0 }], quantities: [{ name: "mean", column: stat("mean") }] },
      { id: "skewness", title: "Skewness", help: "Leaning to one side: above 0 the right tail is the longer one (G₁).", guides: [{ y: 0 }], quantities: [{ name: "skewness", column: stat("skewness") }] },
      { id: "kurtosis", title: "Excess kurtosis", help: "Weight of the tails: 0 for a normal distribution (G₂).", guides: [{ y: 0, label: "normal" }], quantities: [{ name: "kurtosis", column: stat("kurtosis") }] },
      {
        id: "extremes", title: "Extremes", unit: "weight", help: "Smallest and largest value.",
        quantities: [{ name: "maximum", column: stat("maximum") }, { name: "minimum", column: stat("minimum"), line: "dash" }],
      },
      {
        id: "sparsity", title: "Sparsity", help: "Share of entries below 0.1 σ in size.",
        guides: [{ y: 0.0796557, label: "normal" }],
        quantities: [{ name: "sparsity", column: stat("sparsity") }],
      },
    ],
  },
];

export const quantiles = ["q001", "q01", "q05", "q25", "q50", "q75", "q95", "q99", "q999"];

/** The columns that all panels together need for the chosen rows and values. */
export function columns() {
  const statistics = ["variance", "mean", "skewness", "kurtosis", "bimodality", "sparsity", "dip", "dip_sqrt_n", "dip_p", "ashman_d",
    "delta_bic", "valley_to_peak", "modes", "nan_count", "positive_inf_count", "negative_inf_count", "minimum", "maximum", ...quantiles];
  const displacements = ["msd", "cosine", "norm", "lag1_msd", "lag1_cosine"];
  const names = ["revision", "step", "state", "error", "same_as", "reference", "lag1_reference", "commit", "measured_at", "bytes_fetched", "file",
    "perplexity", "perplexity_stderr", "accuracy", "accuracy_stderr", "pooled_perplexity", "pooled_perplexity_stderr",
    "text_mean_perplexity", "text_mean_perplexity_stderr"];
  names.push(...displacements.map(moved), ...statistics.map(statistic));
  return names;
}
