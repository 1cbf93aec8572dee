/* Requests that are refused, the order of codes, the exponent of centred codes. */
#include "gpu/statistics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_requests(void **state)
{
    (void)state;
    const uint16_t data[6] = {0};
    const struct statistics_request good = {.dtype = TENSOR_DTYPE_F16,
                                            .rows = 2,
                                            .columns = 3,
                                            .token_rows = 1,
                                            .data = data,
                                            .reference_count = 1,
                                            .references = {data}};
    struct err err = ERR_INIT;
    struct statistics_request bad;
    assert_int_equal(statistics_request_check(&good, &err), 0);
#define REFUSED(change, code)                                                                                \
    bad = good;                                                                                              \
    bad.change;                                                                                              \
    assert_int_equal(statistics_request_check(&bad, &err), code)
    REFUSED(dtype = TENSOR_DTYPE_I8, ERR_UNSUPPORTED);
    REFUSED(rows = 0, ERR_INVALID);
    REFUSED(columns = 0, ERR_INVALID);
    REFUSED(token_rows = 0, ERR_INVALID);
    REFUSED(token_rows = 3, ERR_INVALID);
    REFUSED(data = NULL, ERR_INVALID);
    REFUSED(reference_count = 3, ERR_INVALID);
    REFUSED(reference_count = -1, ERR_INVALID);
    REFUSED(reference_count = 2, ERR_INVALID);
    REFUSED(rows = UINT64_MAX, ERR_LIMIT);
    REFUSED(columns = UINT64_MAX, ERR_LIMIT);
    REFUSED(columns = LIMIT_STATISTICS_COLUMNS + 1, ERR_LIMIT);
#undef REFUSED
}

static void test_result(void **state)
{
    (void)state;
    struct statistics_result result;
    struct err err = ERR_INIT;
    assert_int_equal(statistics_result_init(&result, 0, &err), ERR_LIMIT);
    assert_int_equal(statistics_result_init(&result, 5, &err), 0);
    assert_int_equal(result.columns, 5);
    statistics_result_free(&result);
    statistics_result_free(&result);
    statistics_result_free(NULL);
}

static void test_order(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < STATISTICS_CODES; bits++)
        assert_int_equal(statistics_order_bits(statistics_order_code(bits)), bits);
    assert_true(statistics_order_code(0xfc00) < statistics_order_code(0x8000)); /* -Inf < -0 */
    assert_int_equal(statistics_order_code(0x8000) + 1, statistics_order_code(0));
    assert_true(statistics_order_code(0x7bff) < statistics_order_code(0x7c00));
}

static void test_exponent(void **state)
{
    (void)state;
    assert_int_equal(statistics_centred_exponent(0), 0);
    assert_int_equal(statistics_centred_exponent(0.01), 0);
    assert_int_equal(statistics_centred_exponent(32767), 0);
    assert_int_equal(statistics_centred_exponent(32768), 1);
    assert_int_equal(statistics_centred_exponent(0x1p-9), -23);
    assert_int_equal(statistics_centred_exponent(0x1p127), 113);
    assert_int_equal(statistics_centred_exponent(0x1p-149), -120);
    for (double largest = 1e-30; largest < 1e38; largest *= 3) {
        double scaled = largest / __builtin_ldexp(1, statistics_centred_exponent(largest));
        assert_true(scaled < 32768 && scaled >= 0x1p-8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_result),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_exponent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
