#include "gpu/cpu/gemm_fma.h"

#include <string.h>

uint64_t gemm_fma_bytes(uint64_t rows, uint64_t columns)
{
    return (rows + GEMM_FMA_PANEL - 1) / GEMM_FMA_PANEL * GEMM_FMA_PANEL * columns * sizeof(float);
}

size_t gemm_fma_workspace_bytes(void)
{
    return (GEMM_FMA_ROWS * (GEMM_FMA_STRIDE + GEMM_FMA_PANEL) + GEMM_FMA_DEPTH * GEMM_FMA_PANEL) *
           sizeof(float);
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
    return engine == GEMM_ENGINE_AVX2 ? gemm_fma_panel_avx2 : gemm_fma_panel_avx512;
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

static void copy_rows(const float *a, size_t stride, size_t count, size_t depth, float *copy)
{
    for (size_t i = 0; i < count; i++)
        memcpy(copy + i * GEMM_FMA_STRIDE, a + i * stride, depth * sizeof(float));
}

/* Times `width` columns of a panel. The last panel may be wider than the result: by way of `buffer`. */
static void multiply_panel(gemm_fma_panel *multiply, const struct gemm_rows *rows, const float *panel,
                           size_t depth, size_t width, float *buffer)
{
    if (width >= GEMM_FMA_PANEL) {
        multiply(rows->a, rows->count, panel, depth, rows->out, rows->out_stride, rows->is_sum);
        return;
    }
    for (size_t i = 0; rows->is_sum && i < rows->count; i++)
        memcpy(buffer + i * GEMM_FMA_PANEL, rows->out + i * rows->out_stride, width * sizeof(float));
    multiply(rows->a, rows->count, panel, depth, buffer, GEMM_FMA_PANEL, rows->is_sum);
    for (size_t i = 0; i < rows->count; i++)
        memcpy(rows->out + i * rows->out_stride, buffer + i * GEMM_FMA_PANEL, width * sizeof(float));
}

void gemm_fma_multiply(const struct gemm_matrix *matrix, size_t begin, size_t end,
                       const struct gemm_rows *rows, void *workspace)
{
    gemm_fma_panel *multiply = panel_of(matrix->engine);
    const size_t columns = matrix->columns;
    float *copy = workspace, *buffer = copy + GEMM_FMA_ROWS * GEMM_FMA_STRIDE;
    for (size_t row = 0; row < rows->count; row += GEMM_FMA_ROWS) {
        struct gemm_rows some = {.count =
                                     rows->count - row < GEMM_FMA_ROWS ? rows->count - row : GEMM_FMA_ROWS,
                                 .a = copy,
                                 .a_stride = GEMM_FMA_STRIDE,
                                 .out_stride = rows->out_stride};
        for (size_t at = 0; at < columns; at += GEMM_FMA_DEPTH) {
            size_t depth = columns - at < GEMM_FMA_DEPTH ? columns - at : GEMM_FMA_DEPTH;
            some.is_sum = rows->is_sum || at > 0;
            copy_rows(rows->a + row * rows->a_stride + at, rows->a_stride, some.count, depth, copy);
            for (size_t j = begin; j < end; j += GEMM_FMA_PANEL) {
                const float *panel = (const float *)matrix->data + j * columns + at * GEMM_FMA_PANEL;
                some.out = rows->out + row * rows->out_stride + (j - begin);
                multiply_panel(multiply, &some, panel, depth, end - j, buffer);
            }
        }
    }
}

/* `depth` elements from `at` on of `width` columns of the product from `column` on: what stands for columns
 * that a panel has beyond them becomes 0. */
static void pack_panel(const struct gemm_pair *pair, int is_transposed, size_t at, size_t depth,
                       size_t column, size_t width, float *panel)
{
    if (width < GEMM_FMA_PANEL)
        memset(panel, 0, depth * GEMM_FMA_PANEL * sizeof(float));
    if (is_transposed)
        for (size_t i = 0; i < width; i++)
            for (size_t k = 0; k < depth; k++)
                panel[k * GEMM_FMA_PANEL + i] = pair->b[(column + i) * pair->b_stride + at + k];
    else
        for (size_t k = 0; k < depth; k++)
            memcpy(panel + k * GEMM_FMA_PANEL, pair->b + (at + k) * pair->b_stride + column,
                   width * sizeof(float));
}

void gemm_fma_pair(enum gemm_engine engine, const struct gemm_pair *pair, int is_transposed, void *workspace)
{
    gemm_fma_panel *multiply = panel_of(engine);
    float *copy = workspace, *buffer = copy + GEMM_FMA_ROWS * GEMM_FMA_STRIDE;
    float *panel = buffer + GEMM_FMA_ROWS * GEMM_FMA_PANEL;
    for (size_t row = 0; row < pair->rows; row += GEMM_FMA_ROWS) {
        struct gemm_rows some = {.count = pair->rows - row < GEMM_FMA_ROWS ? pair->rows - row : GEMM_FMA_ROWS,
                                 .a = copy,
                                 .a_stride = GEMM_FMA_STRIDE,
                                 .out_stride = pair->out_stride};
        for (size_t at = 0; at < pair->depth; at += GEMM_FMA_DEPTH) {
            size_t depth = pair->depth - at < GEMM_FMA_DEPTH ? pair->depth - at : GEMM_FMA_DEPTH;
            some.is_sum = at > 0;
            copy_rows(pair->a + row * pair->a_stride + at, pair->a_stride, some.count, depth, copy);
            for (size_t j = 0; j < pair->columns; j += GEMM_FMA_PANEL) {
                size_t width = pair->columns - j < GEMM_FMA_PANEL ? pair->columns - j : GEMM_FMA_PANEL;
                some.out = pair->out + row * pair->out_stride + j;
                pack_panel(pair, is_transposed, at, depth, j, width, panel);
                multiply_panel(multiply, &some, panel, depth, width, buffer);
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

void gemm_fma_multiply(const struct gemm_matrix *matrix, size_t begin, size_t end,
                       const struct gemm_rows *rows, void *workspace)
{
    (void)matrix, (void)begin, (void)end, (void)rows, (void)workspace;
}

void gemm_fma_pair(enum gemm_engine engine, const struct gemm_pair *pair, int is_transposed, void *workspace)
{
    (void)engine, (void)pair, (void)is_transposed, (void)workspace;
}

#endif
