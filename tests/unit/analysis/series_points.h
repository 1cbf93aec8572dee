/* A made-up run for tests of its verdicts, to be changed where a test wants something else. */
#ifndef BIFURCATED_TESTS_SERIES_POINTS_H
#define BIFURCATED_TESTS_SERIES_POINTS_H

#include "daemon/analysis/series.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define POINTS 24

static const struct series_shape one_mode = {.variance = 1e-3,
                                             .bimodality = 0.33,
                                             .dip = 1e-4,
                                             .mixture_weight = 0.5,
                                             .ashman_d = 0.3,
                                             .valley_to_peak = 1};
static const struct series_shape two_modes = {.variance = 1e-3,
                                              .bimodality = 0.6,
                                              .dip = 0.05,
                                              .dip_sqrt_n = 50,
                                              .mixture_weight = 0.5,
                                              .ashman_d = 4,
                                              .valley_to_peak = 0.3};

static inline void set_shape(struct series_point *point, const struct series_shape *shape)
{
    for (int rows = 0; rows < SERIES_ROWS_COUNT; rows++) {
        for (int view = 0; view < SERIES_VIEW_COUNT; view++)
            point->shapes[rows][view] = *shape;
    }
}

/* Steps 0, 1000 ...; MSD of a random walk; one mode; perplexity falls as a power. */
static inline void fill(struct series_point *points)
{
    memset(points, 0, POINTS * sizeof(*points));
    for (size_t i = 0; i < POINTS; i++) {
        points[i].step = 1000 * (double)i;
        points[i].content = i + 1;
        points[i].is_measured = 1;
        points[i].precision = SERIES_PRECISION_F16;
        points[i].perplexity = 1e6 / (1 + points[i].step);
        points[i].perplexity_stderr = (double)NAN;
        for (int rows = 0; rows < SERIES_ROWS_COUNT; rows++) {
            points[i].msd[rows] = 1e-6 * points[i].step;
            points[i].lag1_msd[rows] = i ? 1e-3 : 0;
        }
        set_shape(&points[i], &one_mode);
    }
}

static inline struct series analyze(const struct series_point *points, size_t count,
                                    const struct series_options *options)
{
    struct series series;
    struct series_options defaults = series_options_default();
    struct err err = ERR_INIT;
    assert_int_equal(series_analyze(points, count, options ? options : &defaults, &series, &err), 0);
    return series;
}

static inline const struct series_onset *onset_of(const struct series *series)
{
    return &series->onsets[SERIES_ROWS_TOKENS][SERIES_VIEW_RAW];
}

#endif
