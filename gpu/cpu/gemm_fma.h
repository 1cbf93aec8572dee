/*
 * The FMA engine of gemm.h, which is its only caller: fused multiply-add on vectors of AVX2, AVX-512 or NEON.
 *
 * What it saves beside a general sgemm: a weight matrix is packed once when the model is loaded, not in every
 * product. Packed, it lies in panels of 32 rows, [rows / 32][columns][32], so that the weights of 32 outputs
 * for one k are neighbours. Rows of A are copied in blocks that stay in the second-level cache; a product of
 * a few of them with a panel keeps its sums in registers.
 *
 * Each output is the sum over k in order, in blocks of 256, whatever the other rows are: the result of a row
 * does not depend on how rows are batched, and all instruction sets give the same bits.
 */
#ifndef BIFURCATED_GPU_CPU_GEMM_FMA_H
#define BIFURCATED_GPU_CPU_GEMM_FMA_H

#include "gpu/cpu/gemm.h"

/* The best of AVX-512, AVX2 and NEON that the processor has and `isa` allows, up to `most`; else
 * GEMM_ENGINE_BLAS. */
enum gemm_engine gemm_fma_best(enum cpu_isa isa, enum gemm_engine most);

uint64_t gemm_fma_bytes(uint64_t rows, uint64_t columns);
size_t gemm_fma_workspace_bytes(void);

/* Fills the elements of a tile from row `row` and column `column` on, multiples of the tile's sides. */
void gemm_fma_fill(struct gemm_matrix *matrix, size_t row, size_t column,
                   float tile[GEMM_TILE_ROWS][GEMM_TILE_COLUMNS]);

void gemm_fma_multiply(const struct gemm_matrix *matrix, size_t begin, size_t end,
                       const struct gemm_rows *rows, void *workspace);

/* gemm_transposed or gemm_plain. With the engine AMX, on vectors of AVX-512. Panels of b are packed as they
 * are needed, one after the other. */
void gemm_fma_pair(enum gemm_engine engine, const struct gemm_pair *pair, int is_transposed, void *workspace);

/* -- For gemm_fma.c and its instruction sets --------------------------------------------------- */

#define GEMM_FMA_PANEL 32U  /* rows of B in a panel */
#define GEMM_FMA_DEPTH 256U /* columns that are summed up in registers */
#define GEMM_FMA_ROWS 168U  /* of A that are copied at a time; a multiple of all kernels' rows */

/* Floats between copied rows of A, so that they fall into different sets of the cache. */
#define GEMM_FMA_STRIDE (GEMM_FMA_DEPTH + 16U)

/* Rows of A (copied, `depth` columns) times a panel; `panel` is its first row for the first of the columns.
 * Adds to `out` if is_sum. All 32 columns are written. */
typedef void gemm_fma_panel(const float *a, size_t row_count, const float *panel, size_t depth, float *out,
                            size_t out_stride, int is_sum);

gemm_fma_panel gemm_fma_panel_avx2, gemm_fma_panel_avx512, gemm_fma_panel_neon;

#endif
