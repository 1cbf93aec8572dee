/*
 * The end of each set of kernels, which defines TARGET (the functions' target attribute, or nothing), KERNELS
 * (the name of the table), and the five functions below for any dtype: one copy of them for each, and the
 * table.
 */

#define DEFINE(suffix, dtype)                                                                                \
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
    }                                                                                                        \
    TARGET static void centre_##suffix(const unsigned char *row, uint32_t columns, const float *mean,        \
                                       float scale, uint16_t *codes)                                         \
    {                                                                                                        \
        row_centre(dtype, row, columns, mean, scale, codes);                                                 \
    }

DEFINE(f16, TENSOR_DTYPE_F16)
DEFINE(bf16, TENSOR_DTYPE_BF16)
DEFINE(f32, TENSOR_DTYPE_F32)

const struct statistics_kernels KERNELS[3] = {
    {is_finite_f16, column_sums_f16, displacement_f16, central_sums_f16, centre_f16},
    {is_finite_bf16, column_sums_bf16, displacement_bf16, central_sums_bf16, centre_bf16},
    {is_finite_f32, column_sums_f32, displacement_f32, central_sums_f32, centre_f32},
};
