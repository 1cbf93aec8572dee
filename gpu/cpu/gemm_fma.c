#include "gpu/cpu/gemm_fma.h"

#include <string.h>

uint64_t gemm_fma_bytes(uint64_t rows, uint64_t columns)
{
    return (rows + GEMM_FMA_PANEL - 1) / GEMM_FMA_PANEL * GEMM_FMA_PANEL * columns * sizeof(float);
}

size_t gemm_fma_workspace_bytes(void)
{
    return GEMM_FMA_ROWS * (GEMM_FMA_STRIDE + GEMM_FMA_PANEL) * sizeof(float);
}

void gemm_fma_fill(struct gemm_matrix *matrix, size_t row, size_t column,
                   float tile[GEMM_TILE_ROWS][GEMM_TILE_COLUMNS])
{
    float *panel = (float *)matrix->data + row / GEMM_FMA_PANEL * GEMM_FMA_PANEL * matrix->columns;
    size_t left = matrix->columns - column, width = left < GEMM_TILE_COLUMNS ? left : GEMM_TILE_COLUMNS;
    for (size_t k = 0; k < width; k++)
        for (size_t i = 0; i < GEMM_TILE_ROWS; i++)
            panel[(column + k) * GEMM_FMA_PANEL + row % GEMM_FMA_PANEL + i] = tile[i][k];
}

#if defined(__x86_64__)

enum gemm_engine gemm_fma_best(enum cpu_isa isa, enum gemm_engine most)
{
    const enum gemm_engine best = isa == CPU_ISA_AVX512 ? GEMM_ENGINE_AVX512 : GEMM_ENGINE_AVX2;
    __builtin_cpu_init();
    if (isa < CPU_ISA_AVX2 || !__builtin_cpu_supports("fma"))
        return GEMM_ENGINE_BLAS;
    return best < most ? best : most;
}

static gemm_fma_panel *panel_of(enum gemm_engine engine)
{
    return engine == GEMM_ENGINE_AVX512 ? gemm_fma_panel_avx512 : gemm_fma_panel_avx2;
}

#elif defined(__aarch64__)

enum gemm_engine gemm_fma_best(enum cpu_isa isa, enum gemm_engine most)
{
    return isa == CPU_ISA_NEON ? most : GEMM_ENGINE_BLAS;
}

static gemm_fma_panel *panel_of(enum gemm_engine engine)
{
    (void)engine;
    return gemm_fma_panel_neon;
}

#endif

#if defined(__x86_64__) || defined(__aarch64__)

/* The last panel may be wider than the result: by way of `buffer`. */
static void multiply_part(gemm_fma_panel *multiply, const float *a, size_t row_count, const float *panel,
                          size_t depth, float *out, size_t out_stride, size_t width, int is_sum,
                          float *buffer)
{
    for (size_t i = 0; is_sum && i < row_count; i++)
        memcpy(buffer + i * GEMM_FMA_PANEL, out + i * out_stride, width * sizeof(float));
    multiply(a, row_count, panel, depth, buffer, GEMM_FMA_PANEL, is_sum);
    for (size_t i = 0; i < row_count; i++)
        memcpy(out + i * out_stride, buffer + i * GEMM_FMA_PANEL, width * sizeof(float));
}

void gemm_fma_multiply(const struct gemm_matrix *matrix, size_t begin, size_t end, const float *a,
                       size_t a_stride, size_t row_count, float *out, size_t out_stride, int is_sum,
                       void *workspace)
{
    gemm_fma_panel *multiply = panel_of(matrix->engine);
    const size_t columns = matrix->columns;
    float *copy = workspace, *buffer = copy + GEMM_FMA_ROWS * GEMM_FMA_STRIDE;
    for (size_t row = 0; row < row_count; row += GEMM_FMA_ROWS) {
        size_t rows = row_count - row < GEMM_FMA_ROWS ? row_count - row : GEMM_FMA_ROWS;
        for (size_t at = 0; at < columns; at += GEMM_FMA_DEPTH) {
            size_t depth = columns - at < GEMM_FMA_DEPTH ? columns - at : GEMM_FMA_DEPTH;
            int adds = is_sum || at > 0;
            for (size_t i = 0; i < rows; i++)
                memcpy(copy + i * GEMM_FMA_STRIDE, a + (row + i) * a_stride + at, depth * sizeof(float));
            for (size_t j = begin; j < end; j += GEMM_FMA_PANEL) {
                const float *panel = (const float *)matrix->data + j * columns + at * GEMM_FMA_PANEL;
                float *to = out + row * out_stride + (j - begin);
                if (end - j >= GEMM_FMA_PANEL)
                    multiply(copy, rows, panel, depth, to, out_stride, adds);
                else
                    multiply_part(multiply, copy, rows, panel, depth, to, out_stride, end - j, adds, buffer);
            }
        }
    }
}

#else

enum gemm_engine gemm_fma_best(enum cpu_isa isa, enum gemm_engine most)
{
    (void)isa, (void)most;
    return GEMM_ENGINE_BLAS;
}

void gemm_fma_multiply(const struct gemm_matrix *matrix, size_t begin, size_t end, const float *a,
                       size_t a_stride, size_t row_count, float *out, size_t out_stride, int is_sum,
                       void *workspace)
{
    (void)matrix, (void)begin, (void)end, (void)a, (void)a_stride, (void)row_count, (void)out;
    (void)out_stride, (void)is_sum, (void)workspace;
}

#endif
