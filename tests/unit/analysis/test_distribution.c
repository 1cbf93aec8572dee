/* Codes and their values, quantiles, Wasserstein distance, bins, the whole summary. */
#include "daemon/analysis/distribution.h"

#include "daemon/analysis/summary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/analysis/near.h"

static uint32_t order(uint32_t bits)
{
    return bits & 0x8000U ? bits ^ 0xffffU : bits ^ 0x8000U;
}

static void test_codes(void **state)
{
    (void)state;
    assert_near(distribution_code_value(DISTRIBUTION_FORMAT_F16, 0, order(0x3c00)), 1, 0);
    assert_near(distribution_code_value(DISTRIBUTION_FORMAT_F16, 0, order(0xc000)), -2, 0);
    assert_near(distribution_code_value(DISTRIBUTION_FORMAT_F16, 0, order(0x0001)), 0x1p-24, 0);
    assert_near(distribution_code_value(DISTRIBUTION_FORMAT_F16, 0, order(0x7bff)), 65504, 0);
    assert_near(distribution_code_value(DISTRIBUTION_FORMAT_BF16, 0, order(0x3f80)), 1, 0);
    assert_near(distribution_code_value(DISTRIBUTION_FORMAT_F16_SCALED, -3, order(0x3c00)), 0.125, 0);
    /* The middle of [1, 1 + 2^-7), to float32's last digit. */
    assert_near(distribution_code_value(DISTRIBUTION_FORMAT_F32_TOP, 0, order(0x3f80)), 1 + 0x1p-8, 0x1p-23);
    assert_true(isinf(distribution_code_value(DISTRIBUTION_FORMAT_F16, 0, order(0x7c00))));
    assert_true(isnan(distribution_code_value(DISTRIBUTION_FORMAT_F32_TOP, 0, order(0x7fc0))));
    for (int format = DISTRIBUTION_FORMAT_F16; format <= DISTRIBUTION_FORMAT_F16_SCALED; format++) {
        double before = -(double)INFINITY;
        for (uint32_t code = 0; code < DISTRIBUTION_CODES; code++) {
            double value = distribution_code_value((enum distribution_format)format, 2, code);
            if (isfinite(value)) {
                assert_true(value >= before);
                before = value;
            }
        }
    }
}

static void test_names(void **state)
{
    (void)state;
    char name[DISTRIBUTION_NAME_SIZE];
    enum distribution_format format = DISTRIBUTION_FORMAT_F16;
    int exponent = 99;
    struct err err = ERR_INIT;
    static const char *const wrong[] = {"",
                                        "float32",
                                        "float16*2^",
                                        "float16*2^+1",
                                        "float16*2^1x",
                                        "float16*2^ 1",
                                        "float16*2^99999",
                                        "float16 ",
                                        "bfloat16*2^1"};
    for (int i = DISTRIBUTION_FORMAT_F16; i <= DISTRIBUTION_FORMAT_F16_SCALED; i++) {
        int scale = i == DISTRIBUTION_FORMAT_F16_SCALED ? -27 : 0;
        distribution_name((enum distribution_format)i, scale, name);
        assert_int_equal(distribution_name_parse(name, &format, &exponent, &err), 0);
        assert_int_equal(format, i);
        assert_int_equal(exponent, scale);
    }
    assert_string_equal(name, "float16*2^-27");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        format = DISTRIBUTION_FORMAT_BF16;
        exponent = 99;
        assert_int_equal(distribution_name_parse(wrong[i], &format, &exponent, &err), ERR_FORMAT);
        assert_int_equal(format, DISTRIBUTION_FORMAT_BF16);
        assert_int_equal(exponent, 99);
    }
}

static void test_values(void **state)
{
    (void)state;
    uint64_t *counts = calloc(DISTRIBUTION_CODES, sizeof(*counts));
    struct distribution_value *values = calloc(DISTRIBUTION_CODES, sizeof(*values));
    struct distribution distribution = {.format = DISTRIBUTION_FORMAT_F16, .counts = counts};
    assert_int_equal(distribution_values(&distribution, values), 0);
    counts[order(0x0000)] = 2;
    counts[order(0x8000)] = 3;
    counts[order(0x3c00)] = 4;
    counts[order(0x7c00)] = 5;
    counts[order(0xfc00)] = 6;
    counts[order(0x7e01)] = 7;
    counts[order(0xfe00)] = 8;
    assert_int_equal(distribution_values(&distribution, values), 2);
    assert_near(values[0].value, 0, 0);
    assert_false(signbit(values[0].value));
    assert_int_equal(values[0].count, 5);
    struct distribution_census census = distribution_census_of(&distribution);
    assert_int_equal(census.elements, 35);
    assert_int_equal(census.finite, 9);
    assert_int_equal(census.nan, 15);
    assert_int_equal(census.positive_inf, 5);
    assert_int_equal(census.negative_inf, 6);
    assert_int_equal(census.zero, 5);
    free(counts);
    free(values);
}

static void test_quantiles(void **state)
{
    (void)state;
    const struct distribution_value values[] = {{-1, 10}, {0, 80}, {2, 10}};
    assert_near(distribution_quantile(values, 3, 0), -1, 0);
    assert_near(distribution_quantile(values, 3, 0.1), -1, 0);
    assert_near(distribution_quantile(values, 3, 0.11), 0, 0);
    assert_near(distribution_quantile(values, 3, 0.9), 0, 0);
    assert_near(distribution_quantile(values, 3, 1), 2, 0);
    assert_true(isnan(distribution_quantile(values, 0, 0.5)));
    assert_near(distribution_share_below(values, 3, 1), 0.8, 1e-15);
    assert_near(distribution_share_below(values, 3, 1.5), 0.9, 1e-15);
}

static void test_wasserstein(void **state)
{
    (void)state;
    const struct distribution_value a[] = {{0, 1}, {1, 1}};
    const struct distribution_value b[] = {{5, 7}, {6, 7}};
    const struct distribution_value c[] = {{0, 3}, {1, 1}};
    assert_near(distribution_wasserstein1(a, 2, a, 2), 0, 0);
    assert_near(distribution_wasserstein1(a, 2, b, 2), 5, 1e-15);
    assert_near(distribution_wasserstein1(b, 2, a, 2), 5, 1e-15);
    assert_near(distribution_wasserstein1(a, 2, c, 2), 0.25, 1e-15);
    assert_true(isnan(distribution_wasserstein1(a, 2, b, 0)));
}

static void test_bins(void **state)
{
    (void)state;
    const struct distribution_value values[] = {{-9, 1}, {0, 2}, {0.5, 4}, {0.99, 8}, {1, 16}};
    uint64_t bins[2];
    distribution_bins(values, 5, 0, 1, bins, 2);
    assert_int_equal(bins[0], 3);
    assert_int_equal(bins[1], 28);
}

static void test_summary(void **state)
{
    (void)state;
    uint64_t *counts = calloc(DISTRIBUTION_CODES, sizeof(*counts));
    struct summary_input input = {.distribution = {.format = DISTRIBUTION_FORMAT_F16, .counts = counts}};
    struct summary summary;
    struct err err = ERR_INIT;
    assert_int_equal(summary_compute(&input, &summary, &err), 0); /* nothing at all */
    assert_int_equal(summary.elements, 0);
    assert_true(isnan(summary.mean) && isnan(summary.dip) && isnan(summary.ashman_d) &&
                isnan(summary.minimum));
    counts[order(0x3c00)] = 1000; /* one value */
    assert_int_equal(summary_compute(&input, &summary, &err), 0);
    assert_near(summary.mean, 1, 0);
    assert_near(summary.variance, 0, 0);
    assert_true(isnan(summary.bimodality) && isnan(summary.ashman_d));
    assert_near(summary.dip, 0, 0);
    counts[order(0xbc00)] = 1000; /* two values */
    assert_int_equal(summary_compute(&input, &summary, &err), 0);
    assert_near(summary.bimodality, 1, 5e-3);
    assert_near(summary.dip, 0.25, 1e-15);
    assert_true(summary.ashman_d > 100);
    assert_true(summary.valley_to_peak < 0.01);
    assert_near(summary.mixture_weight, 0.5, 1e-6);
    assert_near(summary.mixture_mean1, -1, 1e-6);
    assert_near(summary.quantiles[SUMMARY_QUANTILE_50], -1, 0);
    free(counts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes),     cmocka_unit_test(test_names),       cmocka_unit_test(test_values),
        cmocka_unit_test(test_quantiles), cmocka_unit_test(test_wasserstein), cmocka_unit_test(test_bins),
        cmocka_unit_test(test_summary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
