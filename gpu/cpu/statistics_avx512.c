#include "gpu/cpu/statistics_kernels.h"

#if defined(__x86_64__)

#include "gpu/half.h"

#include <immintrin.h>

#define TARGET __attribute__((target("avx,avx2,f16c,avx512f,avx512bw,avx512vl,avx512dq")))
#define KERNELS statistics_kernels_avx512
#define INLINE static inline __attribute__((always_inline)) TARGET

/* Columns that a loop takes at a time, and of how many of them the last, partial step consists. */
#define WIDTH 16U

INLINE uint32_t element_bytes(enum tensor_dtype dtype)
{
    return dtype == TENSOR_DTYPE_F32 ? 4 : 2;
}

/* Loads up to 16 elements; the others are 0 and their memory is not touched. */
INLINE __m512 load_floats(enum tensor_dtype dtype, const unsigned char *at, __mmask16 mask)
{
    if (dtype == TENSOR_DTYPE_F32)
        return _mm512_maskz_loadu_ps(mask, (const void *)at);
    __m256i halves = _mm256_maskz_loadu_epi16(mask, (const void *)at);
    if (dtype == TENSOR_DTYPE_F16)
        return _mm512_cvtph_ps(halves);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

INLINE __mmask16 columns_mask(uint32_t columns, uint32_t first)
{
    uint32_t left = columns - first;
    return (__mmask16)(left >= WIDTH ? 0xffffU : (1U << left) - 1U);
}

INLINE __m512d lower(__m512 floats)
{
    return _mm512_cvtps_pd(_mm512_castps512_ps256(floats));
}

INLINE __m512d upper(__m512 floats)
{
    return _mm512_cvtps_pd(_mm512_extractf32x8_ps(floats, 1));
}

INLINE __m512d load_half(const double *at, __mmask16 mask, int half)
{
    return _mm512_maskz_loadu_pd((__mmask8)(mask >> (8 * half)), at + 8 * half);
}

INLINE void store_half(double *at, __mmask16 mask, int half, __m512d value)
{
    _mm512_mask_storeu_pd(at + 8 * half, (__mmask8)(mask >> (8 * half)), value);
}

INLINE int block_is_finite(enum tensor_dtype dtype, const struct statistics_block *block)
{
    uint32_t found = 0;
    __m512 infinity = _mm512_castsi512_ps(_mm512_set1_epi32(0x7f800000));
    __m512i exponent = dtype == TENSOR_DTYPE_F16 ? _mm512_set1_epi16(0x7c00) : _mm512_set1_epi16(0x7f80);
    for (uint32_t r = 0; r < block->rows; r++) {
        const unsigned char *at = block->data + r * block->row_bytes;
        if (dtype == TENSOR_DTYPE_F32) {
            for (uint32_t c = 0; c < block->columns; c += WIDTH) {
                __m512 floats = load_floats(dtype, at + (size_t)c * 4, columns_mask(block->columns, c));
                found |= _mm512_cmp_ps_mask(_mm512_abs_ps(floats), infinity, _CMP_NLT_UQ);
            }
            continue;
        }
        for (uint32_t c = 0; c < block->columns; c += 32) {
            uint32_t left = block->columns - c;
            __mmask32 mask = left >= 32 ? 0xffffffffU : (1U << left) - 1U;
            __m512i bits = _mm512_maskz_loadu_epi16(mask, (const void *)(at + (size_t)c * 2));
            found |= _mm512_cmpeq_epi16_mask(_mm512_and_si512(bits, exponent), exponent);
        }
    }
    return !found;
}

INLINE void block_column_sums(enum tensor_dtype dtype, const struct statistics_block *block, double *sums)
{
    for (uint32_t c = 0; c < block->columns; c += WIDTH) {
        __mmask16 mask = columns_mask(block->columns, c);
        __m512d low = load_half(sums + c, mask, 0), high = load_half(sums + c, mask, 1);
        const unsigned char *at = block->data + (size_t)c * element_bytes(dtype);
        for (uint32_t r = 0; r < block->rows; r++, at += block->row_bytes) {
            __m512 floats = load_floats(dtype, at, mask);
            low = _mm512_add_pd(low, lower(floats));
            high = _mm512_add_pd(high, upper(floats));
        }
        store_half(sums + c, mask, 0, low);
        store_half(sums + c, mask, 1, high);
    }
}

/* Columns beyond the edge add +0, which leaves every lane as it is: the sums are of squares, or start at +0.
 */
INLINE void block_displacement(enum tensor_dtype dtype, const struct statistics_block *block,
                               const struct statistics_block *reference, struct statistics_lanes *lanes)
{
    __m512d squared[2], dot[2], norm[2], reference_norm[2];
    for (int half = 0; half < 2; half++) {
        squared[half] = _mm512_loadu_pd(lanes->squared + 8 * half);
        dot[half] = _mm512_loadu_pd(lanes->dot + 8 * half);
        norm[half] = _mm512_loadu_pd(lanes->norm + 8 * half);
        reference_norm[half] = _mm512_loadu_pd(lanes->reference_norm + 8 * half);
    }
    for (uint32_t r = 0; r < block->rows; r++) {
        const unsigned char *row = block->data + r * block->row_bytes;
        const unsigned char *other = reference->data + r * reference->row_bytes;
        for (uint32_t c = 0; c < block->columns; c += WIDTH) {
            __mmask16 mask = columns_mask(block->columns, c);
            __m512 w = load_floats(dtype, row + (size_t)c * element_bytes(dtype), mask);
            __m512 v = load_floats(dtype, other + (size_t)c * element_bytes(dtype), mask);
            for (int half = 0; half < 2; half++) {
                __m512d a = half ? upper(w) : lower(w);
                __m512d b = half ? upper(v) : lower(v);
                __m512d difference = _mm512_sub_pd(a, b);
                squared[half] = _mm512_add_pd(squared[half], _mm512_mul_pd(difference, difference));
                dot[half] = _mm512_add_pd(dot[half], _mm512_mul_pd(a, b));
                norm[half] = _mm512_add_pd(norm[half], _mm512_mul_pd(a, a));
                reference_norm[half] = _mm512_add_pd(reference_norm[half], _mm512_mul_pd(b, b));
            }
        }
    }
    for (int half = 0; half < 2; half++) {
        _mm512_storeu_pd(lanes->squared + 8 * half, squared[half]);
        _mm512_storeu_pd(lanes->dot + 8 * half, dot[half]);
        _mm512_storeu_pd(lanes->norm + 8 * half, norm[half]);
        _mm512_storeu_pd(lanes->reference_norm + 8 * half, reference_norm[half]);
    }
}

INLINE void block_central_sums(enum tensor_dtype dtype, const struct statistics_block *block,
                               const double *mean, double *m2, double *m3, double *m4)
{
    for (uint32_t c = 0; c < block->columns; c += WIDTH) {
        __mmask16 mask = columns_mask(block->columns, c);
        __m512d centre[2], sum2[2], sum3[2], sum4[2];
        for (int half = 0; half < 2; half++) {
            centre[half] = load_half(mean + c, mask, half);
            sum2[half] = load_half(m2 + c, mask, half);
            sum3[half] = load_half(m3 + c, mask, half);
            sum4[half] = load_half(m4 + c, mask, half);
        }
        const unsigned char *at = block->data + (size_t)c * element_bytes(dtype);
        for (uint32_t r = 0; r < block->rows; r++, at += block->row_bytes) {
            __m512 floats = load_floats(dtype, at, mask);
            for (int half = 0; half < 2; half++) {
                __m512d difference = _mm512_sub_pd(half ? upper(floats) : lower(floats), centre[half]);
                __m512d square = _mm512_mul_pd(difference, difference);
                sum2[half] = _mm512_add_pd(sum2[half], square);
                sum3[half] = _mm512_add_pd(sum3[half], _mm512_mul_pd(square, difference));
                sum4[half] = _mm512_add_pd(sum4[half], _mm512_mul_pd(square, square));
            }
        }
        for (int half = 0; half < 2; half++) {
            store_half(m2 + c, mask, half, sum2[half]);
            store_half(m3 + c, mask, half, sum3[half]);
            store_half(m4 + c, mask, half, sum4[half]);
        }
    }
}

INLINE void row_centre(enum tensor_dtype dtype, const unsigned char *row, uint32_t columns, const float *mean,
                       float scale, uint16_t *codes)
{
    __m512 factor = _mm512_set1_ps(scale);
    for (uint32_t c = 0; c < columns; c += WIDTH) {
        __mmask16 mask = columns_mask(columns, c);
        __m512 floats = load_floats(dtype, row + (size_t)c * element_bytes(dtype), mask);
        floats = _mm512_sub_ps(_mm512_mul_ps(floats, factor), _mm512_maskz_loadu_ps(mask, mean + c));
        __m256i halves = _mm512_cvtps_ph(floats, _MM_FROUND_TO_NEAREST_INT);
        _mm256_mask_storeu_epi16((void *)(codes + c), mask, halves);
    }
}

#include "gpu/cpu/statistics_table.h"

#endif
