#include "daemon/analysis/series_parts.h"

#include <math.h>

/*
 * The null model: no bifurcation, only dw = -decay * rate * w dt + rate * noise. Then
 *   MSD(t) = m0 (1 - kept(t))^2 + walk * decayed_walk(t),
 * both since the reference, m0 the mean square of its weights (of the first revision's that counts, if the
 * reference was not measured); the one free number, `walk`, is fitted to ln MSD.
 */
struct null_model {
    const struct series_input *input;
    const struct series *series;
    double start; /* m0 */
};

static double null_msd(const struct null_model *model, size_t i, double walk)
{
    struct schedule_sums since = series_sums_since(model->input, i);
    return model->start * (1 - since.kept) * (1 - since.kept) + walk * since.decayed_walk;
}

/* Steps after the warm-up only: at first Adam's steps are no random walk, and stored weights round them away.
 */
static int is_fitted(const struct null_model *model, size_t i)
{
    const struct series_point *point = &model->input->points[i];
    return model->series->derived[i].is_counted &&
           point->step > model->input->options->schedule.warmup_steps && point->msd[SERIES_ROWS_TOKENS] > 0 &&
           series_sums_since(model->input, i).decayed_walk > 0;
}

static double mean_square_error(const struct null_model *model, double log_walk, size_t *ret_count)
{
    double sum = 0, walk = exp(log_walk);
    size_t count = 0;
    for (size_t i = 0; i < model->input->count; i++) {
        if (!is_fitted(model, i))
            continue;
        double error = log(model->input->points[i].msd[SERIES_ROWS_TOKENS] / null_msd(model, i, walk));
        sum += error * error;
        count++;
    }
    *ret_count = count;
    return count ? sum / (double)count : (double)NAN;
}

/* Golden-section search around the ratio of the first fitted point; the error has one minimum in practice. */
static double fit_walk(const struct null_model *model, double *ret_error)
{
    const double golden = 0.61803398874989485;
    size_t count = 0;
    double low = 0, high = 0;
    for (size_t i = 0; i < model->input->count; i++) {
        if (!is_fitted(model, i))
            continue;
        double ratio = log(model->input->points[i].msd[SERIES_ROWS_TOKENS] /
                           series_sums_since(model->input, i).decayed_walk);
        low = count ? fmin(low, ratio) : ratio;
        high = count ? fmax(high, ratio) : ratio;
        count++;
    }
    low -= 7;
    high += 1;
    for (int i = 0; i < 80; i++) {
        double a = high - golden * (high - low), b = low + golden * (high - low);
        if (mean_square_error(model, a, &count) < mean_square_error(model, b, &count))
            high = b;
        else
            low = a;
    }
    *ret_error = sqrt(mean_square_error(model, (low + high) / 2, &count));
    return exp((low + high) / 2);
}

/* Of a run of up to a million steps, exact; of a longer one a million stretches are looked at, each at the
 * rate of its middle: the schedule is the asker's, and a walk over all that he may name takes a second. */
#define EFOLD_STRETCHES 1e6

static double efold_step(const struct schedule *schedule, double last)
{
    double kept = 1, end = fmin(fmax(last, schedule->end_step), SCHEDULE_STEPS_MAX);
    double stretch = fmax(1, ceil(end / EFOLD_STRETCHES));
    for (double step = 0; schedule->weight_decay > 0 && step < end; step += stretch) {
        double keep = 1 - schedule_rate(schedule, step + (stretch - 1) / 2) * schedule->weight_decay;
        kept *= stretch > 1 ? pow(keep, stretch) : keep;
        if (kept <= 0.36787944117144233)
            return step + stretch;
    }
    return (double)NAN;
}

static double mean_square(const struct series_point *point)
{
    const struct series_shape *shape = &point->shapes[SERIES_ROWS_TOKENS][SERIES_VIEW_RAW];
    return point->is_measured ? shape->variance + shape->mean * shape->mean : (double)NAN;
}

void series_fit_decay(const struct series_input *input, struct series *series)
{
    struct series_decay decay = {.log_error = (double)NAN, .walk = (double)NAN, .efold_step = (double)NAN};
    struct null_model model = {.input = input, .series = series, .start = (double)NAN};
    size_t fitted = 0;
    if (input->reference < input->count)
        model.start = mean_square(&input->points[input->reference]);
    for (size_t i = 0; i < input->count; i++) {
        if (series->derived[i].is_counted && isnan(model.start))
            model.start = mean_square(&input->points[i]);
        fitted += (size_t)is_fitted(&model, i);
    }
    if (input->options->schedule.kind != SCHEDULE_KIND_UNKNOWN && input->count)
        decay.efold_step = efold_step(&input->options->schedule, input->points[input->count - 1].step);
    if (fitted >= (size_t)input->options->points_min && model.start >= 0) {
        decay.walk = fit_walk(&model, &decay.log_error);
        decay.verdict =
            decay.log_error <= input->options->null_tolerance ? SERIES_VERDICT_YES : SERIES_VERDICT_NO;
        for (size_t i = 0; i < input->count; i++)
            series->derived[i].msd_null = null_msd(&model, i, decay.walk);
    }
    series->decay = decay;
}

void series_name_controls(const struct series_input *input, struct series *series)
{
    unsigned controls = series->controls;
    for (int view = 0; view < SERIES_VIEW_COUNT; view++) {
        if (series->onsets[SERIES_ROWS_ALL][view].verdict == SERIES_VERDICT_YES &&
            series->onsets[SERIES_ROWS_TOKENS][view].verdict == SERIES_VERDICT_NO)
            controls |= SERIES_CONTROL_PADDING;
    }
    if (series->onsets[SERIES_ROWS_TOKENS][SERIES_VIEW_RAW].verdict == SERIES_VERDICT_YES &&
        series->onsets[SERIES_ROWS_TOKENS][SERIES_VIEW_CENTRED].verdict == SERIES_VERDICT_NO)
        controls |= SERIES_CONTROL_MEAN_ROW;
    if (series->rest_per_step.verdict == SERIES_VERDICT_YES &&
        (series->rest_per_lr.verdict == SERIES_VERDICT_NO ||
         series->rest_per_lr_squared.verdict == SERIES_VERDICT_NO))
        controls |= SERIES_CONTROL_SCHEDULE;
    if (series->decay.verdict == SERIES_VERDICT_YES)
        controls |= SERIES_CONTROL_DECAY;
    for (size_t i = 0; i < input->count; i++) {
        if (series->derived[i].is_unresolved)
            controls |= SERIES_CONTROL_RESOLUTION;
    }
    series->controls = controls;
}
