/*
 * The valley between two peaks of a smoothed density: 1 where there is one peak, near 0 where the peaks are
 * apart.
 */
#ifndef BIFURCATED_ANALYSIS_VALLEY_H
#define BIFURCATED_ANALYSIS_VALLEY_H

#include "daemon/analysis/distribution.h"

/* The density: VALLEY_BINS equal bins over mean +- VALLEY_RANGE standard deviations, smoothed with a Gaussian
 * of bandwidth max(VALLEY_BANDWIDTH, 0.9 n^(-1/5)) standard deviations (Silverman 1986, eq. 3.31, for few
 * elements). Peaks lower than VALLEY_PEAK_SHARE of the highest do not count. */
#define VALLEY_BINS 512
#define VALLEY_RANGE 5.0
#define VALLEY_BANDWIDTH 0.08
#define VALLEY_PEAK_SHARE 0.05

struct valley {
    double ratio;    /* of all pairs of peaks, the least of (lowest density between) / (lower peak); 1 for one
                        peak;    NaN without spread */
    double position; /* of that lowest density; NaN where ratio is 1 or NaN */
    int peak_count;
};

struct valley valley_find(const struct distribution_value *values, size_t value_count);

#endif
