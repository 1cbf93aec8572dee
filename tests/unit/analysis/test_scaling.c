/* The law of onset against size: what it is of, and where there is none. Its numbers are compared with
 * scipy's in tests/e2e/test_scaling_oracle.py. */
#include "daemon/analysis/scaling.h"

#include "daemon/analysis/censored.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/analysis/near.h"

static struct scaling scaling;

static struct scaling_point point(double parameters, double before, double value)
{
    return (struct scaling_point){.parameters = parameters, .before = before, .value = value};
}

static void expect_none(const struct scaling_point *points, size_t count, const char *why)
{
    struct err err = ERR_INIT;
    assert_int_equal(scaling_fit(points, count, &scaling, &err), ERR_UNSUPPORTED);
    if (!strstr(err.message, why))
        fail_msg("%s: not %s", err.message, why);
}

static void test_law(void **state)
{
    struct scaling_point points[5];
    struct err err = ERR_INIT;
    (void)state;
    for (int i = 0; i < 5; i++) {
        double size = pow(10, 7 + i * 0.5), onset = 3 * pow(size, 0.25);
        points[i] = point(size, onset * 0.999, onset * 1.001);
    }
    assert_int_equal(scaling_fit(points, 5, &scaling, &err), 0);
    assert_near(scaling.exponent, 0.25, 1e-4);
    assert_near(scaling.prefactor, 3, 0.01);
    assert_near(scaling.deviation, CENSORED_DEVIATION_MIN, 1e-6);
    assert_true(scaling.exponent_low < 0.25 && scaling.exponent_high > 0.25 &&
                scaling.exponent_high - scaling.exponent_low < 0.02);
}

/* All fork between the same two revisions: that is no onset to four digits that does not depend on size. */
static void test_ties(void **state)
{
    struct scaling_point points[8];
    struct err err = ERR_INIT;
    (void)state;
    for (int i = 0; i < 8; i++)
        points[i] = point(pow(10, 7 + i * 0.4), 256, 512);
    assert_int_equal(scaling_fit(points, 8, &scaling, &err), 0);
    assert_near(scaling.exponent, 0, 1e-6);
    assert_true(scaling.exponent_high > 0.05); /* by half from the smallest to the largest, at least */
    assert_near(scaling.exponent_low, -scaling.exponent_high, 1e-4);
}

static void test_too_few_or_too_much_alike(void **state)
{
    struct scaling_point points[30];
    (void)state;
    expect_none(NULL, 0, "there are 0");
    for (int i = 0; i < 30; i++) /* ten seeds of each size are not thirty sizes */
        points[i] = point(i < 10 ? 7e7 : i < 20 ? 1.6e8 : 4e8, 128 << i / 10, 256 << i / 10);
    expect_none(points, 20, "at least 3 sizes");
    assert_int_equal(scaling.count, 20);
    assert_int_equal(scaling.sizes, 2);
    expect_none(points, 30, "a factor of 5.71");
    const struct scaling_point alike[] = {point(1.00e9, 100, 101), point(1.01e9, 150, 151),
                                          point(1.02e9, 170, 171), point(1.5e9, 4000, 4001)};
    expect_none(alike, 4, "a law needs at least 10");
    const struct scaling_point lever[] = {point(1.00e9, 100, 101), point(1.01e9, 101, 102),
                                          point(1.02e9, 102, 103), point(2e10, 300, 301)};
    expect_none(lever, 4, "all sizes with an onset but one span a factor of 1.02");
    const struct scaling_point vague[] = {point(1e7, 100, 200), point(1e8, 500, 900), point(1e9, 100, 200),
                                          point(1e10, 1000, 2000)};
    expect_none(vague, 4, "leaves open whether the onset depends on size at all (0)");
    assert_int_equal(scaling.count, 4);
    assert_near(scaling.exponent, 0, 0);
}

/* Larger models that have not forked say that onset grows; without them the law would say that it does not.
 */
static void test_what_has_not_forked_counts(void **state)
{
    struct scaling_point points[10];
    struct err err = ERR_INIT;
    (void)state;
    for (int i = 0; i < 8; i++)
        points[i] = point(pow(10, 7 + i * 0.3), 500 + 20 * (i % 2), 530 + 20 * (i % 2));
    assert_int_equal(scaling_fit(points, 8, &scaling, &err), 0);
    assert_true(scaling.exponent_high < 0.02);
    points[8] = point(1e10, 100000, (double)NAN);
    points[9] = point(3e10, 100000, (double)NAN);
    int code = scaling_fit(points, 10, &scaling, &err);
    assert_int_equal(scaling.unforked, 2);
    assert_true(code == ERR_UNSUPPORTED || scaling.exponent_low > 0.05);
    points[8] = point(1e10, (double)NAN, 600); /* already forked at its first revision: nothing against it */
    err = (struct err)ERR_INIT;
    assert_int_equal(scaling_fit(points, 9, &scaling, &err), 0);
    assert_int_equal(scaling.unforked, 0);
    assert_near(scaling.exponent, 0, 0.01);
}

/* Of twins one of which says nothing that the other does not, the other counts. */
static void test_twins(void **state)
{
    struct scaling_point points[8];
    struct scaling alone;
    struct err err = ERR_INIT;
    (void)state;
    for (int i = 0; i < 5; i++)
        points[i] = point(pow(10, 7 + i), 100 << i, 128 << i);
    assert_int_equal(scaling_fit(points, 5, &alone, &err), 0);
    points[5] = point(1e8, (double)NAN, 54000); /* serves its last weights under its early names */
    points[6] = point(1e8, 16, (double)NAN);    /* measured up to step 16 */
    assert_int_equal(scaling_fit(points, 7, &scaling, &err), 0);
    assert_int_equal(scaling.count, 7);
    assert_int_equal(scaling.sizes, 5);
    assert_near(scaling.exponent, alone.exponent, 0);
    assert_near(scaling.exponent_high, alone.exponent_high, 0);
    points[7] = point(1e8, 143000, (double)NAN); /* but this one does */
    expect_none(points, 8, "; 2 of the 8 models have not forked so far");
}

/* Of no size, or with nothing that bounds the onset. */
static void test_no_points(void **state)
{
    struct scaling_point points[9];
    struct err err = ERR_INIT;
    (void)state;
    for (int i = 0; i < 5; i++)
        points[i] = point(pow(10, 7 + i), 100 * (i + 1), 110 * (i + 1));
    points[5] = point(0, 1, 2);
    points[6] = point((double)NAN, 1, 2);
    points[7] = point(1e9, (double)NAN, (double)NAN);
    points[8] = point(1e9, (double)NAN, 0);
    assert_int_equal(scaling_fit(points, 9, &scaling, &err), 0);
    assert_int_equal(scaling.count, 5);
    assert_int_equal(scaling.sizes, 5);
}

static void test_quantiles(void **state)
{
    (void)state;
    assert_near(censored_t_95(1), 12.706, 1e-3);
    assert_near(censored_t_95(11), 2.200985, 3e-4); /* scipy.stats.t.ppf(0.975, 11), as the next */
    assert_near(censored_t_95(20), 2.085963, 3e-5);
    assert_near(censored_t_95(1000), 1.962339, 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_law),
        cmocka_unit_test(test_ties),
        cmocka_unit_test(test_too_few_or_too_much_alike),
        cmocka_unit_test(test_what_has_not_forked_counts),
        cmocka_unit_test(test_twins),
        cmocka_unit_test(test_no_points),
        cmocka_unit_test(test_quantiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
