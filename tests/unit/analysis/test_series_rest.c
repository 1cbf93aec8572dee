/* Rest: against the definition computed the slow way, and on runs whose answer is plain. */
#include "daemon/analysis/series.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define POINTS_MAX 160

static struct series_point points[POINTS_MAX];

/* A measured revision whose displacement from the last one is `rate` for each step. */
static void set_point(size_t at, double step, double rate)
{
    points[at] = (struct series_point){.step = step, .content = at + 1, .is_measured = 1};
    points[at].perplexity = points[at].perplexity_stderr = (double)NAN;
    for (int rows = 0; rows < SERIES_ROWS_COUNT && at; rows++)
        points[at].lag1_msd[rows] = rate * (step - points[at - 1].step);
}

/* Pythia's 154 revisions, moving at rate(step). */
static size_t make_pythia(double (*rate)(double step))
{
    size_t count = 0;
    set_point(count++, 0, 0);
    for (double step = 1; step <= 512; step *= 2, count++)
        set_point(count, step, rate(step));
    for (double step = 1000; step <= 143000; step += 1000, count++)
        set_point(count, step, rate(step));
    return count;
}

static struct series_rest find(size_t count, const struct series_options *options)
{
    struct series series;
    struct err err = ERR_INIT;
    assert_int_equal(series_analyze(points, count, options, &series, &err), 0);
    struct series_rest rest = series.rest_per_step;
    series_free(&series);
    return rest;
}

static double rests_early(double step)
{
    return step < 15000 ? 1e-6 : 1e-8;
}

static double rests_late(double step)
{
    return step < 130000 ? 1e-6 : 2e-7;
}

static double slows_down(double step)
{
    return 1e-3 / step;
}

static double walks(double step)
{
    (void)step;
    return 1e-6;
}

static double begins_quickly(double step)
{
    return step <= 512 ? 1e-3 : 1e-6;
}

static double wakes_up(double step)
{
    return step < 15000 || step > 142000 ? 1e-6 : 1e-8;
}

static void test_pythia(void **state)
{
    (void)state;
    const struct {
        double (*rate)(double step);
        enum series_verdict verdict;
        double step;
    } cases[] = {
        {rests_early, SERIES_VERDICT_YES, 15000}, /* most of the revisions */
        {rests_late, SERIES_VERDICT_YES, 130000},
        {slows_down, SERIES_VERDICT_NO, 0},
        {walks, SERIES_VERDICT_NO, 0},
        {begins_quickly, SERIES_VERDICT_NO, 0},
        {wakes_up, SERIES_VERDICT_NO, 0},
    };
    struct series_options options = series_options_default();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct series_rest rest = find(make_pythia(cases[i].rate), &options);
        assert_int_equal(rest.verdict, cases[i].verdict);
        if (rest.verdict == SERIES_VERDICT_YES)
            assert_true(rest.step == cases[i].step && fabs(rest.reference - 1e-6) < 1e-18);
        else
            assert_true(isnan(rest.step) && rest.reference > 0);
    }
}

/* A rest that begins before enough has been seen to move is told from where it has. */
static void test_what_moved_before(void **state)
{
    (void)state;
    struct series_options options = series_options_default();
    for (size_t i = 0; i < 100; i++)
        set_point(i, 1000.0 * (double)i, i <= 4 ? 1e-6 : 1e-8);
    struct series_rest rest = find(100, &options); /* 4 of 99 steps are under a twentieth */
    assert_int_equal(rest.verdict, SERIES_VERDICT_YES);
    assert_true(rest.step == 6000);
    options.rest_moved_share = 0;
    assert_true(find(100, &options).step == 5000);
    options.points_min = 9; /* then the median before would be a rest's own */
    assert_int_equal(find(100, &options).verdict, SERIES_VERDICT_NO);
    assert_int_equal(find(4, &options).verdict, SERIES_VERDICT_INSUFFICIENT);
}

/* Checkpoints that lie closer together later on: a steady drift, whose displacement grows with the square of
 * the time, does not come to rest by that; what ends does. */
static void test_closer_checkpoints(void **state)
{
    (void)state;
    struct series_options options = series_options_default();
    for (int ends = 0; ends < 2; ends++) {
        double step = 0;
        for (size_t i = 0; i < 40; i++) {
            double gap = i <= 12 ? 8000 : 1000, share = ends && i > 12 ? 0.01 : 1;
            step += i ? gap : 0;
            set_point(i, step, 1e-9 * gap * share);
        }
        struct series_rest rest = find(40, &options);
        assert_int_equal(rest.verdict, ends ? SERIES_VERDICT_YES : SERIES_VERDICT_NO);
        assert_true(!ends || rest.step == 12 * 8000 + 1000);
    }
}

static double random_unit(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005U + 1442695040888963407U;
    return (double)(*seed >> 11) / 9007199254740992.0;
}

/* The smallest rate that is not exceeded in at least half of the steps of points 1..end-1. */
static double slow_median(const double *rates, size_t end)
{
    double best = (double)INFINITY;
    for (size_t i = 1; i < end; i++) {
        double within = 0, all = 0;
        for (size_t k = 1; k < end; k++) {
            double steps = points[k].step - points[k - 1].step;
            all += steps;
            within += rates[k] <= rates[i] ? steps : 0;
        }
        if (2 * within >= all && rates[i] < best)
            best = rates[i];
    }
    return best;
}

static int slow_is_small(const double *rates, size_t at, size_t count, double share)
{
    double largest = 0;
    for (size_t i = at; i < count; i++)
        largest = fmax(largest, rates[i]);
    return largest <= share * slow_median(rates, at);
}

static double slow_rest(const double *rates, size_t count, const struct series_options *options)
{
    double paces[POINTS_MAX] = {0};
    for (size_t i = 1; i < count; i++)
        paces[i] = rates[i] / (points[i].step - points[i - 1].step);
    for (size_t at = 1 + (size_t)options->points_min; at + (size_t)options->rest_points <= count; at++) {
        if (points[at - 1].step >= options->rest_moved_share * points[count - 1].step &&
            slow_is_small(rates, at, count, options->rest_share) &&
            slow_is_small(paces, at, count, options->rest_share))
            return points[at].step;
    }
    return (double)NAN;
}

static void test_against_the_slow_way(void **state)
{
    (void)state;
    struct series_options options = series_options_default();
    uint64_t seed = 3;
    int found = 0;
    for (int round = 0; round < 300; round++) {
        double rates[POINTS_MAX] = {0}, step = 0, fall = 0.2 * random_unit(&seed);
        size_t count = 8 + (size_t)(random_unit(&seed) * 60);
        for (size_t i = 0; i < count; i++) {
            double level = exp(-fall * (double)i) * (random_unit(&seed) < 0.5 ? 1 : 2);
            set_point(i, step, ldexp(level, -20));
            rates[i] = i ? points[i].lag1_msd[0] / (step - points[i - 1].step) : 0;
            step += 1 + floor(999 * random_unit(&seed));
        }
        double expected = slow_rest(rates, count, &options);
        struct series_rest rest = find(count, &options);
        assert_int_equal(rest.verdict, isnan(expected) ? SERIES_VERDICT_NO : SERIES_VERDICT_YES);
        assert_true(isnan(expected) ? isnan(rest.step) : rest.step == expected);
        found += !isnan(expected);
    }
    assert_in_range(found, 50, 280); /* both answers are met */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pythia),
        cmocka_unit_test(test_what_moved_before),
        cmocka_unit_test(test_closer_checkpoints),
        cmocka_unit_test(test_against_the_slow_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
