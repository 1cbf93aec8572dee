/*
 * The AMX engine of gemm.h, which is its only caller.
 */
#ifndef BIFURCATED_GPU_CPU_GEMM_AMX_H
#define BIFURCATED_GPU_CPU_GEMM_AMX_H

#include "gpu/cpu/gemm.h"

/* Whether it is this engine, which other processors have no name for. */
static inline int gemm_amx_is(enum gemm_engine engine)
{
#if defined(__x86_64__)
    return engine == GEMM_ENGINE_AMX;
#else
    (void)engine;
    return 0;
#endif
}

/* Whether `isa`, processor and system offer it; asks the system for its use. */
int gemm_amx_start(enum cpu_isa isa);

uint64_t gemm_amx_bytes(enum tensor_dtype dtype, uint64_t rows, uint64_t columns);
size_t gemm_amx_workspace_bytes(void);

/* Fills the elements of 16 rows and 32 columns from row `row` and column `column` on, multiples of that. */
void gemm_amx_fill(struct gemm_matrix *matrix, size_t row, size_t column,
                   float tile[GEMM_TILE_ROWS][GEMM_TILE_COLUMNS]);

void gemm_amx_multiply(const struct gemm_matrix *matrix, size_t begin, size_t end,
                       const struct gemm_rows *rows, void *workspace);

#endif
