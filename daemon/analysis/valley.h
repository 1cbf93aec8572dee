/*
 * The peaks of a smoothed density: how many modes there are, and how deep the valley between two of them is:
 * 1 where there is one peak, near 0 where the peaks are apart.
 */
#ifndef BIFURCATED_ANALYSIS_VALLEY_H
#define BIFURCATED_ANALYSIS_VALLEY_H

#include "daemon/analysis/distribution.h"

/* The density: VALLEY_BINS equal bins over mean +- VALLEY_RANGE standard deviations, each element shared
 * between the two bins whose middles are beside it, smoothed with a Gaussian of bandwidth
 * max(VALLEY_BANDWIDTH, 0.9 n^(-1/5)) standard deviations (Silverman 1986, eq. 3.31, for few elements). Peaks
 * lower than VALLEY_PEAK_SHARE of the highest do not count. */
#define VALLEY_BINS 512
#define VALLEY_RANGE 5.0
#define VALLEY_BANDWIDTH 0.08
#define VALLEY_PEAK_SHARE 0.05
/* A peak is a mode if its prominence is at least this share of its height (on the way to each higher peak, or
 * to an equal one on its left, the density falls that far), and if between the lowest places beside it lies
 * this share of the elements. */
#define VALLEY_PROMINENCE 0.10
#define VALLEY_MODE_WEIGHT 0.05

struct valley {
    double ratio;    /* of all pairs of peaks, the least of (lowest density between) / (lower peak); 1 for one
                        peak; NaN without spread */
    double position; /* of that lowest density; NaN where ratio is 1 or NaN */
    int peak_count;
    int mode_count; /* 0 without spread */
};

struct valley valley_find(const struct distribution_value *values, size_t value_count);

#endif
