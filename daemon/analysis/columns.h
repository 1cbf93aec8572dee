/*
 * The moments of a whole matrix, which follow exactly from those of its columns.
 */
#ifndef BIFURCATED_ANALYSIS_COLUMNS_H
#define BIFURCATED_ANALYSIS_COLUMNS_H

#include "daemon/analysis/moments.h"

#include <stddef.h>

/* Central sums of all elements, from those of the columns, around the mean of all, which is given. */
struct moments_sums columns_pool_around(const struct moments_sums *columns, size_t column_count, double mean);

/* Central sums after the mean of its column was subtracted from each element; the mean is 0. */
struct moments_sums columns_pool_centred(const struct moments_sums *columns, size_t column_count);

#endif
