/*
 * How the sums and counts of a pass over a tensor become its statistics: what every backend does after its
 * own way of counting.
 */
#ifndef BIFURCATED_GPU_STATISTICS_JOIN_H
#define BIFURCATED_GPU_STATISTICS_JOIN_H

#include "gpu/statistics.h"

/* -- Counts ---------------------------------------------------------------------------------------- */

/* Counts of what is not finite, zeros and extremes of a row set, from its counts of codes. float32, whose
 * codes are intervals: zeros and extremes come from statistics_take_extremes afterwards. */
void statistics_take_census(enum tensor_dtype dtype, struct statistics_rows *rows);

/* Bits of a float32 as an integer that ascends with the value, and back. */
static inline uint32_t statistics_order32_of_bits(uint32_t bits)
{
    return bits & 0x80000000U ? ~bits : bits | 0x80000000U;
}

static inline uint32_t statistics_order32_to_bits(uint32_t order)
{
    return order & 0x80000000U ? order & 0x7fffffffU : ~order;
}

/* Zeros and extremes of float32 elements, as they were seen. */
struct statistics_extremes {
    uint64_t zero_count;
    uint32_t lowest,
        highest; /* in ascending order of value (statistics_order32_of_bits); lowest > highest: none */
};

#define STATISTICS_EXTREMES_NONE ((struct statistics_extremes){.lowest = UINT32_MAX, .highest = 0})

void statistics_join_extremes(struct statistics_extremes *all, const struct statistics_extremes *seen);
void statistics_take_extremes(const struct statistics_extremes *all, struct statistics_rows *rows);

/* -- Columns --------------------------------------------------------------------------------------- */

/* A sum of float64 with about twice its digits. */
struct statistics_column_sum {
    double high, low;
    uint64_t count;
};

void statistics_join_column_sum(struct statistics_column_sum *sum, const struct statistics_column_sum *other);
double statistics_mean_of(const struct statistics_column_sum *sum); /* of nothing: 0 */

/* Scale and centres of a row set, whose extremes and columns' means are known: the exponent e into the rows,
 * 2^-e, and the means times that. */
void statistics_take_centres(struct statistics_rows *rows, uint64_t columns, float *ret_scale,
                             float *centres);

/* Adds the central sums of `b` to those of `a` (Pebay 2008). */
void statistics_merge_column(struct statistics_column *a, const struct statistics_column *b);

/* -- Displacements --------------------------------------------------------------------------------- */

void statistics_add_displacement(struct statistics_displacement *sum,
                                 const struct statistics_displacement *add);

#endif
