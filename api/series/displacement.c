#include "daemon/analysis/sample.h"

#include "api/form/csv.h"
#include "api/form/json.h"
#include "api/resource/context.h"
#include "api/resource/query.h"
#include "api/series/handlers.h"
#include "api/series/revision_page.h"
#include "api/series/run.h"

#include <stdlib.h>
#include <string.h>

/* A matrix of so many revisions: half of limit^2 comparisons of 4,096 entries take a moment. */
#define LIMIT_STANDARD 200
#define LIMIT_MAX 400

/* Samples of the chosen points, in order. */
struct matrix {
    const struct api_run *run;
    size_t sampled;
    size_t *chosen; /* indices of points */
    size_t count;
    size_t loaded;
    struct revision_page page;           /* of which only what is damaged counts */
    float *values;                       /* [count][sampled] */
    struct sample_displacement *between; /* [loaded][loaded] */
};

/* Points that were chosen but have no sample are dropped. */
static int take_sample(void *context, const struct revision_row *revision, const struct sample_row *row)
{
    struct matrix *matrix = context;
    for (size_t i = matrix->loaded; i < matrix->count; i++) {
        if (matrix->run->points[matrix->chosen[i]].revision_id != revision->id)
            continue;
        if (!row->values) {
            revision_page_note_damaged(&matrix->page, revision, NULL, 0);
            break;
        }
        matrix->chosen[matrix->loaded] = matrix->chosen[i];
        memcpy(matrix->values + matrix->loaded * matrix->sampled, row->values,
               matrix->sampled * sizeof(float));
        matrix->loaded++;
        break;
    }
    return matrix->loaded == matrix->count;
}

/* Evenly spread among the measured points within the steps, the first and the last included. */
static void choose(struct matrix *matrix, int64_t from, int64_t to, size_t limit, size_t *ret_available)
{
    const struct api_run *run = matrix->run;
    size_t available = 0;
    for (size_t i = 0; i < run->count; i++) {
        if (run->series[i].is_measured && run->points[i].step >= from && run->points[i].step <= to)
            matrix->chosen[available++] = i;
    }
    matrix->count = available < limit ? available : limit;
    for (size_t i = 0; i < matrix->count && available > limit && limit > 1; i++)
        matrix->chosen[i] = matrix->chosen[i * (available - 1) / (limit - 1)];
    *ret_available = available;
}

static int compute(struct matrix *matrix, struct err *err)
{
    matrix->between = calloc(matrix->loaded * matrix->loaded + 1, sizeof *matrix->between);
    if (!matrix->between)
        return err_set(err, ERR_NO_MEMORY, "displacements: out of memory");
    for (size_t i = 0; i < matrix->loaded; i++) {
        for (size_t k = 0; k <= i; k++) {
            struct sample_displacement displacement = sample_displacement_of(
                matrix->values + k * matrix->sampled, matrix->values + i * matrix->sampled, matrix->sampled);
            matrix->between[i * matrix->loaded + k] = displacement;
            matrix->between[k * matrix->loaded + i] = displacement;
        }
    }
    return 0;
}

enum member { MEMBER_PAIRS, MEMBER_MSD, MEMBER_MSD_STDERR, MEMBER_COSINE };

static void print_member(struct api_json *json, const struct matrix *matrix, const char *key,
                         enum member member)
{
    api_json_open_array(json, key);
    for (size_t i = 0; i < matrix->loaded; i++) {
        api_json_open_array(json, NULL);
        for (size_t k = 0; k < matrix->loaded; k++) {
            const struct sample_displacement *one = &matrix->between[i * matrix->loaded + k];
            if (member == MEMBER_PAIRS)
                api_json_integer(json, NULL, (int64_t)one->count);
            else
                api_json_real(json, NULL,
                              member == MEMBER_MSD          ? one->msd
                              : member == MEMBER_MSD_STDERR ? one->msd_error
                                                            : one->cosine);
        }
        api_json_close_array(json);
    }
    api_json_close_array(json);
}

static void print_json(const struct matrix *matrix, size_t available, struct buf *body)
{
    struct api_json json;
    api_json_init(&json, body);
    api_json_open_object(&json, NULL);
    api_run_describe_sample(matrix->run, &json);
    api_json_integer(&json, "available", (int64_t)available);
    api_json_integer(&json, "count", (int64_t)matrix->loaded);
    revision_page_print_damaged(&matrix->page, &json);
    api_json_open_array(&json, "revisions");
    for (size_t i = 0; i < matrix->loaded; i++)
        api_json_text(&json, NULL, matrix->run->points[matrix->chosen[i]].name);
    api_json_close_array(&json);
    api_json_open_array(&json, "steps");
    for (size_t i = 0; i < matrix->loaded; i++)
        api_json_integer(&json, NULL, matrix->run->points[matrix->chosen[i]].step);
    api_json_close_array(&json);
    print_member(&json, matrix, "pairs", MEMBER_PAIRS);
    print_member(&json, matrix, "msd", MEMBER_MSD);
    print_member(&json, matrix, "msd_stderr", MEMBER_MSD_STDERR);
    print_member(&json, matrix, "cosine", MEMBER_COSINE);
    api_json_close_object(&json);
}

/* A line for each pair, the later revision first. */
static void print_csv(const struct matrix *matrix, struct buf *body)
{
    struct api_csv csv;
    api_csv_init(&csv, body);
    buf_append_text(body, "revision,step,reference,reference_step,pairs,msd,msd_stderr,cosine\r\n");
    for (size_t i = 0; i < matrix->loaded; i++) {
        for (size_t k = 0; k < i; k++) {
            const struct sample_displacement *one = &matrix->between[i * matrix->loaded + k];
            const struct api_run_point *later = &matrix->run->points[matrix->chosen[i]];
            const struct api_run_point *earlier = &matrix->run->points[matrix->chosen[k]];
            api_csv_text(&csv, later->name);
            api_csv_integer(&csv, later->step);
            api_csv_text(&csv, earlier->name);
            api_csv_integer(&csv, earlier->step);
            api_csv_integer(&csv, (int64_t)one->count);
            api_csv_real(&csv, one->msd);
            api_csv_real(&csv, one->msd_error);
            api_csv_real(&csv, one->cosine);
            api_csv_end_line(&csv);
        }
    }
}

static int answer(const struct api_request *request, const struct api_run *run, int64_t from, int64_t to,
                  size_t limit, struct api_response *response, struct err *err)
{
    struct matrix matrix = {.run = run, .sampled = api_run_sampled(run)};
    size_t available = 0;
    int code = 0;
    revision_page_init(&matrix.page, 0);
    matrix.chosen = calloc(run->count + 1, sizeof *matrix.chosen);
    if (matrix.chosen)
        choose(&matrix, from, to, limit, &available);
    matrix.values = calloc(matrix.count * matrix.sampled + 1, sizeof(float));
    if (!matrix.chosen || !matrix.values)
        code = err_set(err, ERR_NO_MEMORY, "displacements: out of memory");
    if (!code && matrix.count)
        code = api_run_list_samples(request->context->store, run, NULL, api_run_revisions(run), take_sample,
                                    &matrix, err);
    if (!code)
        code = buf_check(&matrix.page.damaged, "displacements", err);
    if (!code)
        code = compute(&matrix, err);
    if (!code && request->format == API_FORMAT_CSV)
        print_csv(&matrix, &response->body);
    else if (!code)
        print_json(&matrix, available, &response->body);
    revision_page_free(&matrix.page);
    free(matrix.chosen);
    free(matrix.values);
    free(matrix.between);
    return code;
}

int api_get_displacement(struct api_request *request, struct api_response *response, struct err *err)
{
    struct model_row model;
    struct api_run run = {0};
    const char *tensor = NULL;
    int64_t from = 0, to = INT64_MAX, limit = LIMIT_STANDARD;
    int code = api_query_tensor(request, &tensor, response, err);
    if (!code)
        code = api_request_integer(request, "from", 0, INT64_MAX, &from, response, err);
    if (!code)
        code = api_request_integer(request, "to", 0, INT64_MAX, &to, response, err);
    if (!code)
        code = api_request_integer(request, "limit", 2, LIMIT_MAX, &limit, response, err);
    if (!code)
        code = api_query_model(request, &model, err);
    if (!code)
        code = api_run_read(request->context->store, &model, tensor, &run, err);
    if (!code)
        code = answer(request, &run, from, to, (size_t)limit, response, err);
    api_run_free(&run);
    return code;
}
