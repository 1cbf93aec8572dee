/* Onsets: what makes one, what ends one, what hides one, and which of the four counts. */
#include "daemon/analysis/series.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/analysis/near.h"
#include "tests/unit/analysis/series_points.h"

static void test_onset(void **state)
{
    (void)state;
    struct series_point points[POINTS];
    fill(points);
    set_shape(&points[5], &two_modes); /* one alone is not enough */
    for (size_t i = 10; i < POINTS; i++)
        set_shape(&points[i], &two_modes);
    set_shape(&points[14], &one_mode); /* and one alone does not end it */
    struct series series = analyze(points, POINTS, NULL);
    assert_int_equal(onset_of(&series)->verdict, SERIES_VERDICT_YES);
    assert_near(onset_of(&series)->step, 10000, 0);
    assert_near(onset_of(&series)->step_before, 9000, 0);
    assert_near(onset_of(&series)->dip, 0.05, 0);
    assert_true(onset_of(&series)->is_lasting);
    assert_true(isnan(onset_of(&series)->step_lost));
    assert_int_equal(onset_of(&series)->count_forked, POINTS - 10);
    series_free(&series);
    for (size_t i = 16; i < POINTS; i++)
        set_shape(&points[i], &one_mode); /* it closes again */
    series = analyze(points, POINTS, NULL);
    assert_false(onset_of(&series)->is_lasting);
    assert_near(onset_of(&series)->step_lost, 16000, 0);
    series_free(&series);
}

/* Each of the criteria is needed; two modes do instead of two normals. */
static void test_onset_criteria(void **state)
{
    static const struct {
        double dip, dip_sqrt_n, valley, ashman, weight, modes;
        int is_fork, is_hidden;
    } cases[] = {
        {0.005, 50, 0.9, 2, 0.95, 1, 1, 0},     {0.0049, 50, 0.9, 2, 0.95, 1, 0, 0},
        {0.005, 0.82, 0.9, 2, 0.95, 1, 0, 0},   {0.005, 50, 0.91, 2, 0.95, 1, 0, 0},
        {0.005, 50, 0.9, 1.9, 0.95, 1, 0, 1},   {0.005, 50, 0.9, 2, 0.96, 1, 0, 1},
        {0.005, 50, 0.9, 1.9, 0.95, NAN, 0, 1}, {0.005, 50, 0.9, 0.1, 0.5, 2, 1, 0},
        {0.005, 50, 0.9, 4, 0.97, 3, 1, 0},     {0.005, 50, 0.91, 0.1, 0.5, 3, 0, 0},
        {0.0049, 50, 0.9, 0.1, 0.5, 3, 0, 0},
    };
    (void)state;
    for (size_t which = 0; which < sizeof cases / sizeof cases[0]; which++) {
        struct series_point points[POINTS];
        struct series_shape shape = two_modes;
        fill(points);
        shape.dip = cases[which].dip;
        shape.dip_sqrt_n = cases[which].dip_sqrt_n;
        shape.valley_to_peak = cases[which].valley;
        shape.ashman_d = cases[which].ashman;
        shape.mixture_weight = cases[which].weight;
        shape.modes = cases[which].modes;
        for (size_t i = 10; i < POINTS; i++)
            set_shape(&points[i], &shape);
        struct series series = analyze(points, POINTS, NULL);
        assert_int_equal(onset_of(&series)->verdict,
                         cases[which].is_fork ? SERIES_VERDICT_YES : SERIES_VERDICT_NO);
        if (cases[which].is_fork)
            assert_near(onset_of(&series)->modes, shape.modes, 0);
        assert_int_equal(onset_of(&series)->count_hidden, cases[which].is_hidden ? POINTS - 10 : 0);
        series_free(&series);
    }
}

/* Values around 3 with a deviation of 0.0125: their numbers lie 0.002 apart in float16, 0.016 in bfloat16. */
static void test_coarse_codes(void **state)
{
    static const struct {
        enum series_precision precision;
        double low, high;
        int is_raw, is_centred; /* coarse */
    } cases[] = {
        {SERIES_PRECISION_BF16, 2.98, 3.02, 1, 1},   {SERIES_PRECISION_BF16, -3.02, -2.98, 1, 1},
        {SERIES_PRECISION_F16, 2.98, 3.02, 1, 1},    {SERIES_PRECISION_F16, 2.95, 3.05, 0, 0},
        {SERIES_PRECISION_F32, 2.98, 3.02, 1, 0},    {SERIES_PRECISION_BF16, -0.02, 0.02, 0, 0},
        {SERIES_PRECISION_BF16, 1.999, 1.999, 1, 1},
    };
    (void)state;
    for (size_t which = 0; which < sizeof cases / sizeof cases[0]; which++) {
        struct series_point points[POINTS];
        struct series_shape shape = two_modes;
        double reach = (cases[which].high - cases[which].low) / 2;
        fill(points);
        shape.variance = 1.5e-4;
        for (size_t i = 10; i < POINTS; i++) {
            points[i].precision = cases[which].precision;
            for (int view = 0; view < SERIES_VIEW_COUNT; view++) {
                shape.low = view ? -reach : cases[which].low;
                shape.high = view ? reach : cases[which].high;
                for (int rows = 0; rows < SERIES_ROWS_COUNT; rows++)
                    points[i].shapes[rows][view] = shape;
            }
        }
        struct series series = analyze(points, POINTS, NULL);
        for (int view = 0; view < SERIES_VIEW_COUNT; view++) {
            const struct series_onset *onset = &series.onsets[SERIES_ROWS_TOKENS][view];
            int is_coarse = view ? cases[which].is_centred : cases[which].is_raw;
            assert_int_equal(onset->verdict, is_coarse ? SERIES_VERDICT_NO : SERIES_VERDICT_YES);
            assert_int_equal(onset->count_coarse, is_coarse ? POINTS - 10 : 0);
        }
        assert_int_equal((series.controls & SERIES_CONTROL_CODES) != 0,
                         cases[which].is_raw || cases[which].is_centred);
        series_free(&series);
    }
}

/* Each revision is judged by what it is stored in: a run may go over from bfloat16 to float16. */
static void test_codes_that_change(void **state)
{
    struct series_point points[POINTS];
    struct series_shape shape = two_modes;
    (void)state;
    shape.variance = 1e-3;
    shape.low = 2.95;
    shape.high = 3.05;
    fill(points);
    for (size_t i = 10; i < POINTS; i++) {
        points[i].precision = i < 16 ? SERIES_PRECISION_BF16 : SERIES_PRECISION_F16;
        points[i].shapes[SERIES_ROWS_TOKENS][SERIES_VIEW_RAW] = shape;
    }
    struct series series = analyze(points, POINTS, NULL);
    const struct series_onset *onset = &series.onsets[SERIES_ROWS_TOKENS][SERIES_VIEW_RAW];
    assert_int_equal(onset->verdict, SERIES_VERDICT_YES);
    assert_near(onset->step, 16000, 0);
    assert_near(onset->step_before, 9000, 0);
    assert_int_equal(onset->count_coarse, 6);
    series_free(&series);
}

/* Revisions whose modes are missed are counted, begin no fork and end none. */
static void test_hidden_modes(void **state)
{
    static const struct {
        size_t begin, end, fork;
    } cases[] = {{10, 12, POINTS}, {10, 11, 11}, {15, 18, 12}};
    struct series_shape hidden = two_modes;
    (void)state;
    hidden.ashman_d = 1.5;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct series_point points[POINTS];
        fill(points);
        for (size_t at = 0; at < POINTS; at++)
            set_shape(&points[at], at >= cases[i].begin && at < cases[i].end ? &hidden
                                   : at >= cases[i].fork                     ? &two_modes
                                                                             : &one_mode);
        struct series series = analyze(points, POINTS, NULL);
        assert_int_equal(onset_of(&series)->count_hidden, cases[i].end - cases[i].begin);
        assert_int_equal(onset_of(&series)->verdict,
                         cases[i].fork < POINTS ? SERIES_VERDICT_YES : SERIES_VERDICT_NO);
        if (cases[i].fork < POINTS)
            assert_true(onset_of(&series)->is_lasting && onset_of(&series)->index == cases[i].fork);
        series_free(&series);
    }
}

/* The onset that fall and stop speak of is that around column means, where there is one. */
static void test_onset_view(void **state)
{
    (void)state;
    struct series_point points[POINTS];
    fill(points);
    for (size_t i = 8; i < POINTS; i++) {
        points[i].shapes[SERIES_ROWS_TOKENS][SERIES_VIEW_RAW] = two_modes;
        points[i].shapes[SERIES_ROWS_ALL][SERIES_VIEW_CENTRED] = two_modes;
    }
    struct series series = analyze(points, POINTS, NULL);
    double middle = sqrt((1 + series.fall.step_from) * (1 + series.fall.step_to));
    assert_int_equal(series.onset_view, SERIES_VIEW_RAW);
    assert_true(series.stop.cautions & SERIES_CAUTION_ONLY_RAW);
    assert_near(series.fall.ln_ratio_to_onset, log(middle / 8001), 1e-12);
    series_free(&series);
    for (size_t i = 12; i < POINTS; i++)
        points[i].shapes[SERIES_ROWS_TOKENS][SERIES_VIEW_CENTRED] = two_modes;
    series = analyze(points, POINTS, NULL);
    assert_int_equal(series.onset_view, SERIES_VIEW_CENTRED);
    assert_false(series.stop.cautions & SERIES_CAUTION_ONLY_RAW);
    assert_near(series.fall.ln_ratio_to_onset, log(middle / 12001), 1e-12);
    series_free(&series);
    fill(points); /* none at all */
    series = analyze(points, POINTS, NULL);
    assert_int_equal(series.onset_view, SERIES_VIEW_CENTRED);
    series_free(&series);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_onset),        cmocka_unit_test(test_onset_criteria),
        cmocka_unit_test(test_coarse_codes), cmocka_unit_test(test_codes_that_change),
        cmocka_unit_test(test_hidden_modes), cmocka_unit_test(test_onset_view),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
