/*
 * The tensor that is measured and its references on the device: whole, or where there is no memory for that,
 * the rows of one unit at a time.
 *
 * A unit is the rows of a part that are tokens, or those that are padding: what has column sums of its own.
 * Units are numbered as these sums are: the parts with tokens, then those with padding. Kernels that are
 * launched for each unit count and sum over the same items as those of one launch for all, so counts, means
 * and moments are the same bit by bit. Sums of displacements are not: a block adds up its rows of a unit by
 * themselves (they differ in the last digits, as between two kinds of GPUs).
 */
#ifndef BIFURCATED_GPU_CUDA_STATISTICS_TENSORS_H
#define BIFURCATED_GPU_CUDA_STATISTICS_TENSORS_H

#include "gpu/cuda/device.h"
#include "gpu/cuda/statistics_kernels.h"
#include "gpu/statistics.h"

struct statistics_tensors {
    struct cuda_device *device;
    const struct statistics_request *request;
    const struct statistics_grid *grid; /* of all */
    int is_whole;
    uint64_t unit_count;                       /* 1: everything at once */
    void *each[1 + STATISTICS_REFERENCES_MAX]; /* the tensor, its references: rows with the grid's pitch */
    size_t each_bytes;
};

/* What a kernel that is launched for a unit gets. */
struct statistics_unit {
    struct statistics_grid grid;
    uint64_t row_first; /* of the tensor; grid.rows of them */
    uint64_t part;      /* where its column sums begin, in parts */
};

/* Memory for whole tensors, or if that is refused, for a unit. ERR_NO_MEMORY, or ERR_LIMIT where not even the
 * counters for a unit are large enough. Ended by statistics_tensors_drop, in any case. */
int statistics_tensors_take(struct statistics_tensors *tensors, struct err *err);
void statistics_tensors_drop(struct statistics_tensors *tensors);

/* What is needed at least. */
size_t statistics_tensors_least_bytes(const struct statistics_tensors *tensors);

void statistics_tensors_lay_unit(const struct statistics_tensors *tensors, uint64_t number,
                                 struct statistics_unit *ret_unit);

/* Copies the rows of a unit, of the tensor (0) or a reference (1, 2), in the order of the device's stream. */
int statistics_tensors_send(struct statistics_tensors *tensors, int which, const struct statistics_unit *unit,
                            struct err *err);

#endif
