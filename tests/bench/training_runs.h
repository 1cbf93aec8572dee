/*
 * Synthetic training runs of which the truth is known, for tests and the benchmark of the verdicts. A run is
 * a matrix that is moved from revision to revision by one of a few laws; it is stored as float16 and measured
 * like any other.
 */
#ifndef BIFURCATED_TESTS_TRAINING_RUNS_H
#define BIFURCATED_TESTS_TRAINING_RUNS_H

#include "daemon/analysis/audit.h"
#include "daemon/analysis/series.h"
#include "gpu/cpu/statistics.h"
#include "gpu/half.h"
#include "tests/tools/measurement.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RUN_ROWS 1024
#define RUN_COLUMNS 16
#define RUN_TOKEN_ROWS 900
#define RUN_ELEMENTS (RUN_ROWS * RUN_COLUMNS)
#define RUN_REVISIONS_MAX 48

/* symbol, name, what truly happens */
#define RUN_KINDS(X)                                                                                         \
    X(RUN_KIND_DIFFUSION, "diffusion", "a random walk, nothing else")                                        \
    X(RUN_KIND_DECAY, "decay", "a random walk under weight decay: MSD saturates")                            \
    X(RUN_KIND_FORK, "fork", "each weight moves to one of two values from step s on, then rests")            \
    X(RUN_KIND_FREEZE, "freeze", "a random walk that the learning rate freezes")                             \
    X(RUN_KIND_MEAN_ROW, "mean row", "column means move to one of two values from step s on; rows do not")   \
    X(RUN_KIND_PADDING, "padding", "the padded rows collapse to one value far off; tokens diffuse")          \
    X(RUN_KIND_DUPLICATES, "duplicates", "as fork, and six early revisions serve the final weights")         \
    X(RUN_KIND_THREE, "three modes", "as fork, to one of three values, two thirds to the middle one")        \
    X(RUN_KIND_FAR, "far from zero", "a random walk around 100, where float16 is coarse")

enum run_kind {
#define X(symbol, name, meaning) symbol,
    RUN_KINDS(X)
#undef X
        RUN_KIND_COUNT
};

struct run {
    enum run_kind kind;
    uint64_t seed;
    struct schedule schedule;
    size_t count;
    struct series_point points[RUN_REVISIONS_MAX];
    size_t planted[6]; /* RUN_KIND_DUPLICATES: which ones */
    double fork_step;  /* truth: NaN if there is none */
    uint16_t *weights; /* [count][RUN_ELEMENTS] */
};

static inline uint64_t run_draw(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15U);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
}

/* A standard normal number (Box & Muller 1958). */
static inline double run_normal(uint64_t *seed)
{
    double u = ((double)(run_draw(seed) >> 11) + 1) * 0x1p-53, v = (double)(run_draw(seed) >> 11) * 0x1p-53;
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* The grid of published runs, thinned: 0, 1, 2, 4 ... 512, 1000, then every 8000. */
static inline void run_lay_grid(struct run *run)
{
    const double early[] = {0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000};
    for (size_t i = 0; i < sizeof(early) / sizeof(early[0]); i++)
        run->points[run->count++].step = early[i];
    for (double step = 8000; step <= 144000; step += 8000)
        run->points[run->count++].step = step;
}

static inline struct schedule run_schedule(enum run_kind kind)
{
    struct schedule schedule = {
        .kind = SCHEDULE_KIND_CONSTANT, .rate_max = 1e-3, .rate_min = 1e-3, .warmup_steps = 1430};
    if (kind == RUN_KIND_DECAY)
        schedule.weight_decay = 0.1;
    if (kind == RUN_KIND_FREEZE) {
        schedule.kind = SCHEDULE_KIND_COSINE;
        schedule.rate_min = 1e-5;
        schedule.end_step = 80000;
    }
    return schedule;
}

/* Moves the weights from one revision to the next. `w` is the moving part, `target` where a fork leads. */
static inline void run_move(struct run *run, const struct schedule_sums *from, const struct schedule_sums *to,
                            uint64_t *seed, double *w, const float *target)
{
    double walk = 0.6 * sqrt(to->rates_squared - from->rates_squared);
    double keep = from->kept > 0 ? to->kept / from->kept : 1;
    int is_fork =
        run->kind == RUN_KIND_FORK || run->kind == RUN_KIND_DUPLICATES || run->kind == RUN_KIND_THREE;
    int is_after = to->step >= run->fork_step;
    for (size_t i = 0; i < RUN_ELEMENTS; i++) {
        double shift = 0;
        if (is_fork && is_after) { /* the walk stops, and each step closes most of the way */
            shift = 0.75 * ((double)target[i] - w[i]);
            w[i] += shift + 0.002 * pow(0.5, (to->step - run->fork_step) / 8000) * run_normal(seed);
            continue;
        }
        if (run->kind == RUN_KIND_MEAN_ROW && is_after)
            shift = (from->step < run->fork_step ? 2 : 0.05) * (double)target[i % RUN_COLUMNS];
        if (run->kind == RUN_KIND_PADDING && is_after && i / RUN_COLUMNS >= RUN_TOKEN_ROWS)
            w[i] = 0;
        w[i] = w[i] * keep + shift + walk * run_normal(seed);
    }
}

/* Makes all revisions; 0 without memory. Free with run_free. */
static inline int run_make(struct run *run, enum run_kind kind, uint64_t seed)
{
    memset(run, 0, sizeof(*run));
    run->kind = kind;
    run->seed = seed;
    run->schedule = run_schedule(kind);
    run_lay_grid(run);
    uint64_t state = seed * 1000 + (uint64_t)kind;
    run->fork_step = kind == RUN_KIND_DIFFUSION || kind == RUN_KIND_DECAY || kind == RUN_KIND_FREEZE ||
                             kind == RUN_KIND_FAR
                         ? (double)NAN
                         : 24000 + 8000 * (double)(run_draw(&state) % 8);
    run->weights = calloc(run->count * RUN_ELEMENTS, sizeof(*run->weights));
    double *w = calloc(RUN_ELEMENTS, sizeof(*w)), steps[RUN_REVISIONS_MAX];
    float *target = calloc(RUN_ELEMENTS, sizeof(*target));
    struct schedule_sums sums[RUN_REVISIONS_MAX];
    int is_made = run->weights && w && target;
    for (size_t i = 0; i < run->count; i++)
        steps[i] = run->points[i].step;
    schedule_accumulate(&run->schedule, steps, run->count, sums);
    for (size_t i = 0; is_made && i < RUN_ELEMENTS; i++) {
        uint64_t drawn = run_draw(&state);
        double side = drawn & 1 ? 1 : -1;
        if (kind == RUN_KIND_THREE && drawn % 3)
            side = 0;
        w[i] = 0.028 * run_normal(&state) + (kind == RUN_KIND_FAR ? 100 : 0);
        target[i] = (float)(side * 0.25 + 0.02 * run_normal(&state));
    }
    for (size_t i = 0; is_made && i < run->count; i++) {
        if (i)
            run_move(run, &sums[i - 1], &sums[i], &state, w, target);
        for (size_t k = 0; k < RUN_ELEMENTS; k++) {
            int is_padding = kind == RUN_KIND_PADDING && sums[i].step >= run->fork_step &&
                             k / RUN_COLUMNS >= RUN_TOKEN_ROWS;
            run->weights[i * RUN_ELEMENTS + k] = half_to_f16(is_padding ? 6.0F : (float)w[k]);
        }
    }
    const size_t planted[6] = {3, 7, 12, 13, 15, 17}; /* alone and in a row, before and about the fork */
    for (size_t k = 0; is_made && kind == RUN_KIND_DUPLICATES && k < 6; k++) {
        run->planted[k] = planted[k];
        memcpy(run->weights + run->planted[k] * RUN_ELEMENTS, run->weights + (run->count - 1) * RUN_ELEMENTS,
               RUN_ELEMENTS * sizeof(*run->weights));
    }
    free(w);
    free(target);
    return is_made;
}

static inline void run_free(struct run *run)
{
    free(run->weights);
    memset(run, 0, sizeof(*run));
}

static inline struct series_shape run_shape(const struct summary *summary)
{
    return (struct series_shape){.mean = summary->mean,
                                 .variance = summary->variance,
                                 .low = summary->quantiles[SUMMARY_QUANTILE_05],
                                 .high = summary->quantiles[SUMMARY_QUANTILE_95],
                                 .bimodality = summary->bimodality,
                                 .dip = summary->dip,
                                 .dip_sqrt_n = summary->dip_sqrt_n,
                                 .mixture_weight = summary->mixture_weight,
                                 .ashman_d = summary->ashman_d,
                                 .valley_to_peak = summary->valley_to_peak,
                                 .modes = summary->modes};
}

/* FNV-1a: which revisions are equal. */
static inline uint64_t run_digest(const uint16_t *weights)
{
    uint64_t digest = 0xcbf29ce484222325U;
    for (size_t i = 0; i < RUN_ELEMENTS; i++)
        digest = (digest ^ weights[i]) * 0x100000001b3U;
    return digest | 1;
}

/* Measures every revision as the daemon does and fills the points. */
static inline int run_measure(struct run *run, struct cpu_threads *threads, struct statistics_result *result,
                              struct err *err)
{
    for (size_t i = 0; i < run->count; i++) {
        const uint16_t *data = run->weights + i * RUN_ELEMENTS;
        struct statistics_request request = {.dtype = TENSOR_DTYPE_F16,
                                             .rows = RUN_ROWS,
                                             .columns = RUN_COLUMNS,
                                             .token_rows = RUN_TOKEN_ROWS,
                                             .data = data,
                                             .reference_count = 2,
                                             .references = {run->weights, i ? data - RUN_ELEMENTS : data}};
        struct measurement measurement;
        struct series_point *point = &run->points[i];
        int code = cpu_statistics(threads, cpu_isa_best(), &request, result, err);
        if (!code)
            code = measurement_make(&request, result, &measurement, err);
        if (code)
            return code;
        point->is_measured = 1;
        point->precision = SERIES_PRECISION_F16;
        point->content = run_digest(data);
        point->perplexity = point->perplexity_stderr = (double)NAN;
        for (int rows = 0; rows < SERIES_ROWS_COUNT; rows++) {
            for (int view = 0; view < SERIES_VIEW_COUNT; view++)
                point->shapes[rows][view] = run_shape(&measurement.summaries[rows][view]);
            point->msd[rows] = measurement.displacements[0][rows].msd;
            point->lag1_msd[rows] = measurement.displacements[1][rows].msd;
        }
    }
    return 0;
}

/* What came out, compared with the truth. */
struct run_score {
    int is_onset_right;   /* raw, tokens: within one grid step, or none where there is none */
    int is_centred_right; /* the same, centred */
    int is_control_right; /* the control that belongs to the kind is named (and mean row only where it
                             belongs) */
    int is_audit_right;   /* duplicates: exactly the planted ones */
};

static inline int run_is_onset_right(const struct run *run, const struct series_onset *onset, double truth)
{
    if (isnan(truth))
        return onset->verdict == SERIES_VERDICT_NO;
    if (onset->verdict != SERIES_VERDICT_YES)
        return 0;
    for (size_t i = 0; i + 1 < run->count; i++) {
        if (run->points[i + 1].step == truth || run->points[i].step == truth ||
            (i > 0 && run->points[i - 1].step == truth)) {
            if (run->points[i].step == onset->step)
                return 1;
        }
    }
    return 0;
}

static inline unsigned run_expected_control(enum run_kind kind)
{
    switch (kind) {
    case RUN_KIND_DECAY:
        return SERIES_CONTROL_DECAY;
    case RUN_KIND_FREEZE:
        return SERIES_CONTROL_SCHEDULE;
    case RUN_KIND_MEAN_ROW:
        return SERIES_CONTROL_MEAN_ROW;
    case RUN_KIND_PADDING:
        return SERIES_CONTROL_PADDING;
    case RUN_KIND_DUPLICATES:
        return SERIES_CONTROL_DUPLICATES;
    case RUN_KIND_FAR:
        return SERIES_CONTROL_CODES;
    default:
        return 0;
    }
}

static inline int run_is_audit_right(const struct run *run, const struct audit *audit)
{
    size_t found = 0;
    for (size_t i = 0; i < audit->finding_count; i++) {
        const struct audit_finding *finding = &audit->findings[i];
        if (finding->kind != AUDIT_KIND_DUPLICATE)
            continue;
        int is_planted = finding->index == run->count - 1;
        for (size_t k = 0; k < 6; k++)
            is_planted |= run->planted[k] == finding->index;
        if (!is_planted)
            return 0;
        found++;
    }
    return found ==
           (run->kind == RUN_KIND_DUPLICATES ? 6 : 0); /* seven equal ones, the first is their reference */
}

static inline int run_score(struct run *run, struct run_score *ret_score, struct err *err)
{
    struct series_options options = series_options_default();
    struct audit_point audited[RUN_REVISIONS_MAX];
    struct audit_options audit_options = audit_options_default();
    struct series series;
    struct audit audit;
    options.schedule = run->schedule;
    int code = series_analyze(run->points, run->count, &options, &series, err);
    if (code)
        return code;
    for (size_t i = 0; i < run->count; i++)
        audited[i] = (struct audit_point){.step = run->points[i].step,
                                          .content = run->points[i].content,
                                          .is_measured = 1,
                                          .msd = run->points[i].msd[SERIES_ROWS_TOKENS],
                                          .lag1_msd = run->points[i].lag1_msd[SERIES_ROWS_TOKENS]};
    code = audit_revisions(audited, run->count, &audit_options, &audit, err);
    if (!code) {
        const struct series_onset *onsets = series.onsets[SERIES_ROWS_TOKENS];
        double raw = run->kind == RUN_KIND_PADDING ? (double)NAN : run->fork_step;
        double centred = run->kind == RUN_KIND_MEAN_ROW ? (double)NAN : raw;
        unsigned expected = run_expected_control(run->kind);
        unsigned exclusive = SERIES_CONTROL_MEAN_ROW | SERIES_CONTROL_PADDING | SERIES_CONTROL_SCHEDULE;
        ret_score->is_onset_right = run_is_onset_right(run, &onsets[SERIES_VIEW_RAW], raw);
        ret_score->is_centred_right = run_is_onset_right(run, &onsets[SERIES_VIEW_CENTRED], centred);
        ret_score->is_control_right =
            (series.controls & expected) == expected && (series.controls & exclusive & ~expected) == 0;
        ret_score->is_audit_right = run_is_audit_right(run, &audit);
        audit_free(&audit);
    }
    series_free(&series);
    return code;
}

#endif
