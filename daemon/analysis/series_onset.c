#include "daemon/analysis/series_parts.h"

#include <math.h>

static double lighter_weight(const struct series_shape *shape)
{
    return fmin(shape->mixture_weight, 1 - shape->mixture_weight);
}

static int is_clearly_forked(const struct series_shape *shape, const struct series_options *options)
{
    return shape->dip >= options->dip_on && shape->ashman_d >= options->ashman_on &&
           shape->valley_to_peak <= options->valley_on && lighter_weight(shape) >= options->weight_min;
}

/* Dip and valley see modes, the mixture of two normals does not: of more than two, or of heavy tails. */
static int is_hidden(const struct series_shape *shape, const struct series_options *options)
{
    return shape->dip >= options->dip_on && shape->valley_to_peak <= options->valley_on &&
           !is_clearly_forked(shape, options);
}

/* A mixture alone ends no fork: when two modes become more, D falls while dip and valley stay. */
static int is_still_forked(const struct series_shape *shape, const struct series_options *options)
{
    return is_hidden(shape, options) ||
           (shape->dip >= options->dip_off && shape->ashman_d >= options->ashman_off &&
            shape->valley_to_peak <= options->valley_off);
}

/* Walks one distribution. A change of state needs `consecutive` counted revisions in a row and begins with
 * the first of them. */
static void mark_forked(const struct series_input *input, int rows, int view, struct series *series)
{
    const struct series_options *options = input->options;
    int is_forked = 0, streak = 0;
    size_t streak_begin = 0;
    for (size_t i = 0; i < input->count; i++) {
        if (!series->derived[i].is_counted)
            continue;
        const struct series_shape *shape = &input->points[i].shapes[rows][view];
        int differs = is_forked ? !is_still_forked(shape, options) : is_clearly_forked(shape, options);
        series->derived[i].is_forked[rows][view] = is_forked;
        if (!differs) {
            streak = 0;
            continue;
        }
        if (streak++ == 0)
            streak_begin = i;
        if (streak < options->consecutive)
            continue;
        is_forked = !is_forked;
        streak = 0;
        for (size_t k = streak_begin; k <= i; k++) {
            if (series->derived[k].is_counted)
                series->derived[k].is_forked[rows][view] = is_forked;
        }
    }
}

/* Whether an onset would be found, or earlier, if what is hidden were clear: one revision alone is none. */
static int is_hiding(const struct series_input *input, int rows, int view, const struct series *series)
{
    int streak = 0, hidden = 0;
    for (size_t i = 0; i < input->count; i++) {
        const struct series_shape *shape = &input->points[i].shapes[rows][view];
        if (!series->derived[i].is_counted)
            continue;
        int is_one = is_hidden(shape, input->options);
        int is_two_modes = is_one || is_clearly_forked(shape, input->options);
        streak = is_two_modes ? streak + 1 : 0;
        hidden = is_two_modes && (hidden || (is_one && !series->derived[i].is_forked[rows][view]));
        if (hidden && streak >= input->options->consecutive)
            return 1;
    }
    return 0;
}

static struct series_onset read_onset(const struct series_input *input, int rows, int view,
                                      const struct series *series)
{
    struct series_onset onset = {.verdict = SERIES_VERDICT_INSUFFICIENT,
                                 .step = (double)NAN,
                                 .step_before = (double)NAN,
                                 .step_lost = (double)NAN};
    if (series->counted < (size_t)input->options->points_min)
        return onset;
    onset.verdict = SERIES_VERDICT_NO;
    double before = (double)NAN;
    for (size_t i = 0; i < input->count; i++) {
        const struct series_derived *derived = &series->derived[i];
        if (!derived->is_counted)
            continue;
        onset.count_hidden += (size_t)is_hidden(&input->points[i].shapes[rows][view], input->options);
        if (derived->is_forked[rows][view]) {
            onset.count_forked++;
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
            }
        } else if (onset.is_lasting) {
            onset.is_lasting = 0;
            if (isnan(onset.step_lost))
                onset.step_lost = input->points[i].step;
        }
        before = input->points[i].step;
    }
    if (onset.is_lasting)
        onset.step_lost = (double)NAN;
    return onset;
}

void series_find_onsets(const struct series_input *input, struct series *series)
{
    for (int rows = 0; rows < SERIES_ROWS_COUNT; rows++) {
        for (int view = 0; view < SERIES_VIEW_COUNT; view++) {
            mark_forked(input, rows, view, series);
            series->onsets[rows][view] = read_onset(input, rows, view, series);
            if (rows == SERIES_ROWS_TOKENS &&
                series->onsets[rows][view].verdict != SERIES_VERDICT_INSUFFICIENT &&
                is_hiding(input, rows, view, series))
                series->controls |= SERIES_CONTROL_MIXTURE;
        }
    }
    const struct series_onset *of_tokens = series->onsets[SERIES_ROWS_TOKENS];
    series->onset_view = of_tokens[SERIES_VIEW_CENTRED].verdict != SERIES_VERDICT_YES &&
                                 of_tokens[SERIES_VIEW_RAW].verdict == SERIES_VERDICT_YES
                             ? SERIES_VIEW_RAW
                             : SERIES_VIEW_CENTRED;
}
