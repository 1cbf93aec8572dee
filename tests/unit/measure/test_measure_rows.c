/* From a device pass to rows: the numbers of float32, and how far a distribution moved. */
#include "tests/unit/store/fixture.h"

#include "daemon/measure/measure_rows.h"
#include "daemon/measure/measure_shift.h"
#include "gpu/cpu/statistics.h"

#include <math.h>

#define ROWS 40
#define COLUMNS 6
#define TOKEN_ROWS 30
#define ELEMENTS (ROWS * COLUMNS)

/* Around 3, far from 0, so that a mean that is left out shows; exact in every dtype, also 0.5 higher. */
static double value_of(int i)
{
    return 2.5 + (double)((i * 37) % 64) / 64;
}

/* What is no token moves twice as far. */
static void fill(enum tensor_dtype dtype, double shift, void *data)
{
    for (int i = 0; i < ELEMENTS; i++) {
        double wide = value_of(i) + (i < TOKEN_ROWS * COLUMNS ? shift : 2 * shift);
        float single = (float)wide;
        uint32_t bits;
        uint16_t half;
        memcpy(&bits, &single, sizeof bits);
        switch (dtype) {
        case TENSOR_DTYPE_F64:
            memcpy((char *)data + i * 8, &wide, 8);
            break;
        case TENSOR_DTYPE_F32:
            memcpy((char *)data + i * 4, &single, 4);
            break;
        case TENSOR_DTYPE_BF16:
            half = (uint16_t)(bits >> 16);
            memcpy((char *)data + i * 2, &half, 2);
            break;
        default: /* float16 of a number between 2 and 16 with few bits */
            half = (uint16_t)(((bits >> 23) - 127 + 15) << 10 | (bits >> 13 & 1023));
            memcpy((char *)data + i * 2, &half, 2);
        }
    }
}

static void measure(enum tensor_dtype dtype, const void *data, struct statistics_result *result)
{
    struct cpu_threads *threads = NULL;
    struct statistics_request request = {
        .dtype = dtype, .rows = ROWS, .columns = COLUMNS, .token_rows = TOKEN_ROWS, .data = data};
    OK(cpu_threads_new(1, &threads, &err));
    OK(statistics_result_init(result, COLUMNS, &err));
    OK(cpu_statistics(threads, cpu_isa_best(), &request, result, &err));
    cpu_threads_free(threads);
}

static void test_moments(void **state)
{
    static const enum tensor_dtype dtypes[] = {TENSOR_DTYPE_F16, TENSOR_DTYPE_F32, TENSOR_DTYPE_F64};
    (void)state;
    for (int set = 0; set < 2; set++) {
        int count = (set ? TOKEN_ROWS : ROWS) * COLUMNS;
        double mean = 0, variance = 0;
        for (int i = 0; i < count; i++)
            mean += value_of(i) / count;
        for (int i = 0; i < count; i++)
            variance += (value_of(i) - mean) * (value_of(i) - mean) / count;
        for (size_t k = 0; k < sizeof dtypes / sizeof dtypes[0]; k++) {
            double data[ELEMENTS];
            struct measure_rows *rows = NULL;
            struct task_tensor tensor = {0};
            fill(dtypes[k], 0, data);
            OK(measure_rows_new(&rows, &err));
            measure(dtypes[k], data, measure_rows_result(rows));
            measure_rows_begin(rows, TOKEN_ROWS, "cpu");
            OK(measure_rows_add_statistics(rows, dtypes[k], data, &err));
            measure_rows_finish(rows, &tensor);
            assert_int_equal(tensor.statistics_count, 4);
            const struct statistics_row *row = &tensor.statistics[2 * set];
            assert_int_equal(row->is_centred, 0);
            assert_int_equal(row->elements, count);
            assert_true(fabs(row->mean - mean) < 1e-12);
            assert_true(fabs(row->variance - variance) < 1e-12);
            measure_rows_free(rows);
        }
    }
}

/* Every value moves up, so the distance is how far they move on average; the reference is not in the store.
 */
static void test_shift(void **state)
{
    static const struct {
        enum tensor_dtype dtype;
        double error;
    } cases[] = {{TENSOR_DTYPE_F16, 1e-12},
                 {TENSOR_DTYPE_BF16, 1e-12},
                 {TENSOR_DTYPE_F32, 1.0 / 32},
                 {TENSOR_DTYPE_F64, 1.0 / 32}};
    static const double moved[STATISTICS_ROW_SET_COUNT] = {
        [STATISTICS_ROW_SET_TOKENS] = 0.25, [STATISTICS_ROW_SET_ALL] = 0.25 * (2 * ROWS - TOKEN_ROWS) / ROWS};
    struct fixture *fixture = *state;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        double data[ELEMENTS], reference[ELEMENTS];
        double distances[STATISTICS_ROW_SET_COUNT] = {0, 0};
        struct statistics_result result = {0};
        fill(cases[k].dtype, 0, data);
        fill(cases[k].dtype, 0.25, reference);
        measure(cases[k].dtype, data, &result);
        struct measure_shift shift = {.store = fixture->store,
                                      .dtype = cases[k].dtype,
                                      .rows = ROWS,
                                      .columns = COLUMNS,
                                      .token_rows = TOKEN_ROWS,
                                      .result = &result,
                                      .reference_id = 1,
                                      .reference = reference};
        OK(measure_shift(&shift, distances, &err));
        for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++)
            assert_true(fabs(distances[set] - moved[set]) <= cases[k].error);
        statistics_result_free(&result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moments),
        cmocka_unit_test_setup_teardown(test_shift, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
