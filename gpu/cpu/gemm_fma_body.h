/*
 * The body of gemm_fma_avx2.c, gemm_fma_avx512.c and gemm_fma_neon.c, which define what the vectors are and
 * then include this: TARGET, PANEL (the function's name), VECTOR, FACTOR (an element of A, as FMA takes it),
 * LANES, ROWS (of A that meet a panel at a time: as many as leave registers for two vectors of B and one
 * element of A), REST_ROWS, ZERO(), LOAD(at), STORE(at, x), ALL(value), ADD(x, y), FMA(x, y, z).
 */
#include "gpu/cpu/gemm_fma.h"

#define INLINE static inline __attribute__((always_inline)) TARGET
#define WIDTH (2 * LANES) /* columns of a product: two vectors */

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* `rows` is a constant at every call: the sums are registers. */
INLINE void multiply_rows(unsigned rows, const float *a, const float *panel, size_t depth, float *out,
                          size_t out_stride, int is_sum)
{
    VECTOR sums[ROWS][2];
    UNROLL
    for (unsigned i = 0; i < rows; i++)
        sums[i][0] = ZERO(), sums[i][1] = ZERO();
    for (size_t k = 0; k < depth; k++, panel += GEMM_FMA_PANEL) {
        const VECTOR left = LOAD(panel), right = LOAD(panel + LANES);
        UNROLL
        for (unsigned i = 0; i < rows; i++) {
            const FACTOR x = ALL(a[i * GEMM_FMA_STRIDE + k]);
            sums[i][0] = FMA(x, left, sums[i][0]);
            sums[i][1] = FMA(x, right, sums[i][1]);
        }
    }
    UNROLL
    for (unsigned i = 0; i < rows; i++) {
        float *at = out + i * out_stride;
        if (is_sum) {
            sums[i][0] = ADD(sums[i][0], LOAD(at));
            sums[i][1] = ADD(sums[i][1], LOAD(at + LANES));
        }
        STORE(at, sums[i][0]);
        STORE(at + LANES, sums[i][1]);
    }
}

TARGET void PANEL(const float *a, size_t row_count, const float *panel, size_t depth, float *out,
                  size_t out_stride, int is_sum)
{
    for (size_t column = 0; column < GEMM_FMA_PANEL; column += WIDTH) {
        size_t row = 0;
        for (; row + ROWS <= row_count; row += ROWS)
            multiply_rows(ROWS, a + row * GEMM_FMA_STRIDE, panel + column, depth,
                          out + row * out_stride + column, out_stride, is_sum);
        for (; row + REST_ROWS <= row_count; row += REST_ROWS)
            multiply_rows(REST_ROWS, a + row * GEMM_FMA_STRIDE, panel + column, depth,
                          out + row * out_stride + column, out_stride, is_sum);
        for (; row < row_count; row++)
            multiply_rows(1, a + row * GEMM_FMA_STRIDE, panel + column, depth,
                          out + row * out_stride + column, out_stride, is_sum);
    }
}
