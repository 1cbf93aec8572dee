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
    assert_near(distribution_code_value(DISTRIBUTION_FORMAT_F32_TOP, 0, order(0x0001)), 0x1.8p-133, 0x1p-149);
    assert_near(distribution_code_value(DISTRIBUTION_FORMAT_F32_TOP, 0, order(0x0000)), 0, 0);
    assert_near(distribution_code_value(DISTRIBUTION_FORMAT_F32_TOP, 0, order(0x8000)), 0, 0);
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

/* Where it begins, and how many of the values it holds. */
static void check_body(const struct distribution_value *values, size_t count, size_t begin, size_t size)
{
    size_t body_count = 99;
    const struct distribution_value *body = distribution_body(values, count, &body_count);
    assert_int_equal(body_count, size);
    assert_int_equal(body - values, begin);
}

static void test_body(void **state)
{
    (void)state;
    const struct distribution_value far[] = {{-100, 4}, {-1, 6}, {0, 80}, {1, 6}, {2.5, 1}, {2.51, 3}};
    const struct distribution_value many[] = {{-100, 6}, {0, 88}, {100, 6}},
                                    zeros[] = {{-1, 2}, {0, 96}, {1, 2}};
    check_body(far, 6, 1, 4);   /* quantiles -1 and 1: from -2.5 to 2.5 */
    check_body(many, 3, 0, 3);  /* more than a twentieth is a part of it */
    check_body(zeros, 3, 0, 3); /* equal quantiles: all */
    check_body(far, 1, 0, 1);
    check_body(far, 0, 0, 0);
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

/* A normal distribution's counts of bfloat16 codes, or of the upper halves of float32. */
static void fill_normal(uint64_t *counts, double deviation, double shift, double total)
{
    for (uint32_t code = 0; code < DISTRIBUTION_CODES; code++) {
        double value = distribution_code_value(DISTRIBUTION_FORMAT_BF16, 0, code);
        double next = distribution_code_value(DISTRIBUTION_FORMAT_BF16, 0, code + 1);
        double z = (value - shift) / deviation;
        if (isfinite(value) && isfinite(next) && fabs(z) < 9)
            counts[code] +=
                (uint64_t)(total * exp(-0.5 * z * z) / 2.5066282746 * (next - value) / deviation + 0.5);
    }
}

/* Pruned weights are zeros of either sign: one atom, and no two modes, in float32, too. */
static void test_zeros_of_both_signs(void **state)
{
    (void)state;
    uint64_t *counts = calloc(DISTRIBUTION_CODES, sizeof(*counts));
    struct summary one, two;
    struct err err = ERR_INIT;
    fill_normal(counts, 0.02, 0, 1e5);
    counts[order(0x0000)] = 900000;
    struct moments_sums column = {.count = 1000000, .m2 = 40, .m3 = 0, .m4 = 0.048};
    struct summary_input input = {.distribution = {.format = DISTRIBUTION_FORMAT_F32_TOP, .counts = counts},
                                  .columns = &column,
                                  .column_count = 1,
                                  .zero_count = 900000,
                                  .minimum = -0.09,
                                  .maximum = 0.09};
    assert_int_equal(summary_compute(&input, &one, &err), 0);
    counts[order(0x8000)] = 450000;
    counts[order(0x0000)] -= 450000;
    assert_int_equal(summary_compute(&input, &two, &err), 0);
    assert_true(one.dip < 1e-3);
    assert_near(two.dip, one.dip, 0);
    assert_near(two.ashman_d, one.ashman_d, 0);
    assert_near(two.valley_to_peak, one.valley_to_peak, 0);
    assert_near(two.quantiles[SUMMARY_QUANTILE_50], 0, 0);
    assert_int_equal(two.zero_count, 900000);
    assert_int_equal(distribution_census_of(&input.distribution).zero, 0);
    free(counts);
}

/* Sizes of effects have no unit and no side: 2^k times the values leave them, to the last bit where nothing
 * takes a logarithm, and so do the values from the other side. */
static void test_scaled_and_mirrored(void **state)
{
    (void)state;
    uint64_t *counts = calloc(DISTRIBUTION_CODES, sizeof(*counts)),
             *mirrored = calloc(DISTRIBUTION_CODES, sizeof(*mirrored));
    struct summary plain, scaled, mirror;
    struct err err = ERR_INIT;
    for (uint32_t bits = 0; bits < 0x7c00; bits++) { /* two modes of float16 values, one lighter */
        double value = distribution_code_value(DISTRIBUTION_FORMAT_F16, 0, order(bits));
        double width = ldexp(1, (int)(bits >> 10) - 25);
        for (int side = -1; side <= 1; side += 2) {
            double a = (side * value + 0.06) / 0.02, b = (side * value - 0.05) / 0.03;
            double density = 0.7 * exp(-0.5 * a * a) / 0.02 + 0.3 * exp(-0.5 * b * b) / 0.03;
            counts[order(bits | (side < 0 ? 0x8000U : 0))] = (uint64_t)(1e9 * density * width);
        }
    }
    for (uint32_t code = 0; code < DISTRIBUTION_CODES; code++)
        mirrored[code] = counts[DISTRIBUTION_CODES - 1 - code];
    struct summary_input input = {
        .distribution = {.format = DISTRIBUTION_FORMAT_F16_SCALED, .exponent = 0, .counts = counts}};
    assert_int_equal(summary_compute(&input, &plain, &err), 0);
    input.distribution.exponent = -9;
    assert_int_equal(summary_compute(&input, &scaled, &err), 0);
    input.distribution.exponent = 0;
    input.distribution.counts = mirrored;
    assert_int_equal(summary_compute(&input, &mirror, &err), 0);
    assert_true(plain.dip > 0.01 && plain.valley_to_peak < 0.9 && plain.ashman_d > 3);

    assert_near(scaled.mean, plain.mean * 0x1p-9, 0);
    assert_near(scaled.variance, plain.variance * 0x1p-18, 0);
    assert_near(scaled.skewness, plain.skewness, 0);
    assert_near(scaled.bimodality, plain.bimodality, 0);
    assert_near(scaled.dip, plain.dip, 0);
    assert_near(scaled.dip_low, plain.dip_low * 0x1p-9, 0);
    assert_near(scaled.sparsity, plain.sparsity, 0);
    assert_near(scaled.valley_to_peak, plain.valley_to_peak, 0);
    assert_near(scaled.ashman_d, plain.ashman_d, 1e-9);
    assert_near(scaled.mixture_weight, plain.mixture_weight, 1e-9);

    assert_near(mirror.mean, -plain.mean, 1e-17);
    assert_near(mirror.skewness, -plain.skewness, 1e-12);
    assert_near(mirror.kurtosis, plain.kurtosis, 1e-12);
    assert_near(mirror.dip, plain.dip, 1e-15);
    assert_near(mirror.dip_high, -plain.dip_low, 0);
    assert_near(mirror.sparsity, plain.sparsity, 0);
    assert_near(mirror.valley_to_peak, plain.valley_to_peak, 2e-3); /* values at the edges of bins */
    assert_near(mirror.ashman_d, plain.ashman_d, 1e-4);
    assert_near(mirror.mixture_weight, 1 - plain.mixture_weight, 1e-4);
    assert_near(mirror.delta_bic, plain.delta_bic, 1e-9 * plain.delta_bic);
    free(counts);
    free(mirrored);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_body),
        cmocka_unit_test(test_wasserstein),
        cmocka_unit_test(test_bins),
        cmocka_unit_test(test_summary),
        cmocka_unit_test(test_zeros_of_both_signs),
        cmocka_unit_test(test_scaled_and_mirrored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
