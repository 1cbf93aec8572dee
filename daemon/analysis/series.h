/*
 * A training run as a series of measured revisions, and what is read out of it: when the weights fork, when
 * perplexity falls, when the weights come to rest, whether training could have stopped, and what else could
 * explain each.
 *
 * All thresholds stand in struct series_options with documented defaults; the definition number changes with
 * the meaning of any result. Every verdict says so when there is not enough data for it.
 *
 * Revisions whose content repeats another one's are left out (audit.h reports them): of equal revisions the
 * one at the end of the series counts if it is among them, since published runs are known to serve final
 * weights under early names; otherwise the earliest. Revisions after training has diverged are left out, too.
 */
#ifndef BIFURCATED_ANALYSIS_SERIES_H
#define BIFURCATED_ANALYSIS_SERIES_H

#include "daemon/analysis/schedule.h"
#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

#define SERIES_DEFINITION 17

enum series_rows { SERIES_ROWS_ALL, SERIES_ROWS_TOKENS, SERIES_ROWS_COUNT };
enum series_view { SERIES_VIEW_RAW, SERIES_VIEW_CENTRED, SERIES_VIEW_COUNT };

/* The shape of one distribution; NaN where not measured. */
struct series_shape {
    double mean, variance;
    double low, high; /* quantiles 0.05 and 0.95 */
    double bimodality;
    double dip, dip_sqrt_n;
    double mixture_weight; /* of the component with the lower mean */
    double ashman_d;
    double valley_to_peak;
    double modes;
};

/* Bits of fraction that the weights are stored with: where rounding hides displacement. */
enum series_precision { SERIES_PRECISION_F32 = 23, SERIES_PRECISION_F16 = 10, SERIES_PRECISION_BF16 = 7 };

/* One revision, in step order. NaN where not known. */
struct series_point {
    double step;
    uint64_t content;  /* equal numbers: equal bytes; 0: not known */
    int is_measured;   /* whether shapes and displacements are there */
    double not_finite; /* share of values that are NaN or Inf; 0 if not measured */
    /* Of the stored values, where they are measured: it may change in a run. */
    enum series_precision precision;
    struct series_shape shapes[SERIES_ROWS_COUNT][SERIES_VIEW_COUNT];
    double msd[SERIES_ROWS_COUNT];      /* against the reference: see reference_step */
    double lag1_msd[SERIES_ROWS_COUNT]; /* against an earlier measured revision: */
    size_t lag1_back;                   /* the one so many points before; 0: the last measured one before */
    double perplexity, perplexity_stderr;
};

struct series_options {
    struct schedule schedule;    /* SCHEDULE_KIND_UNKNOWN: the controls that need it are left out */
    struct schedule_clock clock; /* {1, 0}: what the points' steps are in the schedule's */
    double reference_step; /* of the point that MSD is against; NaN: of the first one. Without such a point,
                              nothing that needs the time since then is known */
    /* A revision counts as forked if it has the dip, the valley, and either two normals apart (D and the
     * weight of the lighter one) or two modes; once forked, until dip or valley fail the weaker bound. */
    double dip_on, dip_off;       /* 0.005, 0.003: above the noise of rounding to float16 and bfloat16 */
    double dip_sqrt_n_on;         /* 0.83: a sample of one mode has more in one case of 10,000 (dip.h); below
                                     30,000 entries the stronger bound */
    double valley_on, valley_off; /* at most 0.90, 0.95 */
    double ashman_on;             /* 2.0 */
    double weight_min;            /* 0.05: of the lighter component */
    double modes_on;              /* 2 */
    double spacing_max; /* 0.08: where codes lie this share of a deviation apart or farther, they make modes
                           of their own. The state of the fork stays what it was */
    int consecutive;    /* 2: revisions in a row that must agree before the state changes */
    int points_min;     /* 4: measured revisions without which there is no verdict */
    /* At rest: from some revision to the end, for at least rest_points revisions, lag-1 displacement (per
     * step; per summed rate) stays at or below this share of what it was before: of its median over the
     * training steps between the warm-up and there; and so does the same divided by the steps that it
     * spans, which a drift keeps whatever these are. Those are at least points_min displacements, and this
     * share of all steps after the warm-up, so that a quick beginning makes no rest of all that follows. */
    double rest_share;       /* 0.25 */
    double rest_moved_share; /* 0.05 */
    int rest_points;         /* 3 */
    /* The slope of log MSD over log time is fitted to this many revisions to each side. */
    int alpha_reach; /* 2 */
    /* The ends of a fall of perplexity are this factor of 1 + step apart: over the short steps of a dense
     * late part, a perplexity that fluctuates falls steeper than where it really does. */
    double fall_factor; /* 1.2 */
    /* Perplexity that ends this factor above its best, and so many standard errors by its fluctuation, has
     * been made worse by late training: geometric means of a ninth of the perplexities in a row, one to five.
     * Two single ones must differ by as much where perplexity falls. */
    double late_harm;        /* 1.05 */
    double late_harm_errors; /* 3 */
    /* Training has diverged where, to the end, values are NaN or Inf, or the root mean square of the rows of
     * tokens is more than so many times its lower quartile over the run, and more than that size. */
    double diverged_growth; /* 100 */
    double diverged_size;   /* 1: logits of tens and more. Weights that begin as zeros grow as much, but stay
                               below */
    /* The decay null model explains the run if the root mean squares of ln(MSD / model) and, with the same
     * walk, of ln(lag-1 displacement / model) stay below. */
    double null_tolerance;      /* 0.2 */
    double null_lag1_tolerance; /* 0.5 */
};

/* The defaults above, with an unknown schedule. */
struct series_options series_options_default(void);

enum series_verdict {
    SERIES_VERDICT_INSUFFICIENT, /* not enough data to tell */
    SERIES_VERDICT_NO,
    SERIES_VERDICT_YES
};

/* Derived values, one per point, in the same order. NaN where not defined. */
struct series_derived {
    int is_counted; /* 0: not measured, or left out: a repetition, or after training has diverged */
    int is_forked[SERIES_ROWS_COUNT][SERIES_VIEW_COUNT]; /* with hysteresis */
    int is_unresolved;          /* lag-1 displacement is within the rounding of the stored weights */
    double alpha;               /* d log MSD / d log (steps since the reference), token rows */
    size_t lag1_from;           /* the point that the lag-1 displacement is against; valid if lag1_steps is */
    double lag1_steps;          /* since then */
    double rate_per_step;       /* lag-1 MSD / steps */
    double rate_per_lr;         /* lag-1 MSD / sum of rates since the previous revision */
    double rate_per_lr_squared; /* lag-1 MSD / sum of squared rates: constant for a random walk */
    double msd_per_lr;          /* MSD / sum of rates since the reference */
    double lr, lr_sum;
    double msd_null;   /* MSD of weight decay and random walk alone, fitted (controls) */
    double resolution; /* squared error that rounding of both ends leaves of the lag-1 displacement */
};

struct series_onset {
    enum series_verdict verdict;
    size_t index; /* of the first forked revision; valid for YES, as the rest */
    double step;
    double step_before; /* of the last counted revision before it, of NO in the run, that tells modes and has
                           none; NaN if there is none */
    double dip, ashman_d, valley_to_peak, modes;
    int is_lasting;      /* still forked at the end */
    double step_lost;    /* first step at which it had closed again, also if it came back; NaN if never */
    double step_lasting; /* from where on it is forked to the end; NaN unless lasting */
    size_t count_forked; /* revisions that are forked */
    size_t count_hidden; /* that have dip and valley of a fork, but neither two normals apart nor two modes:
                            the second is light, or modes were never counted */
    size_t count_coarse; /* that would be forked, were their codes finer */
};

struct series_divergence {
    int is_found;
    size_t index; /* of the first revision from which all are diverged; valid if found */
    double step;  /* NaN unless found */
};

struct series_fall {
    enum series_verdict verdict;
    double step_from, step_to; /* the steepest fall of ln perplexity over ln(1 + step), from the least up to a
                                  revision to that of the first one that is far enough behind it, or, where
                                  none is beyond late_harm and its errors, from the first to the last; NaN
                                  unless that is */
    double slope;              /* of it */
    double ln_ratio_to_onset;  /* ln(middle of the fall / onset), 0 if they coincide; NaN without an onset */
    int is_beside_onset;       /* the onset lies within the fall or one known revision of it */
};

/* Since when lag-1 displacement is small, measured in three ways. */
struct series_rest {
    enum series_verdict verdict;
    double step;      /* since; NaN unless YES */
    double reference; /* the median before it; NO: that before the last revisions that could be a rest */
};

enum series_control {
    SERIES_CONTROL_MEAN_ROW = 1 << 0,   /* forked raw, not centred: the mean of each column makes the modes */
    SERIES_CONTROL_PADDING = 1 << 1,    /* forked over all rows, not over the rows of tokens */
    SERIES_CONTROL_SCHEDULE = 1 << 2,   /* at rest per step, not per learning rate: the schedule froze it */
    SERIES_CONTROL_DECAY = 1 << 3,      /* weight decay and a random walk alone reproduce the displacements */
    SERIES_CONTROL_RESOLUTION = 1 << 4, /* some displacements are within rounding */
    SERIES_CONTROL_DUPLICATES = 1 << 5, /* revisions were left out as repetitions */
    SERIES_CONTROL_CODES = 1 << 6       /* token rows look forked where their codes are too coarse to tell */
};

struct series_decay {
    enum series_verdict verdict; /* YES: the null model explains MSD and lag-1 displacements */
    double log_error;            /* root mean square of ln(MSD / model) */
    double lag1_log_error;       /* of ln(lag-1 displacement / model with that walk), of those beyond
                                    rounding; NaN if there are none */
    double walk;                 /* fitted variance per squared rate */
    double efold_step;           /* where decay alone leaves 1/e of w(0); NaN if it never does */
};

enum series_caution {
    SERIES_CAUTION_LATE_HARM = 1 << 0, /* perplexity ended above its best */
    SERIES_CAUTION_NO_ONSET = 1 << 1,  /* the weights did not fork */
    /* Nothing is known about the price of stopping: no perplexity, or none before the last one from there on.
     */
    SERIES_CAUTION_NO_PERPLEXITY = 1 << 2,
    SERIES_CAUTION_SCHEDULE = 1 << 3, /* rest may be the schedule's doing, or the schedule is not known */
    SERIES_CAUTION_ONLY_RAW = 1 << 4, /* the fork is of the column means */
    /* The first revision repeats a late one: MSD is against the wrong start. */
    SERIES_CAUTION_FIRST_IS_SUSPECT = 1 << 5,
    SERIES_CAUTION_OPEN_END = 1 << 6,     /* the last revisions are not measured, so the end is not known */
    SERIES_CAUTION_DIVERGED = 1 << 7,     /* training diverged: all is said of the revisions before */
    SERIES_CAUTION_STILL_FALLING = 1 << 8 /* perplexity went on to fall after where training could have
                                             stopped, by more than late harm would be a rise */
};

struct series_stop {
    enum series_verdict verdict; /* YES: training could have stopped at `step` */
    double step;                 /* since when forked for good and at rest; NO: with STILL_FALLING alone */
    double saved;                /* YES: share of the steps not taken, up to the last measured revision */
    /* There: of the first revision from `step` on that has one, but for the last; NaN if there is none. */
    double perplexity, perplexity_step;
    double perplexity_end, perplexity_best, perplexity_best_step;
    double given_up;    /* ln(perplexity there / perplexity at the end): negative if stopping was better */
    double fluctuation; /* of ln perplexity between neighbours in the later half of the run: its root mean
                           square distance from the line between them, in standard deviations of one; NaN if
                           that half has under five. What is given up is known to sqrt(2) of it */
    unsigned cautions;  /* of enum series_caution */
};

struct series {
    size_t counted; /* points that count */
    struct series_derived *derived;
    struct series_divergence divergence;
    struct series_onset onsets[SERIES_ROWS_COUNT][SERIES_VIEW_COUNT];
    enum series_view onset_view; /* of the onset of token rows that fall and stop speak of: centred, but raw
                                    where the tokens fork only so */
    struct series_fall fall;
    struct series_rest rest_per_step, rest_per_lr, rest_per_lr_squared;
    struct series_decay decay;
    struct series_stop stop;
    unsigned controls; /* of enum series_control: what could explain the picture */
};

/* Reads a series. Points must be in ascending order of step (ERR_INVALID), at most SERIES_POINTS_MAX. The
 * caller frees the result with series_free. */
#define SERIES_POINTS_MAX 100000
int series_analyze(const struct series_point *points, size_t point_count,
                   const struct series_options *options, struct series *ret_series, struct err *err);
void series_free(struct series *series);

/* "insufficient", "no", "yes". */
const char *series_verdict_name(enum series_verdict verdict);

/* "mean_row" for SERIES_CONTROL_MEAN_ROW ..., NULL for a number that is no single control; bits: 0 ... */
const char *series_control_name(unsigned control);
const char *series_caution_name(unsigned caution);

#endif
