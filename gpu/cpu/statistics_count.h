/*
 * Counting codes: the one loop that no vector instruction helps. A thread counts into tables of 32 bits, two
 * at a time so that equal neighbours do not wait for each other, and adds them to 64-bit totals before they
 * could overflow.
 */
#ifndef BIFURCATED_GPU_CPU_STATISTICS_COUNT_H
#define BIFURCATED_GPU_CPU_STATISTICS_COUNT_H

#include "gpu/cpu/statistics_kernels.h"
#include "gpu/statistics_join.h"

#define STATISTICS_COUNT_FLUSH (1ULL << 31)

struct statistics_counter {
    uint32_t *tables[2]; /* [STATISTICS_CODES] each, index = bits */
    uint64_t pending;    /* elements in the tables, at most */
};

/* Counts the bits of a block of F16 or BF16, or the upper halves of F32 (NaN as 0x7fc0 or 0xffc0, infinities
 * as they are); extremes are updated for F32 only. */
void statistics_count_block(enum tensor_dtype dtype, const struct statistics_block *block,
                            struct statistics_counter *counter, struct statistics_extremes *extremes);

/* Counts float16 codes of centred values, NaNs as 0x7e00; `has_nan` 0 promises that there are none. */
void statistics_count_codes(const uint16_t *codes, uint32_t count, int has_nan, uint32_t *table);

/* Adds a table to totals in ascending order of value and clears it. */
void statistics_count_flush(uint32_t *table, uint64_t *totals);

#endif
