/*
 * The body of statistics_avx2.c and statistics_neon.c, which define what the vectors are and then include
 * this: TARGET (the functions' target attribute, or nothing), KERNELS (the name of the table), `floats` and
 * `doubles` (vectors of as many bytes, which have the compiler's operators), load_floats(dtype, at) (elements
 * to float32), lower(floats) and upper(floats) (their halves to float64), store_halves(codes, floats) (to
 * float16, to nearest even).
 */
#include "gpu/cpu/statistics_kernels.h"
#include "gpu/half.h"

#include <string.h>

#define FLOATS ((uint32_t)(sizeof(floats) / sizeof(float)))
#define DOUBLES ((uint32_t)(sizeof(doubles) / sizeof(double)))

typedef uint16_t bits16 __attribute__((vector_size(sizeof(floats))));
typedef uint32_t bits32 __attribute__((vector_size(sizeof(floats))));

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

INLINE doubles load_doubles(const double *at)
{
    doubles x;
    memcpy(&x, at, sizeof(x));
    return x;
}

INLINE void store_doubles(double *at, doubles x)
{
    memcpy(at, &x, sizeof(x));
}

/* Elements are compared as integers: an exponent of all ones is an infinity or a NaN. Those of a vector give
 * all ones. */
INLINE bits32 not_finite(enum tensor_dtype dtype, const unsigned char *at)
{
    if (dtype == TENSOR_DTYPE_F32) {
        bits32 bits, mask = (bits32){0} + 0x7f800000U;
        memcpy(&bits, at, sizeof(bits));
        return (bits32)((bits & mask) == mask);
    }
    bits16 bits, mask = (bits16){0} + (uint16_t)(dtype == TENSOR_DTYPE_F16 ? 0x7c00 : 0x7f80);
    memcpy(&bits, at, sizeof(bits));
    return (bits32)((bits & mask) == mask);
}

INLINE int block_is_finite(enum tensor_dtype dtype, const struct statistics_block *block)
{
    const uint32_t bytes = element_bytes(dtype), per_vector = (uint32_t)sizeof(bits32) / bytes;
    bits32 found = {0};
    uint32_t any = 0;
    for (uint32_t r = 0; r < block->rows; r++) {
        const unsigned char *row = block->data + r * block->row_bytes;
        uint32_t c = 0;
        for (; c + per_vector <= block->columns; c += per_vector)
            found |= not_finite(dtype, row + (size_t)c * bytes);
        for (; c < block->columns; c++)
            any |= (half_bits_of_float(element_load(dtype, row + (size_t)c * bytes)) & 0x7f800000U) ==
                   0x7f800000U;
    }
    for (uint32_t i = 0; i < FLOATS; i++)
        any |= found[i];
    return !any;
}

INLINE void block_column_sums(enum tensor_dtype dtype, const struct statistics_block *block, double *sums)
{
    size_t bytes = element_bytes(dtype);
    uint32_t c = 0;
    for (; c + FLOATS <= block->columns; c += FLOATS) {
        doubles low = load_doubles(sums + c), high = load_doubles(sums + c + DOUBLES);
        const unsigned char *at = block->data + c * bytes;
        for (uint32_t r = 0; r < block->rows; r++, at += block->row_bytes) {
            const floats x = load_floats(dtype, at);
            low += lower(x);
            high += upper(x);
        }
        store_doubles(sums + c, low);
        store_doubles(sums + c + DOUBLES, high);
    }
    for (; c < block->columns; c++) {
        const unsigned char *at = block->data + c * bytes;
        for (uint32_t r = 0; r < block->rows; r++, at += block->row_bytes)
            sums[c] += (double)element_load(dtype, at);
    }
}

struct vector_lanes {
    doubles squared[2], dot[2], norm[2], reference_norm[2];
};

INLINE void vector_lanes_add(struct vector_lanes *lanes, uint32_t half, doubles w, doubles r)
{
    const doubles difference = w - r;
    lanes->squared[half] += difference * difference;
    lanes->dot[half] += w * r;
    lanes->norm[half] += w * w;
    lanes->reference_norm[half] += r * r;
}

INLINE void vector_lanes_add_floats(struct vector_lanes *lanes, floats w, floats r)
{
    vector_lanes_add(lanes, 0, lower(w), lower(r));
    vector_lanes_add(lanes, 1, upper(w), upper(r));
}

/* As many lanes as a vector has floats are walked at a time, since all would not fit into the registers. The
 * partial group at the right edge is padded with +0, which leaves every lane as it is. */
INLINE void block_displacement(enum tensor_dtype dtype, const struct statistics_block *block,
                               const struct statistics_block *reference, struct statistics_lanes *lanes)
{
    size_t bytes = element_bytes(dtype);
    uint32_t whole = block->columns - block->columns % STATISTICS_LANES;
    uint32_t left = block->columns - whole;
    for (uint32_t first = 0; first < STATISTICS_LANES; first += FLOATS) {
        struct vector_lanes sums;
        for (uint32_t half = 0; half < 2; half++) {
            sums.squared[half] = load_doubles(lanes->squared + first + DOUBLES * half);
            sums.dot[half] = load_doubles(lanes->dot + first + DOUBLES * half);
            sums.norm[half] = load_doubles(lanes->norm + first + DOUBLES * half);
            sums.reference_norm[half] = load_doubles(lanes->reference_norm + first + DOUBLES * half);
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
        for (uint32_t half = 0; half < 2; half++) {
            store_doubles(lanes->squared + first + DOUBLES * half, sums.squared[half]);
            store_doubles(lanes->dot + first + DOUBLES * half, sums.dot[half]);
            store_doubles(lanes->norm + first + DOUBLES * half, sums.norm[half]);
            store_doubles(lanes->reference_norm + first + DOUBLES * half, sums.reference_norm[half]);
        }
    }
}

/* Of the columns that fill vectors. */
INLINE void whole_central_sums(enum tensor_dtype dtype, const struct statistics_block *block,
                               const double *mean, double *m2, double *m3, double *m4)
{
    size_t bytes = element_bytes(dtype);
    uint32_t whole = block->columns - block->columns % FLOATS;
    for (uint32_t c = 0; c < whole; c += FLOATS) {
        doubles centre[2], sum2[2], sum3[2], sum4[2];
        for (uint32_t half = 0; half < 2; half++) {
            centre[half] = load_doubles(mean + c + DOUBLES * half);
            sum2[half] = load_doubles(m2 + c + DOUBLES * half);
            sum3[half] = load_doubles(m3 + c + DOUBLES * half);
            sum4[half] = load_doubles(m4 + c + DOUBLES * half);
        }
        const unsigned char *at = block->data + c * bytes;
        for (uint32_t r = 0; r < block->rows; r++, at += block->row_bytes) {
            const floats x = load_floats(dtype, at);
            for (uint32_t half = 0; half < 2; half++) {
                const doubles difference = (half ? upper(x) : lower(x)) - centre[half];
                const doubles square = difference * difference;
                sum2[half] += square;
                sum3[half] += square * difference;
                sum4[half] += square * square;
            }
        }
        for (uint32_t half = 0; half < 2; half++) {
            store_doubles(m2 + c + DOUBLES * half, sum2[half]);
            store_doubles(m3 + c + DOUBLES * half, sum3[half]);
            store_doubles(m4 + c + DOUBLES * half, sum4[half]);
        }
    }
}

INLINE void block_central_sums(enum tensor_dtype dtype, const struct statistics_block *block,
                               const double *mean, double *m2, double *m3, double *m4)
{
    struct statistics_block edge = *block;
    const uint32_t first = block->columns - block->columns % FLOATS;
    whole_central_sums(dtype, block, mean, m2, m3, m4);
    edge.data += (size_t)first * element_bytes(dtype);
    edge.columns -= first;
    if (edge.columns)
        statistics_kernels_of(CPU_ISA_PORTABLE, dtype)
            ->central_sums(&edge, mean + first, m2 + first, m3 + first, m4 + first);
}

INLINE void row_centre(enum tensor_dtype dtype, const unsigned char *row, uint32_t columns, const float *mean,
                       float scale, uint16_t *codes)
{
    size_t bytes = element_bytes(dtype);
    uint32_t c = 0;
    for (; c + FLOATS <= columns; c += FLOATS) {
        floats means;
        memcpy(&means, mean + c, sizeof(means));
        store_halves(codes + c, load_floats(dtype, row + c * bytes) * scale - means);
    }
    for (; c < columns; c++)
        codes[c] = half_to_f16(element_load(dtype, row + c * bytes) * scale - mean[c]);
}

#include "gpu/cpu/statistics_table.h"
