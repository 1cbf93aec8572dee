/*
 * The steps of series_analyze, one file each. Each reads the points, the options and what earlier steps left
 * in the result, and fills its own part.
 */
#ifndef BIFURCATED_ANALYSIS_SERIES_PARTS_H
#define BIFURCATED_ANALYSIS_SERIES_PARTS_H

#include "daemon/analysis/series.h"

struct series_input {
    const struct series_point *points;
    size_t count;
    const struct series_options *options;
    size_t *kept;               /* of points with equal content: the index of the one that counts */
    struct schedule_sums *sums; /* per point */
    size_t reference;           /* the point that MSD is against; `count`: none of them */
};

/* Where training diverged; from there on no revision counts. */
int series_find_divergence(const struct series_input *input, struct series *series, struct err *err);

/* Whether a point lies at the end of the warm-up or before; never, where no schedule is known. */
int series_is_in_warmup(const struct series_input *input, size_t at);

/* What the schedule has accumulated from the reference to a later point; NaN without one. */
struct schedule_sums series_sums_since(const struct series_input *input, size_t at);

/* The distance of neighbouring numbers of a precision, at a size. */
double series_spacing(double size, enum series_precision precision);

/* Exponent, rates, resolution. */
int series_derive(const struct series_input *input, struct series *series, struct err *err);

/* Forked states and onsets of the four distributions. */
void series_find_onsets(const struct series_input *input, struct series *series);

/* Perplexity, rest and the recommendation; after the onsets. */
void series_find_fall(const struct series_input *input, struct series *series);
int series_find_rest(const struct series_input *input, struct series *series, struct err *err);
void series_recommend(const struct series_input *input, struct series *series);

/* The null model and the list of controls; last. */
int series_fit_decay(const struct series_input *input, struct series *series, struct err *err);
void series_name_controls(const struct series_input *input, struct series *series);

#endif
