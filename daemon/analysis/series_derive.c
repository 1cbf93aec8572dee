#include "daemon/analysis/series_parts.h"

#include "daemon/analysis/line.h"

#include <math.h>
#include <stdlib.h>

int series_is_in_warmup(const struct series_input *input, size_t at)
{
    const struct schedule *schedule = &input->options->schedule;
    return schedule->kind != SCHEDULE_KIND_UNKNOWN && input->sums[at].step <= schedule->warmup_steps;
}

struct schedule_sums series_sums_since(const struct series_input *input, size_t at)
{
    const double none = (double)NAN;
    struct schedule_sums since = {none, none, none, none, none, none, none};
    if (input->reference >= input->count || at < input->reference)
        return since;
    const struct schedule_sums *from = &input->sums[input->reference], *to = &input->sums[at];
    since.step = to->step - from->step;
    since.rate = to->rate;
    since.rates = to->rates - from->rates;
    since.rates_squared = to->rates_squared - from->rates_squared;
    since.log_kept = to->log_kept - from->log_kept;
    since.kept = exp(since.log_kept);
    since.decayed_walk = to->decayed_walk - since.kept * since.kept * from->decayed_walk;
    return since;
}

/* Slope of ln MSD over ln (steps since the reference) by least squares over counted points around `at` (an
 * index into `counted`). */
static double slope(const struct series_input *input, const size_t *counted, size_t count, size_t at)
{
    size_t reach = (size_t)input->options->alpha_reach;
    size_t begin = at > reach ? at - reach : 0, end = count - at > reach ? at + reach + 1 : count;
    struct line line = {0};
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = begin; i < end; i++) {
            const struct series_point *point = &input->points[counted[i]];
            double time = series_sums_since(input, counted[i]).step;
            if (!(time > 0) || !(point->msd[SERIES_ROWS_TOKENS] > 0))
                continue;
            line_add(&line, pass, log(time), log(point->msd[SERIES_ROWS_TOKENS]));
        }
    }
    return line.n >= 3 && line.sxx > 0 ? line.sxy / line.sxx : (double)NAN;
}

double series_spacing(double size, enum series_precision precision)
{
    if (!(size > 0))
        return (double)NAN;
    int smallest = precision == SERIES_PRECISION_F16 ? -14 : -126; /* below it the spacing stays */
    int exponent = ilogb(size) < smallest ? smallest : ilogb(size);
    return ldexp(1, exponent - (int)precision);
}

/* The squared error that rounding one end of a displacement leaves, at the typical size: ulp^2 / 12. */
static double rounding(const struct series_point *point)
{
    const struct series_shape *shape = &point->shapes[SERIES_ROWS_TOKENS][SERIES_VIEW_RAW];
    double ulp = series_spacing(sqrt(shape->variance + shape->mean * shape->mean), point->precision);
    return ulp * ulp / 12;
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : (double)NAN;
}

/* Whether a point holds the weights of its place in the run: it counts, or repeats the last one before it
 * that does. */
static int is_in_place(const struct series_input *input, const struct series *series, size_t at)
{
    size_t last = at;
    while (last > 0 && !series->derived[last].is_counted)
        last--;
    return series->derived[last].is_counted && input->kept[at] == last;
}

/* Rates from the revision that lag-1 displacement is against: the last measured one, or, where others were
 * measured between the two since, an earlier one. */
static void derive_rates(const struct series_input *input, const struct series *series, size_t previous,
                         size_t at, struct series_derived *derived)
{
    double displacement = input->points[at].lag1_msd[SERIES_ROWS_TOKENS];
    if (input->points[at].lag1_back > 0 && input->points[at].lag1_back <= at)
        previous = at - input->points[at].lag1_back;
    if (!is_in_place(input, series, previous))
        return;
    const struct schedule_sums *from = &input->sums[previous], *to = &input->sums[at];
    derived->lag1_from = previous;
    derived->resolution = rounding(&input->points[previous]) + rounding(&input->points[at]);
    derived->lag1_steps = input->points[at].step - input->points[previous].step;
    derived->rate_per_step = ratio(displacement, derived->lag1_steps);
    derived->rate_per_lr = ratio(displacement, to->rates - from->rates);
    derived->rate_per_lr_squared = ratio(displacement, to->rates_squared - from->rates_squared);
    derived->is_unresolved = displacement < derived->resolution;
}

int series_derive(const struct series_input *input, struct series *series, struct err *err)
{
    const double none = (double)NAN;
    size_t *counted = calloc(input->count + 1, sizeof(*counted));
    size_t count = 0, previous = 0;
    int has_previous = 0;
    if (!counted)
        return err_set(err, ERR_NO_MEMORY, "no memory for a series");
    for (size_t i = 0; i < input->count; i++) {
        struct series_derived *derived = &series->derived[i];
        const struct schedule_sums *sums = &input->sums[i];
        derived->alpha = derived->msd_null = none;
        derived->lag1_steps = none;
        derived->rate_per_step = derived->rate_per_lr = derived->rate_per_lr_squared = none;
        derived->resolution = 2 * rounding(&input->points[i]);
        derived->lr = sums->rate;
        derived->lr_sum = sums->rates;
        derived->msd_per_lr =
            ratio(input->points[i].msd[SERIES_ROWS_TOKENS], series_sums_since(input, i).rates);
        if (derived->is_counted && has_previous && count)
            derive_rates(input, series, previous, i, derived);
        if (derived->is_counted)
            counted[count++] = i;
        if (input->points[i].is_measured) {
            previous = i;
            has_previous = 1;
        }
    }
    for (size_t i = 0; i < count; i++)
        series->derived[counted[i]].alpha = slope(input, counted, count, i);
    free(counted);
    return 0;
}
