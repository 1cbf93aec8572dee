#include "daemon/analysis/series_parts.h"

#include <math.h>
#include <stdlib.h>

/*
 * The null model: no bifurcation, only dw = -decay * rate * w dt + rate * noise. Then
 *   MSD(t) = m0 (1 - kept(t))^2 + walk * decayed_walk(t),
 * both since the reference, m0 the mean square of its weights (of the first revision's that counts, if the
 * reference was not measured); the one free number, `walk`, is fitted to ln MSD, and may be 0. The same walk
 * must make the lag-1 displacements, too: an MSD that saturates looks alike whether decay holds a walk, a
 * walk has ended, or the weights have found a place to be.
 */
struct null_point {
    double log_msd; /* measured */
    double decayed; /* m0 (1 - kept)^2 */
    double walked;  /* decayed_walk */
};

struct null_model {
    double start;              /* m0 */
    struct null_point *fitted; /* what is fitted to */
    size_t count;
};

static double mean_square(const struct series_point *point)
{
    const struct series_shape *shape = &point->shapes[SERIES_ROWS_TOKENS][SERIES_VIEW_RAW];
    return point->is_measured ? shape->variance + shape->mean * shape->mean : (double)NAN;
}

static struct null_point null_point_at(const struct series_input *input, double start, size_t i)
{
    struct schedule_sums since = series_sums_since(input, i);
    double msd = input->points[i].msd[SERIES_ROWS_TOKENS];
    return (struct null_point){.log_msd = msd > 0 ? log(msd) : (double)NAN,
                               .decayed = start * (1 - since.kept) * (1 - since.kept),
                               .walked = since.decayed_walk};
}

/* Steps after the warm-up only: at first Adam's steps are no random walk, and stored weights round them away.
 */
static void collect_fitted(const struct series_input *input, const struct series *series,
                           struct null_model *model)
{
    model->start = (double)NAN;
    if (input->reference < input->count)
        model->start = mean_square(&input->points[input->reference]);
    for (size_t i = 0; i < input->count && isnan(model->start); i++) {
        if (series->derived[i].is_counted)
            model->start = mean_square(&input->points[i]);
    }
    for (size_t i = 0; i < input->count; i++) {
        struct null_point point = null_point_at(input, model->start, i);
        if (series->derived[i].is_counted && !series_is_in_warmup(input, i) && !isnan(point.log_msd) &&
            point.walked > 0)
            model->fitted[model->count++] = point;
    }
}

static double mean_square_error(const struct null_model *model, double walk)
{
    double sum = 0;
    for (size_t i = 0; i < model->count; i++) {
        const struct null_point *point = &model->fitted[i];
        double error = point->log_msd - log(point->decayed + walk * point->walked);
        sum += error * error;
    }
    return sum / (double)model->count;
}

/* Golden-section search of ln walk around the ratios MSD / decayed_walk; the error has one minimum in
 * practice. Where decay alone fits better, there is no walk. */
static double fit_walk(const struct null_model *model, double *ret_error)
{
    const double golden = 0.61803398874989485;
    double low = (double)INFINITY, high = -(double)INFINITY;
    for (size_t i = 0; i < model->count; i++) {
        double ratio = model->fitted[i].log_msd - log(model->fitted[i].walked);
        low = fmin(low, ratio);
        high = fmax(high, ratio);
    }
    low -= 7;
    high += 1;
    double a = high - golden * (high - low), b = low + golden * (high - low);
    double error_a = mean_square_error(model, exp(a)), error_b = mean_square_error(model, exp(b));
    for (int i = 0; i < 80; i++) {
        if (error_a < error_b) {
            high = b;
            b = a;
            error_b = error_a;
            a = high - golden * (high - low);
            error_a = mean_square_error(model, exp(a));
        } else {
            low = a;
            a = b;
            error_a = error_b;
            b = low + golden * (high - low);
            error_b = mean_square_error(model, exp(b));
        }
    }
    double walk = exp((low + high) / 2), error = mean_square_error(model, walk);
    double still = mean_square_error(model, 0);
    *ret_error = sqrt(fmin(error, still));
    return still <= error ? 0 : walk;
}

/* What the null model makes of the lag-1 displacement of a point, rounding of both ends included. */
static double lag1_null(const struct series_input *input, const struct series *series, double walk, size_t at)
{
    const struct series_derived *derived = &series->derived[at];
    const struct schedule_sums *from = &input->sums[derived->lag1_from], *to = &input->sums[at];
    double kept = exp(to->log_kept - from->log_kept);
    double walked = to->decayed_walk - kept * kept * from->decayed_walk;
    return mean_square(&input->points[derived->lag1_from]) * (1 - kept) * (1 - kept) + walk * walked +
           derived->resolution;
}

/* Of displacements after the warm-up that rounding does not hide. */
static double find_lag1_error(const struct series_input *input, const struct series *series, double walk)
{
    double sum = 0, count = 0;
    for (size_t i = 0; i < input->count; i++) {
        const struct series_derived *derived = &series->derived[i];
        double lag1 = input->points[i].lag1_msd[SERIES_ROWS_TOKENS];
        if (!derived->is_counted || isnan(derived->lag1_steps) || derived->is_unresolved || !(lag1 > 0) ||
            input->sums[derived->lag1_from].step < input->options->schedule.warmup_steps)
            continue;
        double error = log(lag1 / lag1_null(input, series, walk, i));
        if (!isfinite(error))
            continue;
        sum += error * error;
        count++;
    }
    return count > 0 ? sqrt(sum / count) : (double)NAN;
}

/* The first step by which decay has left 1/e, between 0 and `end`: each round looks at so many steps between
 * the last one before and the first one behind. */
#define EFOLD_LOOKS 64

static double efold_step(const struct schedule *schedule, double last)
{
    double low = 0, high = fmin(fmax(last, schedule->end_step), SCHEDULE_STEPS_MAX), steps[EFOLD_LOOKS];
    struct schedule_sums sums[EFOLD_LOOKS];
    schedule_accumulate(schedule, &high, 1, sums);
    if (!(sums[0].log_kept <= -1))
        return (double)NAN;
    while (high - low > 1) {
        int first = 0;
        for (int i = 0; i < EFOLD_LOOKS; i++)
            steps[i] = low + floor((high - low) * (i + 1) / EFOLD_LOOKS);
        schedule_accumulate(schedule, steps, EFOLD_LOOKS, sums);
        while (first < EFOLD_LOOKS - 1 && sums[first].log_kept > -1)
            first++;
        high = steps[first];
        low = first ? steps[first - 1] : low;
    }
    return high;
}

int series_fit_decay(const struct series_input *input, struct series *series, struct err *err)
{
    const double none = (double)NAN;
    struct series_decay decay = {.log_error = none, .lag1_log_error = none, .walk = none, .efold_step = none};
    struct null_model model = {.fitted = calloc(input->count + 1, sizeof(*model.fitted))};
    if (!model.fitted)
        return err_set(err, ERR_NO_MEMORY, "no memory for a series");
    collect_fitted(input, series, &model);
    if (input->options->schedule.kind != SCHEDULE_KIND_UNKNOWN && input->count)
        decay.efold_step =
            schedule_clock_number(&input->options->clock,
                                  efold_step(&input->options->schedule, input->sums[input->count - 1].step));
    if (model.count >= (size_t)input->options->points_min && model.start >= 0) {
        decay.walk = fit_walk(&model, &decay.log_error);
        decay.lag1_log_error = find_lag1_error(input, series, decay.walk);
        decay.verdict = decay.log_error <= input->options->null_tolerance &&
                                !(decay.lag1_log_error > input->options->null_lag1_tolerance)
                            ? SERIES_VERDICT_YES
                            : SERIES_VERDICT_NO;
        for (size_t i = 0; i < input->count; i++) {
            struct null_point point = null_point_at(input, model.start, i);
            series->derived[i].msd_null = point.decayed + decay.walk * point.walked;
        }
    }
    series->decay = decay;
    free(model.fitted);
    return 0;
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
