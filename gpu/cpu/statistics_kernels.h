/*
 * The inner loops of tensor statistics, over one block of a matrix that lies in the nearest cache.
 *
 * Every instruction set performs the same float64 operations in the same order, without fused multiply-add,
 * so that the results are equal bit by bit:
 * - per column, rows are added in ascending order;
 * - sums over the block run in STATISTICS_LANES lanes, lane = column mod STATISTICS_LANES, in each lane row
 * by row. Vector variants take only blocks whose elements (of all tensors involved) are finite; the others go
 * to the portable code that looks at each element.
 */
#ifndef BIFURCATED_GPU_CPU_STATISTICS_KERNELS_H
#define BIFURCATED_GPU_CPU_STATISTICS_KERNELS_H

#include "gpu/cpu/isa.h"
#include "gpu/tensor.h"

#include <stddef.h>
#include <stdint.h>

#define STATISTICS_BLOCK_ROWS 16
#define STATISTICS_BLOCK_COLUMNS 512
#define STATISTICS_LANES 16

struct statistics_block {
    const unsigned char *data; /* the element at its upper left, any alignment */
    size_t row_bytes;          /* from one row of the matrix to the next */
    uint32_t rows, columns;    /* at most STATISTICS_BLOCK_ROWS x STATISTICS_BLOCK_COLUMNS */
};

struct statistics_lanes {
    double squared[STATISTICS_LANES];
    double dot[STATISTICS_LANES];
    double norm[STATISTICS_LANES];
    double reference_norm[STATISTICS_LANES];
};

struct statistics_kernels {
    /* Whether the block holds no NaN and no infinity. */
    int (*is_finite)(const struct statistics_block *block);
    /* sums[c] += column c. */
    void (*column_sums)(const struct statistics_block *block, double *sums);
    /* Adds (w - r)^2, w r, w^2, r^2 to the lanes. */
    void (*displacement)(const struct statistics_block *block, const struct statistics_block *reference,
                         struct statistics_lanes *lanes);
    /* m2[c] += (w - mean[c])^2 and so on. */
    void (*central_sums)(const struct statistics_block *block, const double *mean, double *m2, double *m3,
                         double *m4);
    /* codes[c] = float16 bits of w * scale - mean[c], for one row; also for elements that are not finite. */
    void (*centre)(const unsigned char *row, uint32_t columns, const float *mean, float scale,
                   uint16_t *codes);
};

/* For F16, BF16 and F32 (of F64: those of F32); the instruction set must be at most the processor's. */
const struct statistics_kernels *statistics_kernels_of(enum cpu_isa isa, enum tensor_dtype dtype);

/* The portable variants for blocks with elements that are not finite. */
void statistics_column_sums_checked(enum tensor_dtype dtype, const struct statistics_block *block,
                                    double *sums, uint32_t *not_finite);
void statistics_displacement_checked(enum tensor_dtype dtype, const struct statistics_block *block,
                                     const struct statistics_block *reference, struct statistics_lanes *lanes,
                                     uint64_t *pairs_skipped);
void statistics_central_sums_checked(enum tensor_dtype dtype, const struct statistics_block *block,
                                     const double *mean, double *m2, double *m3, double *m4);

/* One row of kernels per dtype in the order F16, BF16, F32. */
extern const struct statistics_kernels statistics_kernels_portable[3];
#if defined(__x86_64__)
extern const struct statistics_kernels statistics_kernels_avx2[3];
extern const struct statistics_kernels statistics_kernels_avx512[3];
#elif defined(__aarch64__)
extern const struct statistics_kernels statistics_kernels_neon[3];
#endif

#endif
