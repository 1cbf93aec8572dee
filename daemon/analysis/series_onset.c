#include "daemon/analysis/series_parts.h"

#include <math.h>

#define NORMAL_RANGE 3.29 /* deviations from the 0.05 to the 0.95 quantile of a normal */

static double lighter_weight(const struct series_shape *shape)
{
    return fmin(shape->mixture_weight, 1 - shape->mixture_weight);
}

static int has_modes(const struct series_shape *shape, const struct series_options *options)
{
    return (shape->ashman_d >= options->ashman_on && lighter_weight(shape) >= options->weight_min) ||
           shape->modes >= options->modes_on;
}

static int has_gap(const struct series_shape *shape, const struct series_options *options)
{
    return shape->dip >= options->dip_on && !(shape->dip_sqrt_n < options->dip_sqrt_n_on) &&
           shape->valley_to_peak <= options->valley_on;
}

/* Whether the codes that the weights are stored in, or, as they are, counted in, lie too far apart for modes
 * to be told from codes. Centred values keep the grid of the stored ones where column means are alike. */
static int is_coarse(const struct series_options *options, const struct series_point *point, int rows,
                     int view)
{
    const struct series_shape *raw = &point->shapes[rows][SERIES_VIEW_RAW],
                              *shape = &point->shapes[rows][view];
    enum series_precision precision = point->precision;
    if (view == SERIES_VIEW_RAW && precision == SERIES_PRECISION_F32)
        precision = SERIES_PRECISION_BF16; /* of float32 the upper 16 bits are counted */
    double spacing = series_spacing(fmax(fabs(raw->low), fabs(raw->high)), precision);
    double spread = (shape->high - shape->low) / NORMAL_RANGE;
    return spacing >= options->spacing_max * (spread > 0 ? spread : sqrt(shape->variance));
}

enum look {
    LOOK_NONE,    /* nothing is finite: it says nothing of the fork */
    LOOK_CLOSED,  /* one mode, by the weaker bounds too */
    LOOK_BETWEEN, /* begins no fork and ends none */
    LOOK_FORKED,
    LOOK_HIDDEN, /* dip and valley see modes, mixture and modes do not */
    LOOK_COARSE  /* forked, if it were not for the codes */
};

static enum look look_at(const struct series_input *input, size_t at, int rows, int view)
{
    const struct series_options *options = input->options;
    const struct series_shape *shape = &input->points[at].shapes[rows][view];
    if (isnan(shape->dip))
        return LOOK_NONE;
    if (!(shape->dip >= options->dip_off && shape->valley_to_peak <= options->valley_off))
        return LOOK_CLOSED;
    if (!has_gap(shape, options))
        return LOOK_BETWEEN;
    if (!has_modes(shape, options))
        return LOOK_HIDDEN;
    return is_coarse(options, &input->points[at], rows, view) ? LOOK_COARSE : LOOK_FORKED;
}

/* Walks one distribution. A change of state needs `consecutive` counted revisions in a row and begins with
 * the first of them. */
static void mark_forked(const struct series_input *input, int rows, int view, struct series *series)
{
    int is_forked = 0, streak = 0;
    size_t streak_begin = 0;
    for (size_t i = 0; i < input->count; i++) {
        if (!series->derived[i].is_counted)
            continue;
        enum look look = look_at(input, i, rows, view);
        series->derived[i].is_forked[rows][view] = is_forked;
        if (look == LOOK_NONE)
            continue;
        if (look != (is_forked ? LOOK_CLOSED : LOOK_FORKED)) {
            streak = 0;
            continue;
        }
        if (streak++ == 0)
            streak_begin = i;
        if (streak < input->options->consecutive)
            continue;
        is_forked = !is_forked;
        streak = 0;
        for (size_t k = streak_begin; k <= i; k++) {
            if (series->derived[k].is_counted)
                series->derived[k].is_forked[rows][view] = is_forked;
        }
    }
}

static struct series_onset read_onset(const struct series_input *input, int rows, int view,
                                      const struct series *series)
{
    struct series_onset onset = {.verdict = SERIES_VERDICT_INSUFFICIENT,
                                 .step = (double)NAN,
                                 .step_before = (double)NAN,
                                 .step_lost = (double)NAN,
                                 .step_lasting = (double)NAN};
    if (series->counted < (size_t)input->options->points_min)
        return onset;
    onset.verdict = SERIES_VERDICT_NO;
    double before = (double)NAN;
    for (size_t i = 0; i < input->count; i++) {
        const struct series_derived *derived = &series->derived[i];
        if (!derived->is_counted)
            continue;
        enum look look = look_at(input, i, rows, view);
        onset.count_hidden += look == LOOK_HIDDEN;
        onset.count_coarse += look == LOOK_COARSE && !derived->is_forked[rows][view];
        if (derived->is_forked[rows][view]) {
            onset.count_forked++;
            if (!onset.is_lasting)
                onset.step_lasting = input->points[i].step;
            onset.is_lasting = 1;
            if (onset.verdict == SERIES_VERDICT_NO) {
                const struct series_shape *shape = &input->points[i].shapes[rows][view];
                onset.verdict = SERIES_VERDICT_YES;
                onset.index = i;
                onset.step = input->points[i].step;
                onset.step_before = before;
                onset.dip = shape->dip;
                onset.ashman_d = shape->ashman_d;
                onset.valley_to_peak = shape->valley_to_peak;
                onset.modes = shape->modes;
            }
        } else if (onset.is_lasting) {
            onset.is_lasting = 0;
            onset.step_lasting = (double)NAN;
            if (isnan(onset.step_lost))
                onset.step_lost = input->points[i].step;
        }
        if (look != LOOK_NONE && look != LOOK_COARSE && look != LOOK_FORKED)
            before = input->points[i].step;
    }
    if (onset.verdict == SERIES_VERDICT_NO)
        onset.step_before = before;
    return onset;
}

void series_find_onsets(const struct series_input *input, struct series *series)
{
    for (int rows = 0; rows < SERIES_ROWS_COUNT; rows++) {
        for (int view = 0; view < SERIES_VIEW_COUNT; view++) {
            mark_forked(input, rows, view, series);
            struct series_onset onset = read_onset(input, rows, view, series);
            series->onsets[rows][view] = onset;
            if (rows != SERIES_ROWS_TOKENS || onset.verdict == SERIES_VERDICT_INSUFFICIENT)
                continue;
            if (onset.count_coarse)
                series->controls |= SERIES_CONTROL_CODES;
        }
    }
    const struct series_onset *of_tokens = series->onsets[SERIES_ROWS_TOKENS];
    series->onset_view = of_tokens[SERIES_VIEW_CENTRED].verdict != SERIES_VERDICT_YES &&
                                 of_tokens[SERIES_VIEW_RAW].verdict == SERIES_VERDICT_YES
                             ? SERIES_VIEW_RAW
                             : SERIES_VIEW_CENTRED;
}
