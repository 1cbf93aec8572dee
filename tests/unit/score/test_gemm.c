/* Every engine against float64 sums, for sizes around every border of their blocks. */
#include "daemon/base/limits.h"
#include "gpu/cpu/gemm.h"
#include "gpu/cpu/gemm_amx.h"
#include "tests/tools/random_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const enum tensor_dtype dtypes[] = {TENSOR_DTYPE_F16, TENSOR_DTYPE_BF16, TENSOR_DTYPE_F32};

static float element(enum tensor_dtype dtype, const void *data, size_t i)
{
    if (dtype == TENSOR_DTYPE_F32)
        return ((const float *)data)[i];
    uint16_t half = ((const uint16_t *)data)[i];
    return dtype == TENSOR_DTYPE_F16 ? half_from_f16(half) : half_from_bf16(half);
}

/* Numbers of very different size, with all bits of their kind in use. */
static void fill_weights(enum tensor_dtype dtype, void *data, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t hash = random_at(11, i);
        float value = ((float)(int32_t)(uint32_t)hash / 2147483648.0F) * exp2f(-(float)(hash >> 60));
        if (dtype == TENSOR_DTYPE_F32)
            ((float *)data)[i] = value;
        else
            ((uint16_t *)data)[i] =
                dtype == TENSOR_DTYPE_F16 ? half_to_f16(value) : (uint16_t)(half_bits_of_float(value) >> 16);
    }
}

/* The error of each output, measured in 2^-24 of the sum of the magnitudes of its products. */
static double worst_error(enum gemm_engine engine, enum tensor_dtype dtype, size_t rows, size_t columns,
                          size_t tokens, int is_sum)
{
    const struct score_kernels *kernels = score_kernels_of(cpu_isa_best());
    size_t begin = rows > 64 ? 32 : 0, width = rows - begin, stride = columns + 3;
    void *weights = malloc(rows * columns * 4);
    void *memory = aligned_alloc(64, gemm_matrix_bytes(engine, dtype, rows, columns));
    void *workspace = aligned_alloc(64, gemm_workspace_bytes(engine) + 64);
    float *a = malloc(tokens * stride * 4), *out = malloc(tokens * (width + 1) * 4);
    const struct gemm_stored stored = {
        .parts = {{.dtype = dtype, .shape = {.ndim = 2, .dim = {rows, columns}}, .data = weights}},
        .part_count = 1};
    struct gemm_matrix matrix;
    double worst = 0;
    fill_weights(dtype, weights, rows * columns);
    for (size_t i = 0; i < tokens * stride; i++)
        a[i] = (float)(int32_t)(uint32_t)random_at(12, i) / 1e9F;
    for (size_t i = 0; i < tokens * (width + 1); i++)
        out[i] = 1.5F;
    gemm_matrix_init(&matrix, engine, dtype, rows, columns, memory);
    for (size_t row = 0; row < rows; row += 64)
        gemm_matrix_fill(&matrix, kernels, &stored, row, row + 64 < rows ? row + 64 : rows);
    gemm_multiply(&matrix, begin, rows,
                  &(struct gemm_rows){.count = tokens,
                                      .a = a,
                                      .a_stride = stride,
                                      .out = out,
                                      .out_stride = width + 1,
                                      .is_sum = is_sum},
                  workspace);
    for (size_t i = 0; i < tokens; i++) {
        for (size_t j = 0; j < width; j++) {
            double sum = is_sum ? 1.5 : 0, magnitude = sum;
            for (size_t k = 0; k < columns; k++) {
                double product =
                    (double)a[i * stride + k] * (double)element(dtype, weights, (begin + j) * columns + k);
                sum += product;
                magnitude += fabs(product);
            }
            assert_true(isfinite(out[i * (width + 1) + j])); /* fmax() passes over NaN */
            worst = fmax(worst, fabs((double)out[i * (width + 1) + j] - sum) / magnitude * 0x1p24);
        }
        assert_true(out[i * (width + 1) + width] == 1.5F); /* nothing is written beside the result */
    }
    free(weights), free(memory), free(workspace), free(a), free(out);
    return worst;
}

static void sizes(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{1, 1, 1},      {16, 32, 16},   {32, 32, 32},   {33, 33, 33},
                                       {31, 17, 1},    {100, 50, 47},  {96, 64, 17},   {65, 1030, 5},
                                       {48, 1024, 70}, {70, 2050, 18}, {32, 100, 300}, {160, 31, 257}};
    enum gemm_engine best = gemm_start(cpu_isa_best());
    print_message("the best engine that is tested, as this machine has it: %s\n", gemm_engine_name(best));
    for (int engine = 0; engine <= (int)best; engine++) {
        double worst = 0;
        for (size_t dtype = 0; dtype < 3; dtype++)
            for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
                for (int is_sum = 0; is_sum < 2; is_sum++)
                    worst = fmax(worst, worst_error((enum gemm_engine)engine, dtypes[dtype], shapes[i][0],
                                                    shapes[i][1], shapes[i][2], is_sum));
        print_message("%s: largest error %.2f * 2^-24 of the magnitude\n",
                      gemm_engine_name((enum gemm_engine)engine), worst);
        assert_true(worst < 16);
    }
}

/* Rows in the order of heads become queries, keys, values. */
static void order_of_rows(void **state)
{
    (void)state;
    enum gemm_engine best = gemm_start(cpu_isa_best());
    const struct score_kernels *kernels = score_kernels_of(cpu_isa_best());
    float numbers[96], out[96], one = 1;
    for (size_t i = 0; i < 96; i++)
        numbers[i] = (float)i;
    for (int engine = 0; engine <= (int)best; engine++) {
        struct gemm_matrix matrix;
        const struct gemm_stored stored = {
            .parts = {{.dtype = TENSOR_DTYPE_F32, .shape = {.ndim = 2, .dim = {96, 1}}, .data = numbers}},
            .part_count = 1,
            .head_count = 2,
            .head_size = 16};
        void *memory =
            aligned_alloc(64, gemm_matrix_bytes((enum gemm_engine)engine, TENSOR_DTYPE_F32, 96, 1));
        void *workspace = aligned_alloc(64, gemm_workspace_bytes((enum gemm_engine)engine) + 64);
        gemm_matrix_init(&matrix, (enum gemm_engine)engine, TENSOR_DTYPE_F32, 96, 1, memory);
        gemm_matrix_fill(&matrix, kernels, &stored, 0, 96);
        gemm_multiply(&matrix, 0, 96,
                      &(struct gemm_rows){.count = 1, .a = &one, .a_stride = 1, .out = out, .out_stride = 96},
                      workspace);
        for (size_t part = 0; part < 3; part++)
            for (size_t head = 0; head < 2; head++)
                for (size_t i = 0; i < 16; i++)
                    assert_true(out[part * 32 + head * 16 + i] == (float)(head * 48 + part * 16 + i));
        free(memory), free(workspace);
    }
}

/* Tensors of several dtypes, whose borders are no borders of tiles, become one matrix. */
static void parts(void **state)
{
    (void)state;
    enum { columns = 37, rows = 5 + 40 + 19 };
    static const size_t part_rows[] = {5, 40, 19};
    enum gemm_engine best = gemm_start(cpu_isa_best());
    const struct score_kernels *kernels = score_kernels_of(cpu_isa_best());
    static uint16_t halves[2][40 * columns];
    static float floats[40 * columns], a[columns], out[rows];
    struct gemm_stored stored = {.part_count = 3};
    const void *data[] = {halves[0], halves[1], floats};
    for (size_t i = 0; i < 3; i++) {
        fill_weights(dtypes[i], i < 2 ? (void *)halves[i] : (void *)floats, (size_t)40 * columns);
        stored.parts[i] = (struct tensor_view){
            .dtype = dtypes[i], .shape = {.ndim = 2, .dim = {part_rows[i], columns}}, .data = data[i]};
    }
    fill_weights(TENSOR_DTYPE_F32, a, columns);
    assert_int_equal(gemm_stored_rows(&stored), rows);
    assert_int_equal(gemm_stored_dtype(&stored), TENSOR_DTYPE_F32);
    for (int engine = 0; engine <= (int)best; engine++) {
        enum gemm_engine e = (enum gemm_engine)engine;
        struct gemm_matrix matrix;
        void *memory = aligned_alloc(64, gemm_matrix_bytes(e, TENSOR_DTYPE_F32, rows, columns));
        void *workspace = aligned_alloc(64, gemm_workspace_bytes(e) + 64);
        gemm_matrix_init(&matrix, e, TENSOR_DTYPE_F32, rows, columns, memory);
        gemm_matrix_fill(&matrix, kernels, &stored, 32, rows);
        gemm_matrix_fill(&matrix, kernels, &stored, 0, 32);
        gemm_multiply(
            &matrix, 0, rows,
            &(struct gemm_rows){.count = 1, .a = a, .a_stride = columns, .out = out, .out_stride = rows},
            workspace);
        for (size_t part = 0, row = 0; part < 3; part++)
            for (size_t i = 0; i < part_rows[part]; i++, row++) {
                double want = 0;
                for (size_t k = 0; k < columns; k++)
                    want += (double)a[k] * (double)element(dtypes[part], data[part], i * columns + k);
                assert_true(fabs((double)out[row] - want) < 1e-5);
            }
        free(memory), free(workspace);
    }
    stored.part_count = 1;
    assert_int_equal(gemm_stored_dtype(&stored), TENSOR_DTYPE_F16);
}

/* Columns that lie one behind the other give the same bytes as rows that do. */
static void transposed(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{1, 1}, {33, 70}, {96, 32}, {100, 31}};
    enum gemm_engine best = gemm_start(cpu_isa_best());
    const struct score_kernels *kernels = score_kernels_of(cpu_isa_best());
    static uint16_t plain[100 * 70], turned[100 * 70];
    for (int engine = 0; engine <= (int)best; engine++)
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            const size_t rows = shapes[i][0], columns = shapes[i][1];
            const uint64_t bytes =
                gemm_matrix_bytes((enum gemm_engine)engine, TENSOR_DTYPE_F16, rows, columns);
            unsigned char *memory[2];
            fill_weights(TENSOR_DTYPE_F16, plain, rows * columns);
            for (size_t j = 0; j < rows * columns; j++)
                turned[j % columns * rows + j / columns] = plain[j];
            for (int is_transposed = 0; is_transposed < 2; is_transposed++) {
                const struct gemm_stored stored = {.parts = {{.dtype = TENSOR_DTYPE_F16,
                                                              .shape = {.ndim = 2, .dim = {rows, columns}},
                                                              .data = is_transposed ? turned : plain}},
                                                   .part_count = 1,
                                                   .is_transposed = is_transposed};
                struct gemm_matrix matrix;
                memory[is_transposed] = aligned_alloc(64, bytes);
                memset(memory[is_transposed], 0, bytes);
                gemm_matrix_init(&matrix, (enum gemm_engine)engine, TENSOR_DTYPE_F16, rows, columns,
                                 memory[is_transposed]);
                for (size_t row = 0; row < rows; row += 64)
                    gemm_matrix_fill(&matrix, kernels, &stored, row, row + 64 < rows ? row + 64 : rows);
            }
            assert_memory_equal(memory[0], memory[1], bytes);
            free(memory[0]), free(memory[1]);
        }
}

/* A row's result does not depend on the rows beside it, nor on the width of the vectors. */
static void rows_alone(void **state)
{
    (void)state;
    enum { rows = 70, columns = 600, tokens = 40 };
    enum gemm_engine best = gemm_start(cpu_isa_best());
    const struct score_kernels *kernels = score_kernels_of(cpu_isa_best());
    static float numbers[rows * columns], a[tokens * columns], together[2][tokens * rows], alone[rows];
    fill_weights(TENSOR_DTYPE_F32, numbers, rows * columns);
    fill_weights(TENSOR_DTYPE_F32, a, tokens * columns);
    if (best == GEMM_ENGINE_BLAS)
        skip();
    for (int engine = GEMM_ENGINE_BLAS + 1; engine <= (int)best; engine++) {
        enum gemm_engine e = (enum gemm_engine)engine;
        if (gemm_amx_is(e))
            continue; /* adds up otherwise */
        struct gemm_matrix matrix;
        const struct gemm_stored stored = {.parts = {{.dtype = TENSOR_DTYPE_F32,
                                                      .shape = {.ndim = 2, .dim = {rows, columns}},
                                                      .data = numbers}},
                                           .part_count = 1};
        void *memory = aligned_alloc(64, gemm_matrix_bytes(e, TENSOR_DTYPE_F32, rows, columns));
        void *workspace = aligned_alloc(64, gemm_workspace_bytes(e) + 64);
        gemm_matrix_init(&matrix, e, TENSOR_DTYPE_F32, rows, columns, memory);
        gemm_matrix_fill(&matrix, kernels, &stored, 0, rows);
        float *all = together[engine - GEMM_ENGINE_BLAS - 1];
        gemm_multiply(
            &matrix, 0, rows,
            &(struct gemm_rows){.count = tokens, .a = a, .a_stride = columns, .out = all, .out_stride = rows},
            workspace);
        for (size_t i = 0; i < tokens; i++) {
            gemm_multiply(
                &matrix, 0, rows,
                &(struct gemm_rows){
                    .count = 1, .a = a + i * columns, .a_stride = columns, .out = alone, .out_stride = rows},
                workspace);
            assert_memory_equal(alone, all + i * rows, sizeof alone);
        }
        assert_memory_equal(together[0], all, sizeof together[0]);
        free(memory), free(workspace);
    }
}

/* Attention's products against float64 sums, in all engines, between other numbers that stay as they are. The
 * engines of vectors, and that of matrix units, which multiplies these as they do, give the same bits. */
static void pairs(void **state)
{
    (void)state;
    enum { side = 170, depth_max = 520, stride = depth_max + 3 };
    static const size_t shapes[][3] = {{1, 1, 1},    {64, 87, 64},  {3, 33, 31},   {64, 64, 87},
                                       {14, 32, 16}, {15, 80, 257}, {170, 33, 40}, {5, 70, 520}};
    enum gemm_engine best = gemm_start(cpu_isa_best());
    static float a[side * stride], b[depth_max * stride], out[side * stride], first[side * stride];
    fill_weights(TENSOR_DTYPE_F32, a, side * stride);
    fill_weights(TENSOR_DTYPE_F32, b, depth_max * stride);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0] * 2; i++)
        for (int engine = 0; engine <= (int)best; engine++) {
            const size_t *shape = shapes[i / 2];
            const struct gemm_pair pair = {.a = a,
                                           .b = b,
                                           .out = out,
                                           .a_stride = stride,
                                           .b_stride = stride,
                                           .out_stride = stride,
                                           .rows = shape[0],
                                           .columns = shape[1],
                                           .depth = shape[2]};
            void *workspace = aligned_alloc(64, gemm_workspace_bytes((enum gemm_engine)engine) + 64);
            for (size_t j = 0; j < side * stride; j++)
                out[j] = 7;
            (i % 2 ? gemm_transposed : gemm_plain)((enum gemm_engine)engine, &pair, workspace);
            for (size_t row = 0; row < side && row <= pair.rows; row++)
                for (size_t column = 0; column < pair.columns + 40 && column < stride; column++) {
                    double want = 0, magnitude = 0;
                    for (size_t k = 0; k < pair.depth && row < pair.rows && column < pair.columns; k++) {
                        double product = (double)a[row * stride + k] *
                                         (double)(i % 2 ? b[column * stride + k] : b[k * stride + column]);
                        want += product, magnitude += fabs(product);
                    }
                    if (row >= pair.rows || column >= pair.columns)
                        assert_true(out[row * stride + column] == 7);
                    else
                        assert_true(fabs((double)out[row * stride + column] - want) <=
                                    16 * ldexp(magnitude, -24));
                }
            if (engine == GEMM_ENGINE_BLAS + 1)
                memcpy(first, out, sizeof first);
            if (engine > GEMM_ENGINE_BLAS)
                assert_memory_equal(first, out, sizeof first);
            free(workspace);
        }
}

static void chosen_by_name(void **state)
{
    (void)state;
    enum gemm_engine best = gemm_start(cpu_isa_best());
    for (int engine = 0; engine < GEMM_ENGINE_COUNT; engine++) {
        assert_int_equal(setenv(GEMM_ENGINE_VARIABLE, gemm_engine_name((enum gemm_engine)engine), 1), 0);
        assert_int_equal(gemm_start(cpu_isa_best()), engine < (int)best ? engine : (int)best);
    }
    assert_int_equal(unsetenv(GEMM_ENGINE_VARIABLE), 0);
    assert_int_equal(gemm_start(CPU_ISA_PORTABLE), GEMM_ENGINE_BLAS);
    assert_string_equal(gemm_engine_name(GEMM_ENGINE_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),          cmocka_unit_test(order_of_rows), cmocka_unit_test(parts),
        cmocka_unit_test(transposed),     cmocka_unit_test(rows_alone),    cmocka_unit_test(pairs),
        cmocka_unit_test(chosen_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
