/* Hartigan's dip: the survey's table, points and ties that can be worked out by hand, p-values, rounding. */
#include "daemon/analysis/dip.h"

#include "tests/unit/analysis/density.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/analysis/near.h"

static struct dip measure(const struct distribution_value *values, size_t count)
{
    struct dip dip;
    struct err err = ERR_INIT;
    assert_int_equal(dip_measure(values, count, &dip, &err), 0);
    return dip;
}

static void test_mixtures(void **state)
{
    (void)state;
    const struct {
        double distance, dip, tolerance;
    } table[] = {
        {2.1, 2.7e-4, 1e-5}, {2.5, 0.0044, 3e-4}, {3, 0.0163, 3e-4}, {4, 0.046, 1e-3}, {5, 0.072, 1e-3}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct density density = {.weight = 0.5, .distance = table[i].distance};
        size_t count = 0;
        struct distribution_value *values = density_values(mixture_below, &density, -12, 12, &count);
        struct dip dip = measure(values, count);
        assert_near(dip.dip, table[i].dip, table[i].tolerance);
        assert_true(dip.low <= dip.high);
        free(values);
    }
}

/* One mode: nothing but the grid, whose counts are atoms. */
static void test_one_mode(void **state)
{
    (void)state;
    size_t count = 0;
    struct distribution_value *values = density_values(laplace_below, NULL, -40, 40, &count);
    assert_true(measure(values, count).dip < 1.1e-3);
    free(values);
    struct density density = {.weight = 0.5, .distance = 0};
    values = density_values(mixture_below, &density, -12, 12, &count);
    assert_true(measure(values, count).dip < 3e-4);
    free(values);
}

static void test_by_hand(void **state)
{
    (void)state;
    const struct distribution_value one[] = {{3, 50}};
    const struct distribution_value two[] = {{0, 50}, {1, 50}};
    const struct distribution_value uneven[] = {{0, 90}, {1, 10}};
    const struct distribution_value atom[] = {{-1, 5}, {0, 100}, {1, 5}};
    const struct distribution_value points[] = {{1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}};
    assert_near(measure(one, 1).dip, 0, 0);
    assert_near(measure(two, 2).dip, 0.25, 1e-15);
    assert_near(measure(uneven, 2).dip, 0.05, 1e-15);
    assert_near(measure(atom, 3).dip, 5.0 / 220, 1e-15);
    assert_near(measure(points, 5).dip, 0.1, 1e-15); /* 1 / (2 n) */
    assert_true(isnan(measure(points, 0).dip));
}

/* Mirroring the values changes nothing. */
static void test_symmetry(void **state)
{
    (void)state;
    struct distribution_value values[60], mirrored[60];
    uint64_t seed = 7;
    for (int round = 0; round < 200; round++) {
        double at = 0;
        for (size_t i = 0; i < 60; i++) {
            seed = seed * 6364136223846793005U + 1442695040888963407U;
            at += 1 + (double)(seed >> 60);
            values[i] = (struct distribution_value){.value = at, .count = 1 + (seed >> 40 & 15)};
        }
        for (size_t i = 0; i < 60; i++)
            mirrored[i] =
                (struct distribution_value){.value = -values[59 - i].value, .count = values[59 - i].count};
        assert_near(measure(values, 60).dip, measure(mirrored, 60).dip, 1e-14);
    }
}

static void test_p_value(void **state)
{
    (void)state;
    assert_near(dip_p_value(0.3785), 0.5, 1e-12);
    assert_near(dip_p_value(0.5452), 0.05, 1e-12);
    assert_near(dip_p_value(0.6327), 0.01, 1e-12);
    assert_near(dip_p_value(0), 1, 0);
    assert_near(dip_p_value(5), 1e-4, 0);
    assert_true(isnan(dip_p_value((double)NAN)));
    for (double x = 0; x < 1; x += 0.01)
        assert_true(dip_p_value(x) >= dip_p_value(x + 0.01));
}

/* What rounding a Gaussian to 16 bits alone does to the dip: the reason why thresholds are where they are. */
static void test_rounding_noise(void **state)
{
    (void)state;
    const struct {
        enum distribution_format format;
        double low, high;
    } cases[] = {{DISTRIBUTION_FORMAT_F16, 0.4e-4, 3e-4}, {DISTRIBUTION_FORMAT_BF16, 3e-4, 1.6e-3}};
    for (size_t k = 0; k < 2; k++) {
        uint64_t *counts = calloc(DISTRIBUTION_CODES, sizeof(*counts));
        struct distribution_value *values = calloc(DISTRIBUTION_CODES, sizeof(*values));
        for (uint32_t code = 1; code + 1 < DISTRIBUTION_CODES; code++) {
            double before = distribution_code_value(cases[k].format, 0, code - 1);
            double here = distribution_code_value(cases[k].format, 0, code);
            double after = distribution_code_value(cases[k].format, 0, code + 1);
            if (!isfinite(before) || !isfinite(after))
                continue;
            double share =
                normal_below((here + after) / 2 / 0.028) - normal_below((before + here) / 2 / 0.028);
            counts[code] = (uint64_t)(share * 1e12 + 0.5);
        }
        struct distribution distribution = {.format = cases[k].format, .counts = counts};
        size_t count = distribution_values(&distribution, values);
        double dip = measure(values, count).dip;
        assert_true(dip > cases[k].low && dip < cases[k].high);
        free(counts);
        free(values);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mixtures), cmocka_unit_test(test_one_mode),
        cmocka_unit_test(test_by_hand),  cmocka_unit_test(test_symmetry),
        cmocka_unit_test(test_p_value),  cmocka_unit_test(test_rounding_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
