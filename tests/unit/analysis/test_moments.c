/* Moments and the bimodality coefficient: known values, merging, cancelling means, what is not defined. */
#include "daemon/analysis/moments.h"

#include "daemon/analysis/columns.h"
#include "tests/unit/analysis/density.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/analysis/near.h"

static double bimodality_of(double (*below)(const void *, double), const void *context, double low,
                            double high)
{
    size_t count = 0;
    struct distribution_value *values = density_values(below, context, low, high, &count);
    assert_non_null(values);
    struct moments_sums sums = distribution_sums(values, count);
    free(values);
    return moments_of(&sums).bimodality;
}

static void test_bimodality_of_mixtures(void **state)
{
    (void)state;
    const double distances[] = {0, 1, 2, 2.5, 3, 3.5, 3.71, 4, 6};
    for (size_t i = 0; i < sizeof(distances) / sizeof(distances[0]); i++) {
        struct density density = {.weight = 0.5, .distance = distances[i]};
        double a = distances[i] / 2, square = a * a;
        double expected = (1 + square) * (1 + square) / (3 + 6 * square + square * square);
        assert_near(bimodality_of(mixture_below, &density, -12, 12), expected, 1e-5);
    }
    /* The table of the survey, which was simulated. */
    struct density density = {.weight = 0.5, .distance = 2.5};
    assert_near(bimodality_of(mixture_below, &density, -12, 12), 0.442, 2e-3);
    density.distance = 3;
    assert_near(bimodality_of(mixture_below, &density, -12, 12), 0.491, 2e-3);
    density.distance = 3.5;
    assert_near(bimodality_of(mixture_below, &density, -12, 12), 0.536, 2e-3);
    density = (struct density){.weight = 0.1, .distance = 4};
    assert_near(bimodality_of(mixture_below, &density, -12, 12), 0.514, 2e-3);
}

static void test_bimodality_of_others(void **state)
{
    (void)state;
    assert_near(bimodality_of(uniform_below, NULL, -1.5, 1.5), 5.0 / 9, 1e-4);
    assert_near(bimodality_of(exponential_below, NULL, -1, 40), 5.0 / 9, 4e-3); /* .556 with fine bins */
    assert_near(bimodality_of(laplace_below, NULL, -40, 40), 0.1667, 2e-3);
}

static void test_small_samples(void **state)
{
    (void)state;
    struct moments_sums sums = {.count = 4, .mean = 0, .m2 = 4, .m3 = 0, .m4 = 4}; /* -1, -1, 1, 1 */
    struct moments moments = moments_of(&sums);
    assert_near(moments.variance, 1, 0);
    assert_near(moments.skewness, 0, 0);
    assert_near(moments.kurtosis, -6, 1e-12); /* scipy.stats.kurtosis([-1, -1, 1, 1], bias=False) */
    assert_near(moments.bimodality, 1 / 7.5, 1e-12);
    assert_near(moments_bimodality(0, -6, 4), 1 / 7.5, 1e-12);
    assert_true(isnan(moments_bimodality(0, -6, 3))); /* the correction divides by n - 3 */
    sums.count = 3;
    assert_true(isnan(moments_of(&sums).kurtosis));
    assert_true(isnan(moments_of(&sums).bimodality));
    assert_false(isnan(moments_of(&sums).skewness));
    sums = (struct moments_sums){.count = 9, .mean = 3};
    assert_true(isnan(moments_of(&sums).skewness));
    assert_near(moments_of(&sums).variance, 0, 0);
    sums = (struct moments_sums){0};
    assert_true(isnan(moments_of(&sums).mean));
}

static struct moments_sums sums_of(const double *values, size_t count)
{
    struct distribution_value pairs[16];
    assert_true(count <= 16);
    for (size_t i = 0; i < count; i++)
        pairs[i] = (struct distribution_value){.value = values[i], .count = 1};
    return distribution_sums(pairs, count);
}

static void assert_sums_equal(const struct moments_sums *a, const struct moments_sums *b)
{
    assert_int_equal(a->count, b->count);
    assert_near(a->mean, b->mean, 1e-13);
    assert_near(a->m2, b->m2, 1e-11);
    assert_near(a->m3, b->m3, 1e-10);
    assert_near(a->m4, b->m4, 1e-9);
}

static void test_pool(void **state)
{
    (void)state;
    const double values[] = {-3, -1.5, 0.25, 1, 2, 2.5, 7, 8};
    struct moments_sums all = sums_of(values, 8), left = sums_of(values, 3), right = sums_of(values + 3, 5);
    const struct moments_sums columns[2] = {left, right};
    struct moments_sums pooled = columns_pool_around(columns, 2, all.mean);
    assert_sums_equal(&pooled, &all);
    struct moments_sums centred = columns_pool_centred(columns, 2);
    assert_near(centred.m2, left.m2 + right.m2, 1e-12);
    assert_near(centred.m3, left.m3 + right.m3, 1e-12);
    assert_near(centred.m4, left.m4 + right.m4, 1e-12);
}

/* Counts beyond 2^53 / 2^11 and values that cancel to a mean of one part in 10^12. */
static void test_cancelling_mean(void **state)
{
    (void)state;
    const uint64_t many = (1ULL << 40) + 1;
    const struct distribution_value values[] = {{.value = -0.0999755859375, .count = many},
                                                {.value = 0x1p-24, .count = 1},
                                                {.value = 0.0999755859375, .count = many}};
    struct moments_sums sums = distribution_sums(values, 3);
    assert_true(sums.count == 2 * many + 1);
    assert_near(sums.mean * (double)sums.count, 0x1p-24, 1e-10 * 0x1p-24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bimodality_of_mixtures), cmocka_unit_test(test_bimodality_of_others),
        cmocka_unit_test(test_small_samples),          cmocka_unit_test(test_pool),
        cmocka_unit_test(test_cancelling_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
