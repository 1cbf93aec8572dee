#include "daemon/analysis/series.h"

#include "daemon/analysis/equal_content.h"
#include "daemon/analysis/series_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct series_options series_options_default(void)
{
    return (struct series_options){
        .schedule = {.kind = SCHEDULE_KIND_UNKNOWN},
        .clock = {1, 0},
        .reference_step = (double)NAN,
        .dip_on = 0.005,
        .dip_off = 0.003,
        .dip_sqrt_n_on = 0.83,
        .valley_on = 0.90,
        .valley_off = 0.95,
        .ashman_on = 2.0,
        .weight_min = 0.05,
        .modes_on = 2,
        .spacing_max = 0.08,
        .consecutive = 2,
        .points_min = 4,
        .rest_share = 0.25,
        .rest_moved_share = 0.05,
        .rest_points = 3,
        .alpha_reach = 2,
        .fall_factor = 1.2,
        .late_harm = 1.05,
        .late_harm_errors = 3,
        .diverged_growth = 100,
        .diverged_size = 1,
        .null_tolerance = 0.2,
        .null_lag1_tolerance = 0.5,
    };
}

static int check(const struct series_point *points, size_t count, const struct series_options *options,
                 struct err *err)
{
    if (count > SERIES_POINTS_MAX)
        return err_set(err, ERR_LIMIT, "a series of more than %d revisions", SERIES_POINTS_MAX);
    if (options->consecutive < 1 || options->points_min < 1 || options->rest_points < 1 ||
        options->alpha_reach < 1)
        return err_set(err, ERR_INVALID,
                       "counts of revisions in the options of an analysis must be at least 1");
    for (size_t i = 0; i < count; i++) {
        if (!(points[i].step >= 0))
            return err_set(err, ERR_INVALID, "revision %zu of the series has no step", i);
        if (i && !(points[i].step > points[i - 1].step))
            return err_set(err, ERR_INVALID, "the steps of a series must ascend");
    }
    return 0;
}

/* Of a group of equal revisions: the first if they follow each other, otherwise the last of the series if it
 * is among them (measured, as the audit has it: the last one that is measured may be any), otherwise the
 * first. */
static size_t choose(const struct equal_content *group, size_t count, size_t last)
{
    int is_run = equal_content_is_run(group, count);
    return !is_run && group[count - 1].index == last ? last : group[0].index;
}

/* Which points count, and whether the first is suspect. */
static int mark_repetitions(const struct series_input *input, struct series *series, struct err *err)
{
    struct equal_content *contents = calloc(input->count + 1, sizeof(*contents));
    size_t known = 0;
    if (!contents)
        return err_set(err, ERR_NO_MEMORY, "no memory for a series");
    for (size_t i = 0; i < input->count; i++) {
        input->kept[i] = i;
        series->derived[i].is_counted = input->points[i].is_measured;
        if (input->points[i].is_measured && input->points[i].content)
            contents[known++] = (struct equal_content){input->points[i].content, i};
    }
    equal_content_sort(contents, known);
    for (size_t begin = 0, end; begin < known; begin = end) {
        end = equal_content_end(contents, known, begin);
        size_t kept = choose(&contents[begin], end - begin, input->count - 1);
        for (size_t i = begin; i < end; i++) {
            input->kept[contents[i].index] = kept;
            series->derived[contents[i].index].is_counted = contents[i].index == kept;
        }
        if (end - begin > 1)
            series->controls |= SERIES_CONTROL_DUPLICATES;
        if (contents[begin].index == 0 && kept != 0)
            series->stop.cautions |= SERIES_CAUTION_FIRST_IS_SUSPECT;
    }
    for (size_t i = 0; i < input->count; i++)
        series->counted += (size_t)series->derived[i].is_counted;
    free(contents);
    return 0;
}

static size_t find_reference(const struct series_point *points, size_t count, double step)
{
    size_t i = 0;
    while (i < count && !isnan(step) && points[i].step != step)
        i++;
    return i;
}

int series_analyze(const struct series_point *points, size_t point_count,
                   const struct series_options *options, struct series *ret_series, struct err *err)
{
    int code = check(points, point_count, options, err);
    if (code)
        return code;
    struct series series = {0};
    struct series_input input = {.points = points, .count = point_count, .options = options};
    input.reference = find_reference(points, point_count, options->reference_step);
    double *steps = calloc(point_count + 1, sizeof(*steps));
    series.derived = calloc(point_count + 1, sizeof(*series.derived));
    input.kept = calloc(point_count + 1, sizeof(*input.kept));
    input.sums = calloc(point_count + 1, sizeof(*input.sums));
    if (!steps || !series.derived || !input.kept || !input.sums) {
        code = err_set(err, ERR_NO_MEMORY, "no memory for a series of %zu revisions", point_count);
        goto out;
    }
    for (size_t i = 0; i < point_count; i++)
        steps[i] = schedule_clock_step(&options->clock, points[i].step);
    schedule_accumulate(&options->schedule, steps, point_count, input.sums);
    code = mark_repetitions(&input, &series, err);
    if (!code)
        code = series_find_divergence(&input, &series, err);
    if (!code)
        code = series_derive(&input, &series, err);
    if (code)
        goto out;
    series_find_onsets(&input, &series);
    series_find_fall(&input, &series);
    code = series_find_rest(&input, &series, err);
    if (!code)
        code = series_fit_decay(&input, &series, err);
    if (code)
        goto out;
    series_name_controls(&input, &series);
    series_recommend(&input, &series);
out:
    free(steps);
    free(input.kept);
    free(input.sums);
    if (code)
        series_free(&series);
    else
        *ret_series = series;
    return code;
}

void series_free(struct series *series)
{
    if (!series)
        return;
    free(series->derived);
    memset(series, 0, sizeof(*series));
}

const char *series_verdict_name(enum series_verdict verdict)
{
    static const char *const names[] = {"insufficient", "no", "yes"};
    return (unsigned)verdict < 3 ? names[verdict] : "insufficient";
}

const char *series_control_name(unsigned control)
{
    switch (control) {
    case SERIES_CONTROL_MEAN_ROW:
        return "mean_row";
    case SERIES_CONTROL_PADDING:
        return "padding";
    case SERIES_CONTROL_SCHEDULE:
        return "schedule";
    case SERIES_CONTROL_DECAY:
        return "decay";
    case SERIES_CONTROL_RESOLUTION:
        return "resolution";
    case SERIES_CONTROL_DUPLICATES:
        return "duplicates";
    case SERIES_CONTROL_CODES:
        return "codes";
    default:
        return NULL;
    }
}

const char *series_caution_name(unsigned caution)
{
    switch (caution) {
    case SERIES_CAUTION_LATE_HARM:
        return "late_harm";
    case SERIES_CAUTION_NO_ONSET:
        return "no_onset";
    case SERIES_CAUTION_NO_PERPLEXITY:
        return "no_perplexity";
    case SERIES_CAUTION_SCHEDULE:
        return "schedule";
    case SERIES_CAUTION_ONLY_RAW:
        return "only_raw";
    case SERIES_CAUTION_FIRST_IS_SUSPECT:
        return "first_is_suspect";
    case SERIES_CAUTION_OPEN_END:
        return "open_end";
    case SERIES_CAUTION_DIVERGED:
        return "diverged";
    case SERIES_CAUTION_STILL_FALLING:
        return "still_falling";
    default:
        return NULL;
    }
}
