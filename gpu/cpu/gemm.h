/*
 * Products with the matrices of a model: C = A B^T, where B is a weight matrix as stored, [rows, columns]
 * with one row per output, and A holds a row per token.
 *
 * A weight matrix is prepared once from the stored dtype and then multiplied with many As, by one thread
 * each.
 */
#ifndef BIFURCATED_GPU_CPU_GEMM_H
#define BIFURCATED_GPU_CPU_GEMM_H

#include "gpu/cpu/score_kernels.h"
#include "gpu/tensor.h"

#include <stddef.h>
#include <stdint.h>

/* Row `row` of a prepared matrix is row gemm_rows_source() of the stored one. */
struct gemm_rows {
    size_t head_count, head_size; /* fused q, k, v per head become q | k | v; 0 heads: rows as stored */
};

struct gemm_matrix {
    size_t rows, columns;
    float *data; /* [rows, columns] */
};

/* Once per process and before any other call: products are made by the calling thread alone. */
void gemm_start(void);

/* Bytes of a prepared matrix, a multiple of 64. */
uint64_t gemm_matrix_bytes(enum tensor_dtype dtype, uint64_t rows, uint64_t columns);

/* Lays out a matrix of a stored one in `memory` (gemm_matrix_bytes, 64-byte aligned, borrowed). */
void gemm_matrix_init(struct gemm_matrix *matrix, enum tensor_dtype dtype, size_t rows, size_t columns,
                      void *memory);

/* Fills rows [begin, end) of the prepared matrix from stored rows; `stored` is row 0 of the stored matrix.
 * Disjoint ranges may be filled by several threads. */
void gemm_matrix_fill(struct gemm_matrix *matrix, const struct score_kernels *kernels,
                      const struct tensor_view *view, const struct gemm_rows *order, size_t begin,
                      size_t end);

/* out[i, j] (+)= sum_k a[i, k] b[begin + j, k] for j < end - begin; adds to `out` if is_sum, else overwrites.
 */
void gemm_multiply(const struct gemm_matrix *matrix, size_t begin, size_t end, const float *a,
                   size_t a_stride, size_t row_count, float *out, size_t out_stride, int is_sum);

/* The plain products of attention. out = a b^T; a [rows, depth], b [columns, depth]. */
void gemm_transposed(const float *a, size_t a_stride, const float *b, size_t b_stride, size_t rows,
                     size_t columns, size_t depth, float *out, size_t out_stride);
/* out = a b; a [rows, depth], b [depth, columns]. */
void gemm_plain(const float *a, size_t a_stride, const float *b, size_t b_stride, size_t rows, size_t columns,
                size_t depth, float *out, size_t out_stride);

#endif
