#include "gpu/cpu/statistics_kernels.h"

#include "gpu/half.h"

#include <math.h>
#include <string.h>

#define TARGET
#define KERNELS statistics_kernels_portable

/* The functions below are inlined into one copy per dtype, where the switch vanishes. */
#define INLINE static inline __attribute__((always_inline))

INLINE float element_load(enum tensor_dtype dtype, const unsigned char *row, uint32_t column)
{
    if (dtype == TENSOR_DTYPE_F32) {
        float value;
        memcpy(&value, row + 4 * (size_t)column, sizeof(value));
        return value;
    }
    uint16_t bits;
    memcpy(&bits, row + 2 * (size_t)column, sizeof(bits));
    return dtype == TENSOR_DTYPE_F16 ? half_from_f16(bits) : half_from_bf16(bits);
}

INLINE int block_is_finite(enum tensor_dtype dtype, const struct statistics_block *block)
{
    for (uint32_t r = 0; r < block->rows; r++) {
        const unsigned char *row = block->data + r * block->row_bytes;
        for (uint32_t c = 0; c < block->columns; c++) {
            if (!isfinite(element_load(dtype, row, c)))
                return 0;
        }
    }
    return 1;
}

INLINE void block_column_sums(enum tensor_dtype dtype, const struct statistics_block *block, double *sums)
{
    for (uint32_t r = 0; r < block->rows; r++) {
        const unsigned char *row = block->data + r * block->row_bytes;
        for (uint32_t c = 0; c < block->columns; c++)
            sums[c] += (double)element_load(dtype, row, c);
    }
}

INLINE void lanes_add(struct statistics_lanes *lanes, uint32_t lane, double w, double r)
{
    double difference = w - r;
    lanes->squared[lane] += difference * difference;
    lanes->dot[lane] += w * r;
    lanes->norm[lane] += w * w;
    lanes->reference_norm[lane] += r * r;
}

INLINE void block_displacement(enum tensor_dtype dtype, const struct statistics_block *block,
                               const struct statistics_block *reference, struct statistics_lanes *lanes)
{
    for (uint32_t r = 0; r < block->rows; r++) {
        const unsigned char *row = block->data + r * block->row_bytes;
        const unsigned char *other = reference->data + r * reference->row_bytes;
        for (uint32_t c = 0; c < block->columns; c++)
            lanes_add(lanes, c % STATISTICS_LANES, (double)element_load(dtype, row, c),
                      (double)element_load(dtype, other, c));
    }
}

INLINE void block_central_sums(enum tensor_dtype dtype, const struct statistics_block *block,
                               const double *mean, double *m2, double *m3, double *m4)
{
    for (uint32_t r = 0; r < block->rows; r++) {
        const unsigned char *row = block->data + r * block->row_bytes;
        for (uint32_t c = 0; c < block->columns; c++) {
            double difference = (double)element_load(dtype, row, c) - mean[c];
            double square = difference * difference;
            m2[c] += square;
            m3[c] += square * difference;
            m4[c] += square * square;
        }
    }
}

INLINE void row_centre(enum tensor_dtype dtype, const unsigned char *row, uint32_t columns, const float *mean,
                       float scale, uint16_t *codes)
{
    for (uint32_t c = 0; c < columns; c++)
        codes[c] = half_to_f16(element_load(dtype, row, c) * scale - mean[c]);
}

#include "gpu/cpu/statistics_table.h"

const struct statistics_kernels *statistics_kernels_of(enum cpu_isa isa, enum tensor_dtype dtype)
{
    const struct statistics_kernels *kernels = statistics_kernels_portable;
#if defined(__x86_64__)
    if (isa == CPU_ISA_AVX512)
        kernels = statistics_kernels_avx512;
    else if (isa == CPU_ISA_AVX2)
        kernels = statistics_kernels_avx2;
#elif defined(__aarch64__)
    if (isa == CPU_ISA_NEON)
        kernels = statistics_kernels_neon;
#else
    (void)isa;
#endif
    return &kernels[dtype == TENSOR_DTYPE_F16 ? 0 : dtype == TENSOR_DTYPE_BF16 ? 1 : 2];
}

void statistics_column_sums_checked(enum tensor_dtype dtype, const struct statistics_block *block,
                                    double *sums, uint32_t *not_finite)
{
    for (uint32_t r = 0; r < block->rows; r++) {
        const unsigned char *row = block->data + r * block->row_bytes;
        for (uint32_t c = 0; c < block->columns; c++) {
            float value = element_load(dtype, row, c);
            if (isfinite(value))
                sums[c] += (double)value;
            else
                not_finite[c]++;
        }
    }
}

void statistics_displacement_checked(enum tensor_dtype dtype, const struct statistics_block *block,
                                     const struct statistics_block *reference, struct statistics_lanes *lanes,
                                     uint64_t *pairs_skipped)
{
    for (uint32_t r = 0; r < block->rows; r++) {
        const unsigned char *row = block->data + r * block->row_bytes;
        const unsigned char *other = reference->data + r * reference->row_bytes;
        for (uint32_t c = 0; c < block->columns; c++) {
            float value = element_load(dtype, row, c);
            float reference_value = element_load(dtype, other, c);
            if (isfinite(value) && isfinite(reference_value))
                lanes_add(lanes, c % STATISTICS_LANES, (double)value, (double)reference_value);
            else
                ++*pairs_skipped;
        }
    }
}

void statistics_central_sums_checked(enum tensor_dtype dtype, const struct statistics_block *block,
                                     const double *mean, double *m2, double *m3, double *m4)
{
    for (uint32_t r = 0; r < block->rows; r++) {
        const unsigned char *row = block->data + r * block->row_bytes;
        for (uint32_t c = 0; c < block->columns; c++) {
            float value = element_load(dtype, row, c);
            if (!isfinite(value))
                continue;
            double difference = (double)value - mean[c];
            double square = difference * difference;
            m2[c] += square;
            m3[c] += square * difference;
            m4[c] += square * square;
        }
    }
}
