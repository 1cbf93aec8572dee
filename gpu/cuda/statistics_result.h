/*
 * From what the kernels return to the result of the definition: the host's share, which mirrors the reduction
 * of the CPU backend.
 */
#ifndef BIFURCATED_GPU_CUDA_STATISTICS_RESULT_H
#define BIFURCATED_GPU_CUDA_STATISTICS_RESULT_H

#include "gpu/cuda/statistics_kernels.h"
#include "gpu/statistics.h"

/* What comes back; [columns] after [STATISTICS_SEGMENTS], as in statistics_kernels.h. */
struct statistics_returned {
    unsigned long long *counts;         /* first pass: by segment */
    unsigned long long *centred_counts; /* second pass: by row set */
    struct statistics_sums *partials;   /* [block_count, STATISTICS_SEGMENTS, 2] */
    struct statistics_pair_sums *pairs; /* [block_count, STATISTICS_SEGMENTS] */
    struct statistics_seen seen[STATISTICS_SEGMENTS];
    double *high, *low;
    unsigned long long *not_finite;
    double *central; /* [STATISTICS_SEGMENTS, 3, columns] */
};

/* What the second pass needs; [STATISTICS_SEGMENTS or row sets, columns]. */
struct statistics_centring {
    double *means;
    float *centres;
    float scales[STATISTICS_ROW_SET_COUNT];
};

/* After the first pass: counts, extremes, means; fills `centring`. */
void statistics_result_first(const struct statistics_grid *grid, const struct statistics_returned *returned,
                             struct statistics_result *result, struct statistics_centring *centring);

/* After the second pass: central sums and centred counts. */
void statistics_result_second(const struct statistics_grid *grid, const struct statistics_returned *returned,
                              const struct statistics_centring *centring, struct statistics_result *result);

/* After the second pass: the displacement against reference i. 0 if an element of the matrix or of the
 * reference is not finite, or the pass' sums are not whole (statistics_grid_comes_back): then its pairs have
 * to be summed (statistics_launch_pairs). */
int statistics_result_displacement(const struct statistics_grid *grid,
                                   const struct statistics_returned *returned, int i,
                                   struct statistics_result *result);

/* After that: from the sums of pairs. */
void statistics_result_pairs(const struct statistics_grid *grid, const struct statistics_returned *returned,
                             int i, struct statistics_result *result);

#endif
