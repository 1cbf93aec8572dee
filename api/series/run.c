#include "api/series/run.h"

#include "api/series/run_texts.h"
#include "daemon/analysis/sample.h"
#include "daemon/analysis/tokens_seen.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAG1_BACK_MAX 1000 /* so far back the reference of a lag-1 displacement is looked for */

struct reader {
    struct api_run *run;
    size_t capacity;
    struct run_score (*scores)[PERPLEXITY_MODE_COUNT];
    char (*lag1)[LIMIT_REVISION_NAME_BYTES + 1]; /* what each point's lag-1 displacement is against */
    char (*reference)[LIMIT_REVISION_NAME_BYTES + 1];
    struct revision_key last;
    int rows; /* of the present page */
    int has_no_memory;
};

static int grow(void **array, size_t capacity, size_t size)
{
    void *larger = realloc(*array, capacity * size);
    if (!larger)
        return -1;
    *array = larger;
    return 0;
}

static int make_room(struct reader *reader)
{
    struct api_run *run = reader->run;
    size_t capacity = reader->capacity ? 2 * reader->capacity : 256;
    if (run->count < reader->capacity)
        return 0;
    if (grow((void **)&run->points, capacity, sizeof *run->points) ||
        grow((void **)&run->series, capacity, sizeof *run->series) ||
        grow((void **)&reader->scores, capacity, sizeof *reader->scores) ||
        grow((void **)&reader->lag1, capacity, sizeof *reader->lag1) ||
        grow((void **)&reader->reference, capacity, sizeof *reader->reference))
        return -1;
    reader->capacity = capacity;
    return 0;
}

static double real_if(int condition, double value)
{
    return condition ? value : (double)NAN;
}

/* A number for the content: 64 bits of its SHA-256, never 0. */
static uint64_t content_number(const char *digest)
{
    char head[17];
    (void)snprintf(head, sizeof head, "%.16s", digest);
    uint64_t number = strtoull(head, NULL, 16);
    return number ? number : 1;
}

static void take_shapes(const struct series_row *row, struct api_run_point *point,
                        struct series_point *series)
{
    for (int variant = 0; variant < SERIES_VARIANT_COUNT; variant++) {
        const struct statistics_row *statistics = &row->statistics[variant];
        int is_there = row->has_statistics[variant];
        series->shapes[variant % 2][variant / 2] = (struct series_shape){
            .mean = real_if(is_there, statistics->mean),
            .variance = real_if(is_there, statistics->variance),
            .low = real_if(is_there, statistics->q05),
            .high = real_if(is_there, statistics->q95),
            .bimodality = real_if(is_there, statistics->bimodality),
            .dip = real_if(is_there, statistics->dip),
            .dip_sqrt_n = real_if(is_there, statistics->dip_sqrt_n),
            .mixture_weight = real_if(is_there, statistics->mixture_weight1),
            .ashman_d = real_if(is_there, statistics->ashman_d),
            .valley_to_peak = real_if(is_there, statistics->valley_to_peak),
            .modes = real_if(is_there, statistics->modes),
        };
        point->low[variant] = real_if(is_there, statistics->q001);
        point->high[variant] = real_if(is_there, statistics->q999);
    }
}

static double share_not_finite(const struct series_row *row)
{
    const struct statistics_row *all = &row->statistics[SERIES_VARIANT_ALL];
    double values = (double)row->tensor.content.rows * (double)row->tensor.content.columns;
    double bad = (double)all->nan_count + (double)all->positive_inf_count + (double)all->negative_inf_count;
    return row->has_statistics[SERIES_VARIANT_ALL] && values > 0.0 ? bad / values : 0.0;
}

static enum series_precision precision_of(const char *dtype)
{
    return strcmp(dtype, "float16") == 0    ? SERIES_PRECISION_F16
           : strcmp(dtype, "bfloat16") == 0 ? SERIES_PRECISION_BF16
                                            : SERIES_PRECISION_F32;
}

static void take_tensor(struct api_run *run, const struct series_row *row, struct api_run_point *point,
                        struct series_point *series)
{
    if (!row->has_tensor)
        return;
    series->is_measured = 1;
    series->content = content_number(row->tensor.content.digest);
    series->precision = precision_of(row->tensor.content.dtype);
    (void)snprintf(point->digest, sizeof point->digest, "%s", row->tensor.content.digest);
    point->not_finite = series->not_finite = share_not_finite(row);
    run->measured++;
    run->rows = row->tensor.content.rows;
    run->columns = row->tensor.content.columns;
    run->token_rows = row->tensor.token_rows;
    (void)snprintf(run->tensor, sizeof run->tensor, "%s", row->tensor.tensor);
    if (row->reference[0])
        (void)snprintf(run->reference, sizeof run->reference, "%s", row->reference);
}

static int take(void *context, const struct series_row *row)
{
    struct reader *reader = context;
    struct api_run *run = reader->run;
    reader->rows++;
    revision_key_of(&row->revision, &reader->last);
    if (strcmp(row->revision.commit, REVISION_NO_COMMIT) == 0 &&
        !row->has_tensor) { /* it fills no hole of the run */
        run->nobodys++;
        return 0;
    }
    if (run->count && row->revision.step <= run->points[run->count - 1].step) {
        run->left_out++;
        return 0;
    }
    reader->has_no_memory = make_room(reader);
    if (reader->has_no_memory)
        return 1;
    size_t at = run->count++;
    struct api_run_point *point = &run->points[at];
    struct series_point *series = &run->series[at];
    *point = (struct api_run_point){
        .revision_id = row->revision.id,
        .step = row->revision.step,
        .tokens = real_if(row->revision.stated & REVISION_STATES_TOKENS, (double)row->revision.tokens),
    };
    *series = (struct series_point){.step = (double)row->revision.step};
    (void)snprintf(point->name, sizeof point->name, "%s", row->revision.name);
    (void)snprintf(reader->lag1[at], sizeof reader->lag1[at], "%s", row->lag1_reference);
    (void)snprintf(reader->reference[at], sizeof reader->reference[at], "%s", row->reference);
    take_shapes(row, point, series);
    take_tensor(run, row, point, series);
    for (int set = 0; set < 2; set++) {
        series->msd[set] = real_if(row->has_displacement[set], row->displacement[set].msd);
        series->lag1_msd[set] = real_if(row->has_displacement[2 + set], row->displacement[2 + set].msd);
    }
    for (int mode = 0; mode < PERPLEXITY_MODE_COUNT; mode++) {
        const struct perplexity_row *score = &row->perplexity[mode];
        reader->scores[at][mode] = (struct run_score){
            .value = real_if(score->id != 0, score->perplexity),
            .stderror = real_if(score->id != 0, score->perplexity_stderr),
            .texts = run_texts_number(score),
        };
        if (score->id)
            (void)snprintf(point->weights, sizeof point->weights, "%s", score->weights_digest);
    }
    return 0;
}

/* How many points before point i the revision lies that its lag-1 displacement is against; 0 if none of them
 * is it. Others may have been measured between the two since. */
static size_t find_lag1(const struct reader *reader, size_t i)
{
    const struct api_run *run = reader->run;
    for (size_t back = 1; back <= i && back <= LAG1_BACK_MAX && reader->lag1[i][0]; back++) {
        if (run->series[i - back].is_measured && strcmp(run->points[i - back].name, reader->lag1[i]) == 0)
            return back;
    }
    return 0;
}

/* Leaves out displacements that are not what the analysis takes them for: against another revision than the
 * others' (a later sweep named one), or against one that is no earlier measured point. */
static void check_references(struct reader *reader)
{
    struct api_run *run = reader->run;
    size_t previous = 0; /* the last measured point, plus one */
    run->reference_step = (double)INFINITY;
    for (size_t i = 0; i < run->count; i++) {
        struct series_point *series = &run->series[i];
        if (strcmp(run->points[i].name, run->reference) == 0)
            run->reference_step = series->step;
        if (strcmp(reader->reference[i], run->reference) != 0) {
            run->references_apart += reader->reference[i][0] != 0;
            series->msd[0] = series->msd[1] = (double)NAN;
        }
        size_t back = find_lag1(reader, i);
        if (back == 0)
            series->lag1_msd[0] = series->lag1_msd[1] = (double)NAN;
        series->lag1_back = previous == i - back + 1 ? 0 : back;
        if (series->is_measured)
            previous = i + 1;
    }
}

/* Tokens at each point, from what the names say. */
static int count_tokens(struct api_run *run, struct err *err)
{
    double *steps = calloc(2 * run->count + 1, sizeof *steps);
    if (!steps)
        return err_set(err, ERR_NO_MEMORY, "%s: no memory for the series", run->model.name);
    double *tokens = steps + run->count;
    for (size_t i = 0; i < run->count; i++) {
        steps[i] = run->series[i].step;
        tokens[i] = run->points[i].tokens;
    }
    if (run->model.step_unit == STEP_UNIT_STEPS)
        tokens_seen_refine(steps, tokens, run->count);
    for (size_t i = 0; i < run->count; i++)
        run->points[i].tokens = run->model.step_unit == STEP_UNIT_TOKENS ? steps[i] : tokens[i];
    free(steps);
    return 0;
}

double api_run_tokens_at(const struct api_run *run, double step)
{
    size_t low = 0, high = run->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (run->series[middle].step < step)
            low = middle + 1;
        else
            high = middle;
    }
    return low < run->count && run->series[low].step <= step ? run->points[low].tokens : (double)NAN;
}

/* By their number, which is kept, before any is read. */
static int refuse_too_many(struct store *store, const struct series_query *query,
                           const struct model_row *model, struct err *err)
{
    int64_t count = 0;
    int code = series_count(store, query, &count, err);
    if (!code && count > API_RUN_REVISIONS_MAX)
        code = err_set(err, ERR_LIMIT,
                       "%s: %" PRId64
                       " revisions with a step; more than %d are not read as one run (the rows can be "
                       "had: /revisions with from and to, `bifurcate series`)",
                       model->name, count, API_RUN_REVISIONS_MAX);
    return code;
}

int api_run_read(struct store *store, const struct model_row *model, const char *tensor, struct api_run *run,
                 struct err *err)
{
    struct api_run made = {.model = *model};
    struct reader reader = {.run = &made};
    struct series_query query = {
        .model_id = model->id, .tensor = tensor, .step_max = INT64_MAX, .limit = LIMIT_API_PAGE_ROWS};
    int code = refuse_too_many(store, &query, model, err);
    if (code)
        return code;
    (void)snprintf(made.tensor, sizeof made.tensor, "%s", tensor ? tensor : model->tensor);
    do {
        struct revision_key after = reader.last;
        query.after = made.count ? &after : NULL;
        reader.rows = 0;
        code = series_read(store, &query, NULL, take, &reader, err);
    } while (!code && !reader.has_no_memory && reader.rows == query.limit);
    if (!code && reader.has_no_memory)
        code = err_set(err, ERR_NO_MEMORY, "%s: no memory for the series", model->name);
    if (!code) {
        check_references(&reader);
        code = run_texts_choose(&made, reader.scores, err);
    }
    if (!code)
        code = count_tokens(&made, err);
    free(reader.scores);
    free(reader.lag1);
    free(reader.reference);
    if (code)
        api_run_free(&made);
    else
        *run = made;
    return code;
}

size_t api_run_find(const struct api_run *run, const struct revision_row *revision)
{
    size_t low = 0, high = run->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (run->points[middle].step < revision->step)
            low = middle + 1;
        else
            high = middle;
    }
    return low < run->count && run->points[low].revision_id == revision->id ? low : run->count;
}

int api_run_revisions(const struct api_run *run)
{
    size_t count = run->count + run->left_out + run->nobodys;
    return count < INT_MAX ? (int)count : INT_MAX;
}

void api_run_free(struct api_run *run)
{
    free(run->points);
    free(run->series);
    run->points = NULL;
    run->series = NULL;
}

void api_run_options(const struct api_run *run, struct series_options *options)
{
    *options = series_options_default();
    api_run_schedule(&run->model, &options->schedule, &options->clock);
    options->reference_step = run->reference_step;
}

void api_run_schedule(const struct model_row *model, struct schedule *schedule, struct schedule_clock *clock)
{
    const struct schedule_clock known = schedule_clock_of_model(model->name);
    const int are_steps = known.each == 1 && known.first == 0;
    *schedule = (struct schedule){.kind = SCHEDULE_KIND_UNKNOWN};
    *clock = (struct schedule_clock){1, 0};
    if (model->step_unit != (are_steps ? STEP_UNIT_STEPS : STEP_UNIT_CHECKPOINTS))
        return; /* a rule of the user's reads the names otherwise */
    *schedule = schedule_of_model(model->name);
    *clock = known;
}

size_t api_run_sampled(const struct api_run *run)
{
    return run->measured ? sample_count((uint64_t)run->token_rows, (uint64_t)run->columns) : 0;
}

int api_run_list_samples(struct store *store, const struct api_run *run, const struct revision_key *after,
                         int limit,
                         int (*row)(void *context, const struct revision_row *revision,
                                    const struct sample_row *row),
                         void *context, struct err *err)
{
    const struct values_range range = {run->model.id, run->tensor, after, limit};
    const struct sample_row key = {
        .definition = SAMPLE_DEFINITION, .seed = SAMPLE_SEED, .count = (int64_t)api_run_sampled(run)};
    return samples_list(store, &range, run->token_rows, &key, row, context, err);
}

void api_run_describe_sample(const struct api_run *run, struct api_json *json)
{
    api_json_text(json, "model", run->model.name);
    api_json_text_or_null(json, "tensor", run->tensor);
    api_json_text(json, "step_unit", step_unit_name(run->model.step_unit));
    api_json_text(json, "rows", "tokens");
    api_json_integer(json, "seed", SAMPLE_SEED);
    api_json_integer(json, "definition", SAMPLE_DEFINITION);
    api_json_integer(json, "sampled", (int64_t)api_run_sampled(run));
}
