/*
 * Per hidden dimension: mean, spread and bimodality of each column of a matrix, and the moments of the whole
 * matrix that follow from them exactly.
 */
#ifndef BIFURCATED_ANALYSIS_COLUMNS_H
#define BIFURCATED_ANALYSIS_COLUMNS_H

#include "daemon/analysis/moments.h"

#include <stddef.h>

/* Central sums of all elements, from those of the columns, around the mean of all, which is given. */
struct moments_sums columns_pool_around(const struct moments_sums *columns, size_t column_count, double mean);

/* The same where the mean of all follows from the means of the columns well enough. */
struct moments_sums columns_pool(const struct moments_sums *columns, size_t column_count);

/* Central sums after the mean of its column was subtracted from each element; the mean is 0. */
struct moments_sums columns_pool_centred(const struct moments_sums *columns, size_t column_count);

/* The share of the variance of all that lies between the column means, 0 ... 1: how much the mean row
 * dominates. NaN without spread. */
double columns_mean_share(const struct moments_sums *columns, size_t column_count);

/* Root of the mean square of the column means: the size of the mean row per dimension. */
double columns_mean_rms(const struct moments_sums *columns, size_t column_count);

#endif
