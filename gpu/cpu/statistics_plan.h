/*
 * The plan of one measurement: the grid of parts and the sums of each, shared by the two passes and the
 * reduction.
 */
#ifndef BIFURCATED_GPU_CPU_STATISTICS_PLAN_H
#define BIFURCATED_GPU_CPU_STATISTICS_PLAN_H

#include "gpu/cpu/statistics.h"
#include "gpu/cpu/statistics_count.h"

#include <stdatomic.h>

/* Rows of a tensor fall into two segments; "all" is both, "tokens" the first. */
enum statistics_segment { STATISTICS_SEGMENT_TOKENS, STATISTICS_SEGMENT_PADDING, STATISTICS_SEGMENT_COUNT };

struct statistics_part {
    enum statistics_segment segment;
    uint64_t row_begin, row_end;
    struct statistics_displacement displacements[STATISTICS_REFERENCES_MAX];
    /* First pass, [columns] each: sum as high + low, elements that are not finite. */
    double *sum_high, *sum_low;
    uint64_t *not_finite;
    /* Second pass, [columns] each, in the same memory. */
    double *m2, *m3, *m4;
};

/* What one thread owns. */
struct statistics_worker {
    struct statistics_counter counter;
    struct statistics_extremes extremes[STATISTICS_SEGMENT_COUNT];
    /* First pass: counts per segment; second pass: centred counts per row set. Ascending. */
    uint64_t *totals[2];
    enum statistics_segment segment; /* of the pending counts of the first pass */
    float *narrowed[2];              /* blocks of F64, of the tensor and of a reference, as F32 */
    void *memory;
};

struct statistics_plan {
    const struct statistics_request *request;
    const struct statistics_kernels *kernels;
    enum tensor_dtype dtype; /* of blocks: the request's, or F32 for F64 */
    size_t element_bytes, row_bytes;
    size_t part_count;
    struct statistics_part *parts;
    double *part_sums; /* the memory behind the parts' sums */
    int worker_count;
    struct statistics_worker *workers;
    atomic_size_t next_part;
    /* Between the passes, [columns] each: */
    double *segment_mean[STATISTICS_SEGMENT_COUNT]; /* around which central sums are formed */
    float *centre[STATISTICS_ROW_SET_COUNT];        /* scaled mean, of the centred codes */
    float scale[STATISTICS_ROW_SET_COUNT];
    int has_padding;
};

/* Lays the grid and takes all the memory. Free with statistics_plan_free also after failure. */
int statistics_plan_init(struct statistics_plan *plan, const struct statistics_request *request,
                         const struct statistics_kernels *kernels, int worker_count, struct err *err);
void statistics_plan_free(struct statistics_plan *plan);

/* The passes, for cpu_threads_run; context is the plan. */
void statistics_pass_first(void *context, int index);
void statistics_pass_second(void *context, int index);

/* After the first pass: counts, extremes and displacements of the result, means of columns and centres of the
 * second pass; clears the workers' totals. */
void statistics_reduce_first(struct statistics_plan *plan, struct statistics_result *result);

/* After the second pass: columns and centred counts of the result. */
void statistics_reduce_second(struct statistics_plan *plan, struct statistics_result *result);

#endif
