/*
 * Products with the matrices of a model: C = A B^T, where B is a weight matrix as stored, [rows, columns]
 * with one row per output, and A holds a row of float32 per token.
 *
 * A weight matrix is prepared once from the stored dtype and then multiplied with many As, by one thread
 * each. Engines, each better than the one before where the processor has it:
 *   BLAS  weights as float32, products by sgemm
 *   AVX2, AVX512; NEON on arm64
 *         weights as float32 in panels, packed once, products by fused multiply-add (gemm_fma.h)
 *   AMX   matrix units of 16-bit floats, without giving up float32: a float32 is the exact sum of three
 *         bfloat16, a float16 of two, so a product is the sum of five exact partial products (three for
 *         bfloat16 weights, six for float32), added up in float32. What is left out is below 2^-24 of the
 *         product of the magnitudes, as in any float32 product. (Split products: Henry, Tang, Heinecke,
 *         "Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision
 *         Computations", 2019.) An infinity in a matrix comes out as NaN.
 */
#ifndef BIFURCATED_GPU_CPU_GEMM_H
#define BIFURCATED_GPU_CPU_GEMM_H

#include "gpu/cpu/score_kernels.h"
#include "gpu/tensor.h"

#include <stddef.h>
#include <stdint.h>

enum gemm_engine {
    GEMM_ENGINE_BLAS,
#if defined(__x86_64__)
    GEMM_ENGINE_AVX2,
    GEMM_ENGINE_AVX512,
    GEMM_ENGINE_AMX,
#elif defined(__aarch64__)
    GEMM_ENGINE_NEON,
#endif
    GEMM_ENGINE_COUNT
};

#define GEMM_ENGINE_VARIABLE                                                                                 \
    "BIFURCATED_GEMM" /* environment: the name of the best engine to use, for tests */

#define GEMM_ROWS_STEP 32U /* borders of row ranges are multiples of this, or the last row */

#define GEMM_PARTS_MAX 3U

/* A weight matrix as stored: of one or several tensors of as many columns, one below the other. */
struct gemm_stored {
    struct tensor_view parts[GEMM_PARTS_MAX];
    size_t part_count;
    size_t head_count, head_size; /* of a single part: fused q, k, v per head become q | k | v; 0 heads: rows
                                     stay where they are */
    int is_transposed; /* of each part: the shape is [rows, columns], and columns lie one behind the other */
};

struct gemm_matrix {
    enum gemm_engine engine;
    enum tensor_dtype dtype; /* as stored, or F32 where the parts differ */
    size_t rows, columns;
    void *data;
};

/* Prepares the process (products by BLAS are made by the calling thread alone) and says which engine works
 * best here: of those that the processor has, the system lends and `isa` allows, up to the one that the
 * environment names. */
enum gemm_engine gemm_start(enum cpu_isa isa);

/* "blas", "avx2", "avx512", "amx", "neon". */
const char *gemm_engine_name(enum gemm_engine engine);

/* Rows of all parts, and the dtype of the prepared matrix. */
uint64_t gemm_stored_rows(const struct gemm_stored *stored);
enum tensor_dtype gemm_stored_dtype(const struct gemm_stored *stored);

/* Bytes of a prepared matrix, a multiple of 64. */
uint64_t gemm_matrix_bytes(enum gemm_engine engine, enum tensor_dtype dtype, uint64_t rows, uint64_t columns);

/* Bytes of the workspace of one thread. */
size_t gemm_workspace_bytes(enum gemm_engine engine);

/* How a prepared matrix is filled by the engines that pack: tile by tile. */
#define GEMM_TILE_ROWS 16U
#define GEMM_TILE_COLUMNS 32U

/* Lays out a matrix in `memory` (gemm_matrix_bytes, 64-byte aligned, borrowed). */
void gemm_matrix_init(struct gemm_matrix *matrix, enum gemm_engine engine, enum tensor_dtype dtype,
                      size_t rows, size_t columns, void *memory);

/* Fills rows [begin, end) of the prepared matrix from the stored one. Disjoint ranges may be filled by
 * several threads. */
void gemm_matrix_fill(struct gemm_matrix *matrix, const struct score_kernels *kernels,
                      const struct gemm_stored *stored, size_t begin, size_t end);

/* Rows that a matrix is multiplied with, and where their products go. */
struct gemm_rows {
    size_t count;
    const float *a;
    float *out;
    size_t a_stride, out_stride; /* elements from row to row */
    int is_sum;                  /* adds to `out` instead of overwriting it */
};

/* out[i, j] (+)= sum_k a[i, k] b[begin + j, k] for j < end - begin. `workspace` is the thread's, 64-byte
 * aligned. */
void gemm_multiply(const struct gemm_matrix *matrix, size_t begin, size_t end, const struct gemm_rows *rows,
                   void *workspace);

/* The products of attention: of float32 matrices, rows of which are `stride` elements apart. */
struct gemm_pair {
    const float *a, *b;
    float *out; /* [rows, columns] */
    size_t a_stride, b_stride, out_stride;
    size_t rows, columns, depth;
};

/* out = a b^T; a [rows, depth], b [columns, depth]. By fused multiply-add where the engine is more than BLAS,
 * with equal bits for all of them. `workspace` is the thread's, 64-byte aligned. */
void gemm_transposed(enum gemm_engine engine, const struct gemm_pair *pair, void *workspace);
/* out = a b; a [rows, depth], b [depth, columns]. */
void gemm_plain(enum gemm_engine engine, const struct gemm_pair *pair, void *workspace);

#endif
