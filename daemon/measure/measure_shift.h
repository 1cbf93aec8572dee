/*
 * How far the distribution of the values moved, whichever entry moved where: the Wasserstein-1 distance
 * between a tensor and a reference, from the counts of their codes.
 */
#ifndef BIFURCATED_MEASURE_MEASURE_SHIFT_H
#define BIFURCATED_MEASURE_MEASURE_SHIFT_H

#include "daemon/base/err.h"
#include "gpu/statistics.h"
#include "store/store.h"

#include <stdint.h>

struct measure_shift {
    struct store *store;
    enum tensor_dtype dtype;
    uint64_t rows, columns, token_rows;
    const struct statistics_result *result; /* of a pass over the tensor */
    int64_t reference_id;                   /* content of the reference */
    const void *reference;                  /* its bytes, for when its distribution is not in the store */
};

/* The distance for each row set, NaN where one of the two has no finite element. Exact for float16 and
 * bfloat16; for float32 to the resolution of the codes. */
int measure_shift(const struct measure_shift *shift, double ret_distances[STATISTICS_ROW_SET_COUNT],
                  struct err *err);

#endif
