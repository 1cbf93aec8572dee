/* Verdicts over a run: hand-made series for each rule, synthetic runs for the whole. */
#include "daemon/analysis/series.h"

#include "tests/bench/training_runs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/analysis/near.h"
#include "tests/unit/analysis/series_points.h"

static void test_diffusion(void **state)
{
    (void)state;
    struct series_point points[POINTS];
    fill(points);
    struct series series = analyze(points, POINTS, NULL);
    assert_int_equal(onset_of(&series)->verdict, SERIES_VERDICT_NO);
    assert_int_equal(series.counted, POINTS);
    assert_near(series.derived[10].alpha, 1, 1e-9);
    assert_true(isnan(series.derived[0].alpha));
    assert_near(series.derived[5].rate_per_step, 1e-6, 1e-15);
    assert_true(isnan(series.derived[5].rate_per_lr));
    assert_int_equal(series.rest_per_step.verdict, SERIES_VERDICT_NO);
    assert_int_equal(series.stop.verdict, SERIES_VERDICT_NO);
    assert_true(series.stop.cautions & SERIES_CAUTION_NO_ONSET);
    assert_int_equal(series.fall.verdict, SERIES_VERDICT_YES);
    assert_near(series.fall.slope, 1, 1e-6);
    assert_int_equal(series.decay.verdict, SERIES_VERDICT_INSUFFICIENT);
    series_free(&series);
}

static void test_repetitions(void **state)
{
    (void)state;
    struct series_point points[POINTS];
    fill(points);
    points[1].content = points[0].content; /* no update yet: step 1 is left out, step 0 stays */
    for (size_t i = 10; i < POINTS; i++)
        set_shape(&points[i], &two_modes);
    for (size_t i = 3; i < 6; i++) { /* early names that serve the final weights */
        points[i].content = points[POINTS - 1].content;
        set_shape(&points[i], &two_modes);
    }
    struct series series = analyze(points, POINTS, NULL);
    assert_int_equal(series.counted, POINTS - 4);
    assert_true(series.derived[0].is_counted && !series.derived[1].is_counted &&
                !series.derived[4].is_counted);
    assert_true(series.derived[POINTS - 1].is_counted);
    assert_near(onset_of(&series)->step, 10000, 0);
    assert_true(series.controls & SERIES_CONTROL_DUPLICATES);
    assert_true(isnan(series.derived[6].rate_per_step));  /* its reference is a false revision */
    assert_false(isnan(series.derived[2].rate_per_step)); /* step 1 stands for step 0 */
    assert_false(series.stop.cautions & SERIES_CAUTION_FIRST_IS_SUSPECT);
    series_free(&series);
    points[0].content = points[POINTS - 1].content;
    series = analyze(points, POINTS, NULL);
    assert_true(series.stop.cautions & SERIES_CAUTION_FIRST_IS_SUSPECT);
    series_free(&series);
    /* The last one is not measured: which of the others is right, nothing says, and the earliest counts. */
    fill(points);
    points[POINTS - 1].is_measured = 0;
    points[3].content = points[POINTS - 2].content;
    series = analyze(points, POINTS, NULL);
    assert_true(series.derived[3].is_counted && !series.derived[POINTS - 2].is_counted);
    series_free(&series);
}

/* A sparse sweep left lag-1 displacements over four gaps; a denser one then measured what lies between. */
static void test_rates_over_several_gaps(void **state)
{
    (void)state;
    struct series_point points[POINTS];
    fill(points);
    points[12].lag1_back = 4;
    points[12].lag1_msd[SERIES_ROWS_TOKENS] = 4e-3;
    struct series series = analyze(points, POINTS, NULL);
    assert_near(series.derived[11].rate_per_step, 1e-6, 1e-18);
    assert_near(series.derived[12].rate_per_step, 1e-6, 1e-18);
    series_free(&series);
    points[8].content = points[POINTS - 1].content; /* serves the weights of another place */
    series = analyze(points, POINTS, NULL);
    assert_true(isnan(series.derived[12].rate_per_step));
    assert_true(isnan(series.derived[9].rate_per_step));
    assert_near(series.derived[10].rate_per_step, 1e-6, 1e-18);
    series_free(&series);
    points[8].content = points[7].content; /* stood still: its weights are in place */
    series = analyze(points, POINTS, NULL);
    assert_near(series.derived[12].rate_per_step, 1e-6, 1e-18);
    assert_true(isnan(series.derived[8].rate_per_step));
    series_free(&series);
}

/* Displacements between neighbours of the null model: 1000 updates each, `keep` and variance `noise` of one.
 */
static void set_null_lag1(struct series_point *points, double keep, double noise)
{
    double kept = pow(keep, 1000);
    for (size_t i = 1; i < POINTS; i++)
        points[i].lag1_msd[SERIES_ROWS_TOKENS] =
            1e-3 * (1 - kept) * (1 - kept) + noise * (1 - kept * kept) / (1 - keep * keep);
}

/* An MSD that saturates is decay's doing only if the weights still walk. */
static void test_a_walk_that_ends_is_no_decay(void **state)
{
    (void)state;
    struct series_point points[POINTS];
    struct series_options options = series_options_default();
    const double rate = 1e-3, keep = 1 - 1e-4;
    options.schedule = (struct schedule){
        .kind = SCHEDULE_KIND_CONSTANT, .rate_max = rate, .rate_min = rate, .weight_decay = 0.1};
    for (size_t end = 18; end <= POINTS; end += POINTS - 18) { /* from there on it moves a twentieth */
        fill(points);
        set_null_lag1(points, keep, 2 * rate * rate);
        for (size_t i = 1; i < POINTS; i++) {
            double kept = pow(keep, points[i].step);
            points[i].msd[SERIES_ROWS_TOKENS] =
                1e-3 * (1 - kept) * (1 - kept) + 2 * rate * rate * (1 - kept * kept) / (1 - keep * keep);
            points[i].lag1_msd[SERIES_ROWS_TOKENS] *= i < end ? 1 : 0.05;
        }
        struct series series = analyze(points, POINTS, &options);
        assert_true(series.decay.log_error < 1e-6);
        assert_int_equal((series.controls & SERIES_CONTROL_DECAY) != 0, end == POINTS);
        assert_true(end == POINTS || fabs(series.decay.lag1_log_error - sqrt(6.0 / 23) * log(20)) < 0.01);
        series_free(&series);
    }
    points[5].lag1_msd[SERIES_ROWS_TOKENS] = 0; /* and what rounding hides says nothing */
    for (size_t i = 6; i < POINTS; i++)
        points[i].lag1_msd[SERIES_ROWS_TOKENS] = 1e-12;
    struct series series = analyze(points, POINTS, &options);
    assert_true(series.derived[6].is_unresolved);
    assert_true(series.controls & SERIES_CONTROL_DECAY);
    series_free(&series);
}

/* A run whose first revision is no step 0, or whose displacement is against a named revision: time, learning
 * rate and decay count from there. */
static void test_time_since_the_reference(void **state)
{
    (void)state;
    struct series_point points[POINTS];
    struct series_options options = series_options_default();
    const double rate = 1e-3, keep = 1 - 1e-4, start = 1e-3, walk = 2;
    options.schedule = (struct schedule){
        .kind = SCHEDULE_KIND_CONSTANT, .rate_max = rate, .rate_min = rate, .weight_decay = 0.1};
    for (size_t reference = 0; reference < 8; reference += 7) {
        fill(points);
        for (size_t i = 0; i < POINTS; i++) {
            double time = 1000 * ((double)i - (double)reference), kept = pow(keep, time);
            points[i].step += 50000;
            points[i].msd[SERIES_ROWS_TOKENS] =
                time < 0 ? 1
                         : start * (1 - kept) * (1 - kept) +
                               walk * rate * rate * (1 - kept * kept) / (1 - keep * keep);
        }
        set_null_lag1(points, keep, walk * rate * rate);
        options.reference_step = reference ? points[reference].step : (double)NAN;
        struct series series = analyze(points, POINTS, &options);
        assert_int_equal(series.decay.verdict, SERIES_VERDICT_YES);
        assert_near(series.decay.log_error, 0, 1e-6);
        assert_near(series.decay.lag1_log_error, 0, 1e-4); /* rounding is a part of it */
        assert_near(series.decay.walk, walk, 1e-5 * walk);
        const struct series_derived *derived = &series.derived[reference + 4];
        assert_near(derived->msd_null, points[reference + 4].msd[SERIES_ROWS_TOKENS], 1e-9);
        assert_near(derived->msd_per_lr, points[reference + 4].msd[SERIES_ROWS_TOKENS] / 4, 1e-12);
        series_free(&series);

        for (size_t i = 0; i < POINTS; i++) /* diffusion from there on */
            points[i].msd[SERIES_ROWS_TOKENS] = 1e-9 * fabs(points[i].step - points[reference].step);
        series = analyze(points, POINTS, &options);
        assert_near(series.derived[reference + 3].alpha, 1, 1e-9);
        assert_near(series.derived[POINTS - 1].alpha, 1, 1e-9);
        for (size_t i = 0; i < reference; i++)
            assert_true(isnan(series.derived[i].msd_per_lr) && isnan(series.derived[i].msd_null));
        assert_true(reference == 0 || isnan(series.derived[3].alpha));
        series_free(&series);
    }
    options.reference_step = (double)INFINITY; /* against none of the points */
    struct series series = analyze(points, POINTS, &options);
    assert_int_equal(series.decay.verdict, SERIES_VERDICT_INSUFFICIENT);
    assert_true(isnan(series.derived[20].alpha) && isnan(series.derived[20].msd_per_lr));
    assert_near(series.derived[20].rate_per_step, points[20].lag1_msd[SERIES_ROWS_TOKENS] / 1000, 1e-15);
    series_free(&series);
}

/* Where decay alone leaves 1/e: exact in a run of usual length, to a millionth of a longer one. */
static void test_efold(void **state)
{
    (void)state;
    struct series_point points[POINTS];
    struct series_options options = series_options_default();
    const struct {
        double end, rate, decay, tolerance;
    } cases[] = {{143000, 1e-3, 0.1, 0}, {1e6, 1e-3, 0.01, 0}, {5e7, 1e-4, 0.01, 0}, {5e7, 1e-5, 0.01, 0}};
    fill(points);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        double expected = ceil(-1 / log1p(-cases[i].rate * cases[i].decay));
        options.schedule = (struct schedule){.kind = SCHEDULE_KIND_LINEAR,
                                             .rate_max = cases[i].rate,
                                             .rate_min = cases[i].rate,
                                             .end_step = cases[i].end,
                                             .weight_decay = cases[i].decay};
        struct series series = analyze(points, POINTS, &options);
        assert_near(series.decay.efold_step, expected, cases[i].tolerance);
        series_free(&series);
    }
    options.schedule.weight_decay = 1e-4; /* never */
    struct series series = analyze(points, POINTS, &options);
    assert_true(isnan(series.decay.efold_step));
    series_free(&series);
}

/* Rounding leaves ulp^2 / 6; the spacing of float16 below 2^-14 is that of its subnormals. */
static void test_resolution(void **state)
{
    (void)state;
    struct series_point points[POINTS];
    const struct {
        double size, ulp;
        enum series_precision precision;
    } cases[] = {{0.03, 0x1p-16, SERIES_PRECISION_F16},  {0x1p-14, 0x1p-24, SERIES_PRECISION_F16},
                 {1e-6, 0x1p-24, SERIES_PRECISION_F16},  {0.03, 0x1p-13, SERIES_PRECISION_BF16},
                 {1e-6, 0x1p-27, SERIES_PRECISION_BF16}, {0.03, 0x1p-29, SERIES_PRECISION_F32}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct series_shape shape = one_mode;
        double expected = cases[i].ulp * cases[i].ulp / 6;
        fill(points);
        shape.variance = cases[i].size * cases[i].size;
        set_shape(&points[5], &shape);
        set_shape(&points[4], &shape);
        points[4].precision = points[5].precision = cases[i].precision;
        struct series series = analyze(points, POINTS, NULL);
        assert_near(series.derived[5].resolution, expected, 1e-12 * expected);
        series_free(&series);
    }
    /* one end rounded to float16, one hardly: of 1e-3 in variance */
    fill(points);
    for (size_t i = 12; i < POINTS; i++)
        points[i].precision = SERIES_PRECISION_F32;
    struct series series = analyze(points, POINTS, NULL);
    assert_near(series.derived[11].resolution, 0x1p-30 / 6, 1e-20);
    assert_near(series.derived[12].resolution, (0x1p-30 + 0x1p-56) / 12, 1e-20);
    assert_near(series.derived[13].resolution, 0x1p-56 / 6, 1e-24);
    series_free(&series);
}

static void test_stop(void **state)
{
    (void)state;
    struct series_point points[POINTS];
    struct series_options options = series_options_default();
    options.schedule = (struct schedule){.kind = SCHEDULE_KIND_CONSTANT, .rate_max = 1e-3, .rate_min = 1e-3};
    fill(points);
    for (size_t i = 8; i < POINTS; i++) {
        set_shape(&points[i], &two_modes);
        for (int rows = 0; i >= 15 && rows < SERIES_ROWS_COUNT; rows++)
            points[i].lag1_msd[rows] = 1e-5;
        if (i >= 18)
            points[i].perplexity = points[17].perplexity * 1.2;
    }
    struct series series = analyze(points, POINTS, &options);
    assert_int_equal(series.rest_per_step.verdict, SERIES_VERDICT_YES);
    assert_near(series.rest_per_step.step, 15000, 0);
    assert_int_equal(series.rest_per_lr.verdict, SERIES_VERDICT_YES);
    assert_int_equal(series.stop.verdict, SERIES_VERDICT_YES);
    assert_near(series.stop.step, 15000, 0);
    assert_near(series.stop.saved, 1 - 15.0 / 23, 1e-12);
    assert_near(series.stop.perplexity, points[15].perplexity, 0);
    assert_near(series.stop.perplexity_best_step, 17000, 0);
    assert_true(series.stop.cautions & SERIES_CAUTION_LATE_HARM);
    assert_true(series.stop.given_up < 0);
    assert_false(series.stop.cautions & (SERIES_CAUTION_SCHEDULE | SERIES_CAUTION_NO_ONSET |
                                         SERIES_CAUTION_OPEN_END | SERIES_CAUTION_STILL_FALLING));
    assert_false(series.controls & SERIES_CONTROL_SCHEDULE);
    series_free(&series);
    for (size_t i = 15; i < POINTS; i++) /* weights at rest, of a model that goes on to learn */
        points[i].perplexity = points[14].perplexity * pow(0.95, (double)i - 14);
    series = analyze(points, POINTS, &options);
    assert_int_equal(series.stop.verdict, SERIES_VERDICT_NO);
    assert_near(series.stop.step, 15000, 0);
    assert_true(series.stop.cautions & SERIES_CAUTION_STILL_FALLING);
    assert_false(series.stop.cautions & SERIES_CAUTION_LATE_HARM);
    series_free(&series);
    for (size_t i = 15; i < POINTS; i++)
        points[i].perplexity = points[14].perplexity;
    points[POINTS - 1].is_measured = 0; /* the end is not known: less is saved, and it says so */
    series = analyze(points, POINTS, &options);
    assert_int_equal(series.stop.verdict, SERIES_VERDICT_YES);
    assert_near(series.stop.step, 15000, 0);
    assert_near(series.stop.saved, 1 - 15.0 / 22, 1e-12);
    assert_true(series.stop.cautions & SERIES_CAUTION_OPEN_END);
    series_free(&series);
    points[POINTS - 1].is_measured = 1;
    for (size_t i = 0; i < POINTS; i++)
        points[i].perplexity = (double)NAN;
    series = analyze(points, POINTS, NULL); /* neither schedule nor perplexity are known */
    assert_int_equal(series.stop.verdict, SERIES_VERDICT_YES);
    assert_true(series.stop.cautions & SERIES_CAUTION_NO_PERPLEXITY);
    assert_true(series.stop.cautions & SERIES_CAUTION_SCHEDULE);
    assert_true(isnan(series.stop.perplexity));
    assert_int_equal(series.fall.verdict, SERIES_VERDICT_INSUFFICIENT);
    series_free(&series);
}

static void test_insufficient(void **state)
{
    (void)state;
    struct series_point points[POINTS];
    fill(points);
    struct series series = analyze(points, 0, NULL);
    assert_int_equal(onset_of(&series)->verdict, SERIES_VERDICT_INSUFFICIENT);
    series_free(&series);
    series = analyze(points, 3, NULL);
    assert_int_equal(onset_of(&series)->verdict, SERIES_VERDICT_INSUFFICIENT);
    assert_int_equal(series.stop.verdict, SERIES_VERDICT_INSUFFICIENT);
    series_free(&series);
    for (size_t i = 0; i < POINTS; i++)
        points[i].is_measured = 0;
    series = analyze(points, POINTS, NULL);
    assert_int_equal(series.counted, 0);
    assert_int_equal(series.rest_per_step.verdict, SERIES_VERDICT_INSUFFICIENT);
    series_free(&series);
}

static void test_refused(void **state)
{
    (void)state;
    struct series_point points[POINTS];
    struct series series;
    struct series_options options = series_options_default();
    struct err err = ERR_INIT;
    fill(points);
    points[3].step = points[2].step;
    assert_int_equal(series_analyze(points, POINTS, &options, &series, &err), ERR_INVALID);
    points[3].step = (double)NAN;
    assert_int_equal(series_analyze(points, POINTS, &options, &series, &err), ERR_INVALID);
    assert_int_equal(series_analyze(points, SERIES_POINTS_MAX + 1U, &options, &series, &err), ERR_LIMIT);
    options.consecutive = 0;
    assert_int_equal(series_analyze(points, 2, &options, &series, &err), ERR_INVALID);
}

static void test_synthetic_runs(void **state)
{
    (void)state;
    struct cpu_threads *threads = NULL;
    struct statistics_result result;
    struct err err = ERR_INIT;
    assert_int_equal(cpu_threads_new(1, &threads, &err), 0);
    assert_int_equal(statistics_result_init(&result, RUN_COLUMNS, &err), 0);
    for (int kind = 0; kind < RUN_KIND_COUNT; kind++) {
        struct run run;
        struct run_score score = {0};
        assert_true(run_make(&run, (enum run_kind)kind, 7));
        assert_int_equal(run_measure(&run, threads, &result, &err), 0);
        assert_int_equal(run_score(&run, &score, &err), 0);
        run_free(&run);
        assert_true(score.is_onset_right && score.is_centred_right);
        assert_true(score.is_control_right && score.is_audit_right);
    }
    statistics_result_free(&result);
    cpu_threads_free(threads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_diffusion),
        cmocka_unit_test(test_repetitions),
        cmocka_unit_test(test_rates_over_several_gaps),
        cmocka_unit_test(test_a_walk_that_ends_is_no_decay),
        cmocka_unit_test(test_time_since_the_reference),
        cmocka_unit_test(test_efold),
        cmocka_unit_test(test_resolution),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_insufficient),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_synthetic_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
