/* Where perplexity falls, where training diverges, and where it cools down. */
#include "tests/unit/analysis/near.h"
#include "tests/unit/analysis/series_points.h"

static void test_fall_beside_onset(void **state)
{
    (void)state;
    struct series_point points[POINTS];
    fill(points);
    for (size_t i = 0; i < POINTS; i++) {
        points[i].perplexity = i < 10 ? 1000 : 10;
        if (i >= 10)
            set_shape(&points[i], &two_modes);
    }
    struct series series = analyze(points, POINTS, NULL);
    assert_near(series.fall.step_from, 9000, 0);
    assert_near(series.fall.step_to, 11000, 0); /* 10000 is less than a factor of 1.2 behind */
    assert_true(series.fall.is_beside_onset);
    assert_true(fabs(series.fall.ln_ratio_to_onset) < 0.1);
    series_free(&series);
    for (size_t i = 0; i < POINTS; i++) { /* a thinned sweep: one measured revision beside it, three steps */
        points[i].is_measured = i % 3 == 0;
        points[i].content = points[i].is_measured ? i + 1 : 0;
        points[i].perplexity = !points[i].is_measured ? (double)NAN : i < 9 ? 1000 : 10;
        set_shape(&points[i], i < 12 ? &one_mode : &two_modes);
    }
    series = analyze(points, POINTS, NULL);
    assert_near(series.fall.step_to, 9000, 0);
    assert_near(onset_of(&series)->step, 12000, 0);
    assert_true(series.fall.is_beside_onset);
    series_free(&series);
    for (size_t i = 12; i < 15; i++) /* two measured revisions beside it */
        set_shape(&points[i], &one_mode);
    series = analyze(points, POINTS, NULL);
    assert_near(onset_of(&series)->step, 15000, 0);
    assert_false(series.fall.is_beside_onset);
    series_free(&series);
}

/* Where revisions lie close, a perplexity that goes up and down falls steeper than by learning. */
static void test_fall_is_no_fluctuation(void **state)
{
    (void)state;
    struct series_point points[POINTS];
    struct series series;
    fill(points);
    for (size_t i = 0; i < POINTS; i++) {
        points[i].step = i < 12 ? pow(2, (double)i) : 100000 + 1000 * (double)(i - 12);
        points[i].perplexity = i < 9 ? 1e6 : i == 9 ? 1e5 : 100 * (1 + 0.03 * (double)(i % 2));
    }
    series = analyze(points, POINTS, NULL);
    assert_near(series.fall.step_from, 512, 0);
    assert_near(series.fall.step_to, 1024, 0);
    series_free(&series);
    series = analyze(&points[12], POINTS - 12, NULL); /* no two are far apart: the first and the last */
    assert_int_equal(series.fall.verdict, SERIES_VERDICT_NO);
    assert_true(isnan(series.fall.slope));
    series_free(&series);
    for (size_t i = 12; i < POINTS; i++)
        points[i].perplexity = 200 - 5 * (double)(i - 12);
    series = analyze(&points[12], POINTS - 12, NULL);
    assert_int_equal(series.fall.verdict, SERIES_VERDICT_YES);
    assert_near(series.fall.step_to - series.fall.step_from, 11000, 0);
    series_free(&series);
}

/* Of many that only go up and down, some are less than all before them. */
static void test_what_only_fluctuates_does_not_fall(void **state)
{
    enum { COUNT = 154, RUNS = 20 };
    static struct series_point points[COUNT];
    int falls[2] = {0};
    uint64_t seed = 5;
    (void)state;
    for (int run = 0; run < 2 * RUNS; run++) {
        int is_learning = run >= RUNS;
        for (size_t i = 0; i < COUNT; i++) {
            double noise = -0.1;
            for (int k = 0; k < 2; k++, seed = seed * 6364136223846793005U + 1442695040888963407U)
                noise += 0.1 * (double)(seed >> 40) / 0x1p24;
            points[i] = (struct series_point){.step = 1000 * (double)i, .perplexity = 10 * exp(2 * noise)};
            if (is_learning) /* slowly: between no two that are near each other by more than it fluctuates */
                points[i].perplexity *= exp(-0.1 * log1p(points[i].step));
        }
        struct series series = analyze(points, COUNT, NULL);
        falls[is_learning] += series.fall.verdict == SERIES_VERDICT_YES;
        series_free(&series);
    }
    assert_int_equal(falls[0], 0);
    assert_int_equal(falls[1], RUNS);
}

/* The best of many that fluctuate is no best: late harm is that of a few in a row. */
static void test_late_harm_is_no_fluctuation(void **state)
{
    enum { COUNT = 160 };
    static struct series_point points[COUNT];
    struct series series;
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        points[i] = (struct series_point){.step = 1000 * (double)i, .content = i + 1, .is_measured = 1};
        points[i].perplexity = i == 100 ? 9.7 : i + 1 == COUNT ? 10.3 : 10 + 100 * exp(-(double)i);
    }
    series = analyze(points, COUNT, NULL);
    assert_near(series.stop.perplexity_best, 9.7, 0);
    assert_false(series.stop.cautions & SERIES_CAUTION_LATE_HARM);
    series_free(&series);
    for (size_t i = 120; i < COUNT; i++)
        points[i].perplexity = 10.6;
    series = analyze(points, COUNT, NULL);
    assert_true(series.stop.cautions & SERIES_CAUTION_LATE_HARM);
    series_free(&series);
    series = analyze(points, 121, NULL); /* the last alone is not enough of so many */
    assert_false(series.stop.cautions & SERIES_CAUTION_LATE_HARM);
    series_free(&series);
}

/* Perplexities of small models fluctuate by a tenth and more: an end above the best is harm only beyond that.
 */
static void test_late_harm_is_beyond_the_fluctuation(void **state)
{
    enum { COUNT = 154 };
    static struct series_point points[COUNT];
    uint64_t seed = 3;
    (void)state;
    for (int rise = 0; rise < 2; rise++) {
        for (size_t i = 0; i < COUNT; i++) {
            double noise = -0.1;
            for (int k = 0; k < 2; k++, seed = seed * 6364136223846793005U + 1442695040888963407U)
                noise += 0.1 * (double)(seed >> 40) / 0x1p24;
            points[i] = (struct series_point){.step = 1000 * (double)i, .perplexity = 10 * exp(2 * noise)};
            points[i].perplexity *= 1 + 0.5 * rise * (double)i / COUNT + 100 * exp(-(double)i);
        }
        struct series series = analyze(points, COUNT, NULL);
        assert_near(series.stop.fluctuation, 0.0816, 0.015);
        assert_int_equal((series.stop.cautions & SERIES_CAUTION_LATE_HARM) != 0, rise);
        series_free(&series);
    }
}

/* A spike among the first revisions (EleutherAI's pythia-12b-deduped, step 8: 6.7e8) is left, not fallen
 * from. */
static void test_the_way_back_from_a_spike_is_no_fall(void **state)
{
    static const double perplexities[] = {1.2e7, 1.2e7, 1.2e7, 1.15e7, 6.7e8, 2.4e7, 9e6,
                                          4.8e6, 2.4e6, 8.7e5, 1.6e5,  5.3e3, 33,    9};
    enum { COUNT = sizeof perplexities / sizeof perplexities[0] };
    struct series_point points[COUNT];
    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        points[i] =
            (struct series_point){.step = i ? pow(2, (double)i - 1) : 0, .perplexity = perplexities[i]};
    struct series series = analyze(points, COUNT, NULL);
    assert_near(series.fall.step_from, 1024, 0);
    assert_near(series.fall.step_to, 2048, 0);
    assert_true(isnan(series.stop.fluctuation) == 0);
    series_free(&series);
    series = analyze(points, 6, NULL);
    assert_int_equal(series.fall.verdict, SERIES_VERDICT_NO); /* 4 %, before it */
    assert_true(isnan(series.stop.fluctuation));
    series_free(&series);
}

/* Makes the revisions from `begin` on what they become when training diverges: not finite, or larger. */
static void diverge(struct series_point *points, size_t begin, double not_finite, double growth)
{
    struct series_shape shape = two_modes; /* of the finite rest, which may look like a fork */
    shape.variance = not_finite < 1 ? one_mode.variance * growth * growth : (double)NAN;
    for (size_t i = begin; i < POINTS; i++) {
        points[i].not_finite = not_finite;
        set_shape(&points[i], &shape);
    }
}

static void check_divergence(const struct series *series, double step, double onset)
{
    int is_found = !isnan(step);
    assert_int_equal(series->divergence.is_found, is_found);
    assert_int_equal((series->stop.cautions & SERIES_CAUTION_DIVERGED) != 0, is_found);
    assert_int_equal(series->counted, is_found ? (size_t)(step / 1000) : POINTS);
    if (is_found) {
        assert_near(series->divergence.step, step, 0);
        assert_int_equal(series->divergence.index, (size_t)(step / 1000));
        assert_false(series->derived[series->divergence.index].is_counted);
    }
    assert_int_equal(onset_of(series)->verdict, isnan(onset) ? SERIES_VERDICT_NO : SERIES_VERDICT_YES);
    if (!isnan(onset)) {
        assert_near(onset_of(series)->step, onset, 0);
        assert_true(onset_of(series)->is_lasting); /* as long as there was something to be forked */
    }
}

static void test_divergence(void **state)
{
    static const struct {
        size_t begin;
        double not_finite, growth, step, onset;
    } cases[] = {
        {POINTS, 0, 1, (double)NAN, (double)NAN},
        {20, 1, 1, 20000, (double)NAN},
        {20, 1e-6, 1, 20000, (double)NAN}, /* one NaN is enough */
        {20, 0, 1000, 20000, (double)NAN}, /* its two modes are no fork of a model that learns */
        {23, 0, 1000, 23000, (double)NAN},
        {7, 0, 1000, 7000, (double)NAN}, /* for most of the run */
        {20, 0, 90, (double)NAN, 20000}, /* large, but no more than a sound run may become */
        {20, 0, 101, 20000, (double)NAN},
        {20, 0, 1e-3, (double)NAN, 20000}, /* nor does a run that shrinks */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct series_point points[POINTS];
        fill(points);
        diverge(points, cases[i].begin, cases[i].not_finite, cases[i].growth);
        struct series series = analyze(points, POINTS, NULL);
        check_divergence(&series, cases[i].step, cases[i].onset);
        series_free(&series);
    }
}

/* What was found before training diverged holds; what only looks like it, in between or at the start, is
 * none. */
static void test_divergence_beside_a_fork(void **state)
{
    struct series_point points[POINTS];
    struct series series;
    (void)state;
    fill(points);
    for (size_t i = 10; i < POINTS; i++)
        set_shape(&points[i], &two_modes);
    diverge(points, 21, 1, 1);
    series = analyze(points, POINTS, NULL);
    check_divergence(&series, 21000, 10000);
    series_free(&series);
    points[POINTS - 1].is_measured = 0; /* to the last measured one */
    series = analyze(points, POINTS, NULL);
    check_divergence(&series, 21000, 10000);
    series_free(&series);
    fill(points);
    points[12].not_finite = 0.5;                                        /* a file that is spoilt */
    points[0].shapes[SERIES_ROWS_TOKENS][SERIES_VIEW_RAW].variance = 0; /* weights that begin as zeros */
    series = analyze(points, POINTS, NULL);
    check_divergence(&series, (double)NAN, (double)NAN);
    series_free(&series);
    fill(points);
    for (size_t i = 0; i < POINTS; i++) { /* weights that begin as zeros, looked at while they grow */
        points[i].shapes[SERIES_ROWS_TOKENS][SERIES_VIEW_RAW].mean = 0;
        points[i].shapes[SERIES_ROWS_TOKENS][SERIES_VIEW_RAW].variance = 0.01 * pow(4, (double)i - POINTS);
    }
    series = analyze(points, POINTS, NULL);
    check_divergence(&series, (double)NAN, (double)NAN);
    series_free(&series);
    diverge(points, 0, 1, 1);
    series = analyze(points, POINTS, NULL);
    assert_true(series.divergence.is_found && series.counted == 0);
    assert_int_equal(onset_of(&series)->verdict, SERIES_VERDICT_INSUFFICIENT);
    assert_int_equal(series.stop.verdict, SERIES_VERDICT_INSUFFICIENT);
    series_free(&series);
}

/* A walk of which the last third is a cool-down: for each step it comes to rest, which its schedule made. */
static void test_cool_down_is_the_schedules(void **state)
{
    (void)state;
    struct series_point points[POINTS];
    struct series_options options = series_options_default();
    const struct schedule wsd = {.kind = SCHEDULE_KIND_WSD,
                                 .rate_max = 1e-3,
                                 .warmup_steps = 500,
                                 .stable_until = 15000,
                                 .end_step = 23000};
    fill(points);
    for (size_t i = 0; i < POINTS; i++) {
        double step = points[i].step, walked = 0;
        for (double update = i ? points[i - 1].step : 0; update < step; update++)
            walked += pow(schedule_rate(&wsd, update), 2);
        for (int rows = 0; rows < SERIES_ROWS_COUNT; rows++)
            points[i].lag1_msd[rows] = walked;
        points[i].perplexity = 20;
        if (i >= 8)
            set_shape(&points[i], &two_modes);
    }
    struct series series = analyze(points, POINTS, &options);
    assert_int_equal(series.rest_per_step.verdict, SERIES_VERDICT_YES);
    assert_int_equal(series.stop.verdict, SERIES_VERDICT_YES); /* with a caution: the schedule is not known */
    assert_true(series.stop.cautions & SERIES_CAUTION_SCHEDULE);
    series_free(&series);
    options.schedule = wsd;
    series = analyze(points, POINTS, &options);
    assert_int_equal(series.rest_per_step.verdict, SERIES_VERDICT_YES);
    assert_true(series.rest_per_step.step > 15000);
    assert_int_equal(series.rest_per_lr_squared.verdict, SERIES_VERDICT_NO);
    assert_true(series.controls & SERIES_CONTROL_SCHEDULE);
    assert_int_equal(series.stop.verdict, SERIES_VERDICT_NO);
    series_free(&series);
}

/* A fork that closes and comes back is one for good from there on only, and so is what can be stopped. */
static void test_a_fork_that_comes_back(void **state)
{
    (void)state;
    struct series_point points[POINTS];
    fill(points);
    for (size_t i = 0; i < POINTS; i++) {
        points[i].perplexity = 20;
        if ((i >= 6 && i < 10) || i >= 16)
            set_shape(&points[i], &two_modes);
        for (int rows = 0; i >= 11 && rows < SERIES_ROWS_COUNT; rows++)
            points[i].lag1_msd[rows] = 1e-5;
    }
    struct series series = analyze(points, POINTS, NULL);
    assert_near(onset_of(&series)->step, 6000, 0);
    assert_near(onset_of(&series)->step_lost, 10000, 0);
    assert_true(onset_of(&series)->is_lasting);
    assert_near(onset_of(&series)->step_lasting, 16000, 0);
    assert_near(series.rest_per_step.step, 11000, 0);
    assert_int_equal(series.stop.verdict, SERIES_VERDICT_YES);
    assert_near(series.stop.step, 16000, 0);
    series_free(&series);
    for (size_t i = 20; i < POINTS; i++)
        set_shape(&points[i], &one_mode);
    series = analyze(points, POINTS, NULL);
    assert_false(onset_of(&series)->is_lasting);
    assert_near(onset_of(&series)->step_lost, 10000, 0);
    assert_true(isnan(onset_of(&series)->step_lasting));
    assert_int_equal(series.stop.verdict, SERIES_VERDICT_NO);
    series_free(&series);
}

/* Revisions of which nothing is finite neither begin a fork nor end one, and do not bound where it began. */
static void test_a_fork_beside_nan(void **state)
{
    static const struct {
        size_t begin, end;
        double step, before;
    } cases[] = {{10, 12, 8000, 7000}, {8, 9, 9000, 7000}, {9, 11, 8000, 7000}, {7, 9, 9000, 6000}};
    (void)state;
    for (size_t which = 0; which < sizeof cases / sizeof cases[0]; which++) {
        struct series_point points[POINTS];
        struct series_shape none = {.mean = NAN, .variance = NAN, .dip = NAN, .valley_to_peak = NAN};
        fill(points);
        for (size_t i = 0; i < POINTS; i++) {
            int is_none = i >= cases[which].begin && i < cases[which].end;
            points[i].not_finite = is_none;
            set_shape(&points[i], is_none ? &none : i >= 8 ? &two_modes : &one_mode);
        }
        struct series series = analyze(points, POINTS, NULL);
        assert_near(onset_of(&series)->step, cases[which].step, 0);
        assert_near(onset_of(&series)->step_before, cases[which].before, 0);
        assert_true(onset_of(&series)->is_lasting && isnan(onset_of(&series)->step_lost));
        series_free(&series);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fall_beside_onset),
        cmocka_unit_test(test_fall_is_no_fluctuation),
        cmocka_unit_test(test_what_only_fluctuates_does_not_fall),
        cmocka_unit_test(test_late_harm_is_no_fluctuation),
        cmocka_unit_test(test_late_harm_is_beyond_the_fluctuation),
        cmocka_unit_test(test_the_way_back_from_a_spike_is_no_fall),
        cmocka_unit_test(test_divergence),
        cmocka_unit_test(test_divergence_beside_a_fork),
        cmocka_unit_test(test_cool_down_is_the_schedules),
        cmocka_unit_test(test_a_fork_that_comes_back),
        cmocka_unit_test(test_a_fork_beside_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
