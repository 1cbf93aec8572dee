#include "api/form/csv.h"
#include "api/form/json.h"
#include "api/http/page.h"
#include "api/http/parts.h"
#include "api/resource/context.h"
#include "api/resource/query.h"
#include "api/series/handlers.h"
#include "api/series/revision_page.h"
#include "api/series/run.h"
#include "daemon/base/limits.h"
#include "store/distributions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_STANDARD 1000
/* Of all revisions of a page of JSON, unless one revision has more: 20 MB. CSV ends by `limit` alone, since
 * few who read it look for a next page: 154 revisions of 5,120 columns are 55 MB. */
#define COLUMNS_MAX 500000

/* Of CSV, so much for each line at most: numbers and what parts them, but not the revision's name. */
#define LINE_BYTES_MAX 72
#define WHOLE_BYTES_MAX (64 * MIB) /* beyond that it is sent in parts */

static const char csv_head[] = "revision,step,column,mean,bimodality\r\n";

struct asked {
    const struct api_run *run;
    enum series_variant variant;
    int64_t token_rows; /* of the vocabulary's rows alone, otherwise 0 */
    int limit;
    struct values_range range; /* one revision more than the limit, which tells whether there are more */
};

struct rows {
    enum api_format format;
    struct api_json json;
    struct api_csv csv;
    struct revision_page page;
    int64_t columns;
};

static void print_values(struct api_json *json, const char *name, const double *values, int64_t count)
{
    api_json_open_array(json, name);
    for (int64_t i = 0; i < count; i++)
        api_json_real(json, NULL, values[i]);
    api_json_close_array(json);
}

static void print_csv(struct api_csv *csv, const struct revision_row *revision, const struct columns_row *row)
{
    for (int64_t i = 0; i < row->columns; i++) {
        api_query_print_csv(csv, revision);
        api_csv_integer(csv, i);
        api_csv_real(csv, row->mean[i]);
        api_csv_real(csv, row->bimodality[i]);
        api_csv_end_line(csv);
    }
}

static int append_row(void *context, const struct revision_row *revision, const struct columns_row *row)
{
    struct rows *rows = context;
    if (rows->format == API_FORMAT_JSON && rows->page.count && rows->columns + row->columns > COLUMNS_MAX)
        rows->page.left = 0;
    if (revision_page_is_full(&rows->page))
        return 1;
    if (!row->mean) {
        revision_page_note_damaged(&rows->page, revision, rows->format == API_FORMAT_CSV ? &rows->csv : NULL,
                                   3);
        return 0;
    }
    if (rows->format == API_FORMAT_CSV) {
        print_csv(&rows->csv, revision, row);
    } else {
        api_json_open_object(&rows->json, NULL);
        api_query_print_json(&rows->json, revision);
        print_values(&rows->json, "mean", row->mean, row->columns);
        print_values(&rows->json, "bimodality", row->bimodality, row->columns);
        api_json_close_object(&rows->json);
    }
    rows->columns += row->columns;
    revision_page_note(&rows->page, revision);
    return rows->json.buf->failed ? 1 : 0;
}

static void begin_page(struct rows *rows, const struct api_run *run, enum series_variant variant,
                       struct buf *body)
{
    if (rows->format == API_FORMAT_CSV) {
        buf_append_text(body, csv_head);
        return;
    }
    api_json_open_object(&rows->json, NULL);
    api_json_text(&rows->json, "model", run->model.name);
    api_json_text_or_null(&rows->json, "tensor", run->tensor);
    api_json_text(&rows->json, "step_unit", step_unit_name(run->model.step_unit));
    api_json_text(&rows->json, "rows", api_query_rows_name(variant));
    api_json_integer(&rows->json, "columns", run->columns);
    api_json_open_array(&rows->json, "revisions");
}

static int list(const struct api_request *request, struct rows *rows, const struct asked *asked,
                struct api_response *response, struct err *err)
{
    int code = 0;
    begin_page(rows, asked->run, asked->variant, &response->body);
    if (asked->run->measured)
        code = columns_list(request->context->store, &asked->range, asked->token_rows, append_row, rows, err);
    return code ? code : revision_page_end(&rows->page, request, &rows->json, response, err);
}

/* -- CSV in parts -- */

struct line {
    struct columns_content content;
    int64_t step;
    size_t name; /* where it begins in the names */
};

/* What is sent: each revision's columns are a part. */
struct parts {
    struct store *store; /* borrowed */
    struct line *lines;  /* [count] */
    size_t count, room, next;
    struct buf names; /* each with its final 0 */
    struct revision_page page;
    int has_begun;
};

static void free_parts(void *context)
{
    struct parts *parts = context;
    free(parts->lines);
    buf_free(&parts->names);
    revision_page_free(&parts->page);
    free(parts);
}

static int note_line(void *context, const struct revision_row *revision,
                     const struct columns_content *content)
{
    struct parts *parts = context;
    if (revision_page_is_full(&parts->page))
        return 1;
    if (parts->count == parts->room) {
        size_t room = 2 * parts->room + 64;
        struct line *lines = realloc(parts->lines, room * sizeof *lines);
        if (!lines)
            return parts->names.failed = ERR_NO_MEMORY;
        parts->lines = lines;
        parts->room = room;
    }
    parts->lines[parts->count++] =
        (struct line){.content = *content, .step = revision->step, .name = parts->names.size};
    buf_append(&parts->names, revision->name, strlen(revision->name) + 1);
    revision_page_note(&parts->page, revision);
    return parts->names.failed ? 1 : 0;
}

static int next_part(void *context, struct buf *part, struct err *err)
{
    struct parts *parts = context;
    struct revision_row revision = {.step = 0};
    struct columns_row row;
    struct api_csv csv;
    double *values = NULL;
    if (!parts->has_begun) {
        parts->has_begun = 1;
        buf_append_text(part, csv_head);
        return buf_check(part, "part", err);
    }
    if (parts->next == parts->count)
        return 0;
    const struct line *line = &parts->lines[parts->next++];
    int code = columns_get(parts->store, &line->content, &row, &values, err);
    if (code)
        return code;
    revision.step = line->step;
    (void)snprintf(revision.name, sizeof revision.name, "%s", buf_text(&parts->names) + line->name);
    api_csv_init(&csv, part);
    if (values)
        print_csv(&csv, &revision, &row);
    else
        revision_page_note_damaged(&parts->page, &revision, &csv, 3);
    free(values);
    return buf_check(part, "part", err);
}

/* Answers in parts what as one body could be too large; then *ret_is_answered becomes 1. */
static int answer_in_parts(struct api_request *request, const struct asked *asked,
                           struct api_response *response, int *ret_is_answered, struct err *err)
{
    struct parts *parts = calloc(1, sizeof *parts);
    if (!parts)
        return err_set(err, ERR_NO_MEMORY, "columns: out of memory");
    parts->store = request->context->store;
    buf_init(&parts->names, LIMIT_API_PAGE_ROWS * (LIMIT_REVISION_NAME_BYTES + 1));
    revision_page_init(&parts->page, asked->limit);
    int code = columns_list_contents(parts->store, &asked->range, asked->token_rows, note_line, parts, err);
    if (!code)
        code = buf_check(&parts->names, "columns", err);
    const double bytes =
        (double)asked->run->columns * (double)(parts->count * LINE_BYTES_MAX + parts->names.size);
    if (code || bytes <= (double)WHOLE_BYTES_MAX) {
        free_parts(parts);
        return code;
    }
    *ret_is_answered = 1;
    const struct api_parts sending = {
        .context = parts,
        .memory_bytes =
            (size_t)(bytes / (double)parts->count) + parts->room * sizeof *parts->lines + parts->names.size,
        .next = next_part,
        .free = free_parts,
    };
    code = revision_page_end(&parts->page, request, NULL, response, err);
    if (!code)
        return api_parts_answer(request, &sending, response, err);
    free_parts(parts);
    return code;
}

int api_get_columns(struct api_request *request, struct api_response *response, struct err *err)
{
    struct model_row model;
    struct api_run run = {0};
    struct revision_key key;
    enum series_variant variant = SERIES_VARIANT_ALL;
    const char *tensor = NULL;
    int has_key = 0, limit = 0, is_answered = 0;
    int code = api_query_tensor(request, &tensor, response, err);
    if (!code)
        code = api_query_variant(request, &variant, response, err);
    if (!code)
        code = api_page_limit(request, LIMIT_STANDARD, LIMIT_API_PAGE_ROWS, &limit, response, err);
    if (!code)
        code = api_query_read_revision(request, &key, &has_key, response, err);
    if (!code)
        code = api_query_model(request, &model, err);
    if (!code)
        code = api_run_read(request->context->store, &model, tensor, &run, err);
    if (code)
        return code;
    const struct asked asked = {
        .run = &run,
        .variant = variant,
        .token_rows = variant == SERIES_VARIANT_TOKENS ? run.token_rows : 0,
        .limit = limit,
        .range = {run.model.id, run.tensor, has_key ? &key : NULL, limit + 1},
    };
    if (request->format == API_FORMAT_CSV && run.measured)
        code = answer_in_parts(request, &asked, response, &is_answered, err);
    if (code || is_answered) {
        api_run_free(&run);
        return code;
    }
    struct rows rows = {.format = request->format};
    revision_page_init(&rows.page, limit);
    api_json_init(&rows.json, &response->body);
    api_csv_init(&rows.csv, &response->body);
    code = list(request, &rows, &asked, response, err);
    revision_page_free(&rows.page);
    api_run_free(&run);
    return code;
}
