#include "gpu/cpu/statistics_kernels.h"

#if defined(__x86_64__)

#include "gpu/half.h"

#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx,avx2,f16c")))
#define INLINE static inline __attribute__((always_inline)) TARGET

INLINE uint32_t element_bytes(enum tensor_dtype dtype)
{
    return dtype == TENSOR_DTYPE_F32 ? 4 : 2;
}

INLINE float element_load(enum tensor_dtype dtype, const unsigned char *at)
{
    if (dtype == TENSOR_DTYPE_F32) {
        float value;
        memcpy(&value, at, sizeof(value));
        return value;
    }
    uint16_t bits;
    memcpy(&bits, at, sizeof(bits));
    return dtype == TENSOR_DTYPE_F16 ? half_from_f16(bits) : half_from_bf16(bits);
}

INLINE __m256 load_floats(enum tensor_dtype dtype, const unsigned char *at)
{
    if (dtype == TENSOR_DTYPE_F32)
        return _mm256_castsi256_ps(_mm256_loadu_si256((const void *)at));
    __m128i halves = _mm_loadu_si128((const void *)at);
    if (dtype == TENSOR_DTYPE_F16)
        return _mm256_cvtph_ps(halves);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

INLINE __m256d lower(__m256 floats)
{
    return _mm256_cvtps_pd(_mm256_castps256_ps128(floats));
}

INLINE __m256d upper(__m256 floats)
{
    return _mm256_cvtps_pd(_mm256_extractf128_ps(floats, 1));
}

/* Elements are compared as integers: an exponent of all ones is an infinity or a NaN. */
INLINE int block_is_finite(enum tensor_dtype dtype, const struct statistics_block *block)
{
    uint32_t per_vector = 32 / element_bytes(dtype);
    __m256i mask = dtype == TENSOR_DTYPE_F32   ? _mm256_set1_epi32(0x7f800000)
                   : dtype == TENSOR_DTYPE_F16 ? _mm256_set1_epi16(0x7c00)
                                               : _mm256_set1_epi16(0x7f80);
    __m256i found = _mm256_setzero_si256();
    int tail = 0;
    for (uint32_t r = 0; r < block->rows; r++) {
        const unsigned char *row = block->data + r * block->row_bytes;
        uint32_t c = 0;
        for (; c + per_vector <= block->columns; c += per_vector) {
            __m256i bits = _mm256_loadu_si256((const void *)(row + (size_t)c * element_bytes(dtype)));
            bits = _mm256_and_si256(bits, mask);
            __m256i equal =
                dtype == TENSOR_DTYPE_F32 ? _mm256_cmpeq_epi32(bits, mask) : _mm256_cmpeq_epi16(bits, mask);
            found = _mm256_or_si256(found, equal);
        }
        for (; c < block->columns; c++) {
            float value = element_load(dtype, row + (size_t)c * element_bytes(dtype));
            tail |= (half_bits_of_float(value) & 0x7f800000U) == 0x7f800000U;
        }
    }
    return !tail && _mm256_testz_si256(found, found);
}

INLINE void block_column_sums(enum tensor_dtype dtype, const struct statistics_block *block, double *sums)
{
    size_t bytes = element_bytes(dtype);
    uint32_t c = 0;
    for (; c + 8 <= block->columns; c += 8) {
        __m256d low = _mm256_loadu_pd(sums + c), high = _mm256_loadu_pd(sums + c + 4);
        const unsigned char *at = block->data + c * bytes;
        for (uint32_t r = 0; r < block->rows; r++, at += block->row_bytes) {
            __m256 floats = load_floats(dtype, at);
            low = _mm256_add_pd(low, lower(floats));
            high = _mm256_add_pd(high, upper(floats));
        }
        _mm256_storeu_pd(sums + c, low);
        _mm256_storeu_pd(sums + c + 4, high);
    }
    for (; c < block->columns; c++) {
        const unsigned char *at = block->data + c * bytes;
        for (uint32_t r = 0; r < block->rows; r++, at += block->row_bytes)
            sums[c] += (double)element_load(dtype, at);
    }
}

struct vector_lanes {
    __m256d squared[2], dot[2], norm[2], reference_norm[2];
};

INLINE void vector_lanes_add(struct vector_lanes *lanes, int half, __m256d w, __m256d r)
{
    __m256d difference = _mm256_sub_pd(w, r);
    lanes->squared[half] = _mm256_add_pd(lanes->squared[half], _mm256_mul_pd(difference, difference));
    lanes->dot[half] = _mm256_add_pd(lanes->dot[half], _mm256_mul_pd(w, r));
    lanes->norm[half] = _mm256_add_pd(lanes->norm[half], _mm256_mul_pd(w, w));
    lanes->reference_norm[half] = _mm256_add_pd(lanes->reference_norm[half], _mm256_mul_pd(r, r));
}

INLINE void vector_lanes_add_floats(struct vector_lanes *lanes, __m256 w, __m256 r)
{
    vector_lanes_add(lanes, 0, lower(w), lower(r));
    vector_lanes_add(lanes, 1, upper(w), upper(r));
}

/* Lanes 0-7 and 8-15 are walked one after the other, since all would not fit into the registers. The partial
 * group at the right edge is padded with +0, which leaves every lane as it is. */
INLINE void block_displacement(enum tensor_dtype dtype, const struct statistics_block *block,
                               const struct statistics_block *reference, struct statistics_lanes *lanes)
{
    size_t bytes = element_bytes(dtype);
    uint32_t whole = block->columns - block->columns % STATISTICS_LANES;
    uint32_t left = block->columns - whole;
    for (uint32_t first = 0; first < STATISTICS_LANES; first += 8) {
        struct vector_lanes sums;
        for (int half = 0; half < 2; half++) {
            sums.squared[half] = _mm256_loadu_pd(lanes->squared + first + 4 * half);
            sums.dot[half] = _mm256_loadu_pd(lanes->dot + first + 4 * half);
            sums.norm[half] = _mm256_loadu_pd(lanes->norm + first + 4 * half);
            sums.reference_norm[half] = _mm256_loadu_pd(lanes->reference_norm + first + 4 * half);
        }
        for (uint32_t r = 0; r < block->rows; r++) {
            const unsigned char *row = block->data + r * block->row_bytes;
            const unsigned char *other = reference->data + r * reference->row_bytes;
            for (uint32_t c = first; c < whole; c += STATISTICS_LANES)
                vector_lanes_add_floats(&sums, load_floats(dtype, row + c * bytes),
                                        load_floats(dtype, other + c * bytes));
            if (left > first) {
                unsigned char w[4 * STATISTICS_LANES] = {0}, v[4 * STATISTICS_LANES] = {0};
                memcpy(w, row + whole * bytes, left * bytes);
                memcpy(v, other + whole * bytes, left * bytes);
                vector_lanes_add_floats(&sums, load_floats(dtype, w + first * bytes),
                                        load_floats(dtype, v + first * bytes));
            }
        }
        for (int half = 0; half < 2; half++) {
            _mm256_storeu_pd(lanes->squared + first + 4 * half, sums.squared[half]);
            _mm256_storeu_pd(lanes->dot + first + 4 * half, sums.dot[half]);
            _mm256_storeu_pd(lanes->norm + first + 4 * half, sums.norm[half]);
            _mm256_storeu_pd(lanes->reference_norm + first + 4 * half, sums.reference_norm[half]);
        }
    }
}

INLINE void block_central_sums(enum tensor_dtype dtype, const struct statistics_block *block,
                               const double *mean, double *m2, double *m3, double *m4)
{
    size_t bytes = element_bytes(dtype);
    uint32_t whole = block->columns - block->columns % 8;
    for (uint32_t c = 0; c < whole; c += 8) {
        __m256d centre[2], sum2[2], sum3[2], sum4[2];
        for (int half = 0; half < 2; half++) {
            centre[half] = _mm256_loadu_pd(mean + c + 4 * half);
            sum2[half] = _mm256_loadu_pd(m2 + c + 4 * half);
            sum3[half] = _mm256_loadu_pd(m3 + c + 4 * half);
            sum4[half] = _mm256_loadu_pd(m4 + c + 4 * half);
        }
        const unsigned char *at = block->data + c * bytes;
        for (uint32_t r = 0; r < block->rows; r++, at += block->row_bytes) {
            __m256 floats = load_floats(dtype, at);
            for (int half = 0; half < 2; half++) {
                __m256d difference = _mm256_sub_pd(half ? upper(floats) : lower(floats), centre[half]);
                __m256d square = _mm256_mul_pd(difference, difference);
                sum2[half] = _mm256_add_pd(sum2[half], square);
                sum3[half] = _mm256_add_pd(sum3[half], _mm256_mul_pd(square, difference));
                sum4[half] = _mm256_add_pd(sum4[half], _mm256_mul_pd(square, square));
            }
        }
        for (int half = 0; half < 2; half++) {
            _mm256_storeu_pd(m2 + c + 4 * half, sum2[half]);
            _mm256_storeu_pd(m3 + c + 4 * half, sum3[half]);
            _mm256_storeu_pd(m4 + c + 4 * half, sum4[half]);
        }
    }
}

INLINE void row_centre(enum tensor_dtype dtype, const unsigned char *row, uint32_t columns, const float *mean,
                       float scale, uint16_t *codes)
{
    size_t bytes = element_bytes(dtype);
    __m256 factor = _mm256_set1_ps(scale);
    uint32_t c = 0;
    for (; c + 8 <= columns; c += 8) {
        __m256 floats = _mm256_mul_ps(load_floats(dtype, row + c * bytes), factor);
        floats = _mm256_sub_ps(floats, _mm256_loadu_ps(mean + c));
        _mm_storeu_si128((void *)(codes + c), _mm256_cvtps_ph(floats, _MM_FROUND_TO_NEAREST_INT));
    }
    for (; c < columns; c++)
        codes[c] = half_to_f16(element_load(dtype, row + c * bytes) * scale - mean[c]);
}

#define KERNELS(suffix, dtype, index)                                                                        \
    TARGET static int is_finite_##suffix(const struct statistics_block *block)                               \
    {                                                                                                        \
        return block_is_finite(dtype, block);                                                                \
    }                                                                                                        \
    TARGET static void column_sums_##suffix(const struct statistics_block *block, double *sums)              \
    {                                                                                                        \
        block_column_sums(dtype, block, sums);                                                               \
    }                                                                                                        \
    TARGET static void displacement_##suffix(const struct statistics_block *block,                           \
                                             const struct statistics_block *reference,                       \
                                             struct statistics_lanes *lanes)                                 \
    {                                                                                                        \
        block_displacement(dtype, block, reference, lanes);                                                  \
    }                                                                                                        \
    TARGET static void central_sums_##suffix(const struct statistics_block *block, const double *mean,       \
                                             double *m2, double *m3, double *m4)                             \
    {                                                                                                        \
        block_central_sums(dtype, block, mean, m2, m3, m4);                                                  \
        struct statistics_block edge = *block;                                                               \
        uint32_t first = block->columns - block->columns % 8;                                                \
        edge.data += (size_t)first * element_bytes(dtype);                                                   \
        edge.columns -= first;                                                                               \
        if (edge.columns)                                                                                    \
            statistics_kernels_portable[index].central_sums(&edge, mean + first, m2 + first, m3 + first,     \
                                                            m4 + first);                                     \
    }                                                                                                        \
    TARGET static void centre_##suffix(const unsigned char *row, uint32_t columns, const float *mean,        \
                                       float scale, uint16_t *codes)                                         \
    {                                                                                                        \
        row_centre(dtype, row, columns, mean, scale, codes);                                                 \
    }

KERNELS(f16, TENSOR_DTYPE_F16, 0)
KERNELS(bf16, TENSOR_DTYPE_BF16, 1)
KERNELS(f32, TENSOR_DTYPE_F32, 2)

const struct statistics_kernels statistics_kernels_avx2[3] = {
    {is_finite_f16, column_sums_f16, displacement_f16, central_sums_f16, centre_f16},
    {is_finite_bf16, column_sums_bf16, displacement_bf16, central_sums_bf16, centre_bf16},
    {is_finite_f32, column_sums_f32, displacement_f32, central_sums_f32, centre_f32},
};

#endif
