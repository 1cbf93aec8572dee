#include "daemon/analysis/series_parts.h"

#include <math.h>

/* Perplexities of repeated revisions are those of other weights; after training has diverged, none counts,
 * whether the weights of its revision are measured or not. */
static int has_perplexity(const struct series_input *input, const struct series *series, size_t i)
{
    const struct series_point *point = &input->points[i];
    return point->perplexity > 0 && isfinite(point->perplexity) &&
           !(series->divergence.is_found && i >= series->divergence.index) &&
           (series->derived[i].is_counted || !point->is_measured);
}

static const struct series_onset *main_onset(const struct series *series)
{
    return &series->onsets[SERIES_ROWS_TOKENS][series->onset_view];
}

/* Whether the onset lies in the fall, or in the gap to the revision before or after it of which anything is
 * known. */
static int is_beside(const struct series_input *input, const struct series *series,
                     const struct series_fall *fall, double onset)
{
    double low = fall->step_from, high = fall->step_to;
    for (size_t i = 0; i < input->count && input->points[i].step < fall->step_from; i++) {
        if (series->derived[i].is_counted || has_perplexity(input, series, i))
            low = input->points[i].step;
    }
    for (size_t i = input->count; i-- > 0 && input->points[i].step > fall->step_to;) {
        if (series->derived[i].is_counted || has_perplexity(input, series, i))
            high = input->points[i].step;
    }
    return onset >= low && onset <= high;
}

/* The next point with a perplexity; the count of points if there is none. */
static size_t next_perplexity(const struct series_input *input, const struct series *series, size_t at)
{
    while (at < input->count && !has_perplexity(input, series, at))
        at++;
    return at;
}

/* `least`: of all perplexities up to `from`, since the way back from a spike is no fall, and nor is what is
 * within `bound`. */
static void take_steeper(const struct series_point *from, double least, const struct series_point *to,
                         double bound, struct series_fall *fall)
{
    double fallen = -log(to->perplexity / least);
    double steepness = fallen / log1p((to->step - from->step) / (1 + from->step));
    if (!(fallen > bound) || steepness <= fall->slope)
        return;
    fall->slope = steepness;
    fall->step_from = from->step;
    fall->step_to = to->step;
}

/* The steepest fall between ends that are far enough apart, or, where none is beyond the bound, from the
 * first to the last; how many perplexities there are. */
static size_t find_steepest(const struct series_input *input, const struct series *series, double bound,
                            struct series_fall *fall)
{
    const struct series_point *points = input->points;
    size_t first = next_perplexity(input, series, 0), last = first, to = first, count = 0;
    double least = (double)NAN;
    for (size_t from = first; from < input->count; from = next_perplexity(input, series, from + 1)) {
        count++;
        last = from;
        least = fmin(least, points[from].perplexity);
        while (to < input->count &&
               1 + points[to].step < input->options->fall_factor * (1 + points[from].step))
            to = next_perplexity(input, series, to + 1);
        if (to < input->count)
            take_steeper(&points[from], least, &points[to], bound, fall);
    }
    if (count > 1 && isnan(fall->slope))
        take_steeper(&points[first], points[first].perplexity, &points[last], bound, fall);
    return count;
}

static size_t count_perplexities(const struct series_input *input, const struct series *series)
{
    size_t count = 0;
    for (size_t i = 0; i < input->count; i++)
        count += (size_t)has_perplexity(input, series, i);
    return count;
}

/* The distance of ln perplexity from the line between its neighbours in ln(1 + step), in units in which it is
 * as large as one of the three fluctuates. */
static double distance_from_line(const struct series_point *const *three)
{
    double left = log1p((three[1]->step - three[0]->step) / (1 + three[0]->step));
    double right = log1p((three[2]->step - three[1]->step) / (1 + three[1]->step));
    double a = right / (left + right), b = left / (left + right);
    double distance =
        log(three[1]->perplexity) - a * log(three[0]->perplexity) - b * log(three[2]->perplexity);
    return distance / sqrt(1 + a * a + b * b);
}

/* Root mean square of these distances over the later half, where perplexity falls slowly; NaN where they are
 * too few. */
#define FLUCTUATION_DISTANCES_MIN 3

static double find_fluctuation(const struct series_input *input, const struct series *series)
{
    const struct series_point *three[3] = {NULL};
    size_t half = count_perplexities(input, series) / 2, seen = 0, used = 0;
    double sum = 0;
    for (size_t i = 0; i < input->count; i++) {
        if (!has_perplexity(input, series, i) || seen++ < half)
            continue;
        three[0] = three[1];
        three[1] = three[2];
        three[2] = &input->points[i];
        if (!three[0])
            continue;
        double distance = distance_from_line(three);
        sum += distance * distance;
        used++;
    }
    return used >= FLUCTUATION_DISTANCES_MIN ? sqrt(sum / (double)used) : (double)NAN;
}

/* What a difference of ln perplexity between two means of `run` in a row must exceed to be one: a fall, late
 * harm, or what stopping would have given up. */
static double change_bound(const struct series_options *options, double fluctuation, size_t run)
{
    return fmax(log(options->late_harm), options->late_harm_errors * fluctuation * sqrt(2 / (double)run));
}

void series_find_fall(const struct series_input *input, struct series *series)
{
    struct series_fall fall = {.step_from = (double)NAN,
                               .step_to = (double)NAN,
                               .slope = (double)NAN,
                               .ln_ratio_to_onset = (double)NAN};
    double bound = change_bound(input->options, find_fluctuation(input, series), 1);
    if (find_steepest(input, series, bound, &fall) >= 3)
        fall.verdict = isnan(fall.slope) ? SERIES_VERDICT_NO : SERIES_VERDICT_YES;
    const struct series_onset *onset = main_onset(series);
    if (fall.verdict == SERIES_VERDICT_YES && onset->verdict == SERIES_VERDICT_YES) {
        double middle = sqrt((1 + fall.step_from) * (1 + fall.step_to));
        fall.ln_ratio_to_onset = log(middle / (1 + onset->step));
        fall.is_beside_onset = is_beside(input, series, &fall, onset->step);
    }
    series->fall = fall;
}

/* Whether the end is worse than the best: of as many in a row as make a ninth of the run, since the least of
 * many that fluctuate is below what any one of them is worth, and by more than these means fluctuate. */
#define HARM_RUN_MAX 5

static int is_harmed(const struct series_input *input, const struct series *series, double fluctuation)
{
    double recent[HARM_RUN_MAX] = {0}, sum = 0, mean = (double)NAN, least = (double)NAN;
    size_t run = count_perplexities(input, series) / 9, at = 0;
    run = run < 1 ? 1 : run > HARM_RUN_MAX ? HARM_RUN_MAX : run;
    for (size_t i = 0; i < input->count; i++) {
        if (!has_perplexity(input, series, i))
            continue;
        double *oldest = &recent[at++ % run];
        sum -= *oldest;
        *oldest = log(input->points[i].perplexity);
        sum += *oldest;
        mean = at >= run ? sum / (double)run : mean;
        least = fmin(least, mean);
    }
    return mean > least + change_bound(input->options, fluctuation, run);
}

/* The perplexity there is that of the first revision from there on that has one. One that is the end's, too,
 * is compared with nothing: what stopping costs is not known. */
static void add_perplexities(const struct series_input *input, const struct series *series,
                             struct series_stop *stop)
{
    double end_step = (double)NAN;
    stop->perplexity = stop->perplexity_step = (double)NAN;
    stop->perplexity_end = stop->perplexity_best = stop->perplexity_best_step = (double)NAN;
    for (size_t i = 0; i < input->count; i++) {
        const struct series_point *point = &input->points[i];
        if (!has_perplexity(input, series, i))
            continue;
        stop->perplexity_end = point->perplexity;
        end_step = point->step;
        if (!(point->perplexity >= stop->perplexity_best)) {
            stop->perplexity_best = point->perplexity;
            stop->perplexity_best_step = point->step;
        }
        if (isnan(stop->perplexity) && point->step >= stop->step) {
            stop->perplexity = point->perplexity;
            stop->perplexity_step = point->step;
        }
    }
    if (stop->perplexity_step == end_step)
        stop->perplexity = stop->perplexity_step = (double)NAN;
    stop->given_up = log(stop->perplexity / stop->perplexity_end);
    if (isnan(stop->perplexity_end) || (stop->verdict == SERIES_VERDICT_YES && isnan(stop->given_up)))
        stop->cautions |= SERIES_CAUTION_NO_PERPLEXITY;
    stop->fluctuation = find_fluctuation(input, series);
    if (is_harmed(input, series, stop->fluctuation))
        stop->cautions |= SERIES_CAUTION_LATE_HARM;
    if (stop->verdict == SERIES_VERDICT_YES &&
        stop->given_up > change_bound(input->options, stop->fluctuation, 1)) {
        stop->verdict = SERIES_VERDICT_NO; /* the weights rest, but the model was not done */
        stop->saved = (double)NAN;
        stop->cautions |= SERIES_CAUTION_STILL_FALLING;
    }
}

/* Rest that the schedule does not explain, or rest per step where the schedule is not known. */
static struct series_rest true_rest(const struct series_input *input, const struct series *series)
{
    struct series_rest rest = series->rest_per_step;
    if (input->options->schedule.kind == SCHEDULE_KIND_UNKNOWN || rest.verdict != SERIES_VERDICT_YES)
        return rest;
    const struct series_rest *const others[] = {&series->rest_per_lr, &series->rest_per_lr_squared};
    for (int i = 0; i < 2; i++) {
        if (others[i]->verdict != SERIES_VERDICT_YES)
            rest.verdict = others[i]->verdict;
        rest.step = fmax(rest.step, others[i]->step);
    }
    return rest;
}

/* The last measured step, up to which fork and rest are known; NaN if nothing is measured. */
static double last_measured_step(const struct series_input *input)
{
    for (size_t i = input->count; i-- > 0;) {
        if (input->points[i].is_measured)
            return input->points[i].step;
    }
    return (double)NAN;
}

void series_recommend(const struct series_input *input, struct series *series)
{
    struct series_stop *stop = &series->stop;
    const struct series_onset *onset = main_onset(series);
    struct series_rest rest = true_rest(input, series);
    double last = last_measured_step(input);
    stop->step = stop->saved = (double)NAN;
    if (!isnan(last) && last < input->points[input->count - 1].step)
        stop->cautions |= SERIES_CAUTION_OPEN_END;
    if (onset->verdict == SERIES_VERDICT_NO)
        stop->cautions |= SERIES_CAUTION_NO_ONSET;
    if (onset->verdict == SERIES_VERDICT_YES && series->onset_view == SERIES_VIEW_RAW)
        stop->cautions |= SERIES_CAUTION_ONLY_RAW;
    if (input->options->schedule.kind == SCHEDULE_KIND_UNKNOWN ||
        (series->controls & SERIES_CONTROL_SCHEDULE))
        stop->cautions |= SERIES_CAUTION_SCHEDULE;
    if (onset->verdict == SERIES_VERDICT_INSUFFICIENT || rest.verdict == SERIES_VERDICT_INSUFFICIENT) {
        stop->verdict = SERIES_VERDICT_INSUFFICIENT;
    } else if (onset->verdict == SERIES_VERDICT_YES && onset->is_lasting &&
               rest.verdict == SERIES_VERDICT_YES) {
        stop->verdict = SERIES_VERDICT_YES;
        stop->step = fmax(onset->step_lasting, rest.step);
        stop->saved = 1 - stop->step / last;
    } else {
        stop->verdict = SERIES_VERDICT_NO;
    }
    add_perplexities(input, series, stop);
}
