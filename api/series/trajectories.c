#include "daemon/analysis/sample.h"

#include "api/form/csv.h"
#include "api/form/json.h"
#include "api/http/page.h"
#include "api/resource/context.h"
#include "api/resource/query.h"
#include "api/series/handlers.h"
#include "api/series/revision_page.h"
#include "api/series/run.h"

#include <inttypes.h>
#include <stdlib.h>

#define ENTRIES_STANDARD 64
#define LIMIT_STANDARD 1000
#define VALUES_MAX 1000000 /* of a page, so that it is no larger than a body may be (BODY_BYTES_MAX) */

struct rows {
    enum api_format format;
    struct api_json json;
    struct api_csv csv;
    size_t sampled, entry_count;
    struct revision_page page;
};

/* Of the sampled entries, evenly spread ones. */
static size_t entry_at(const struct rows *rows, size_t i)
{
    return i * rows->sampled / rows->entry_count;
}

static int append_row(void *context, const struct revision_row *revision, const struct sample_row *row)
{
    struct rows *rows = context;
    if (rows->page.count && (size_t)(rows->page.count + 1) * rows->entry_count > VALUES_MAX)
        rows->page.left = 0;
    if (revision_page_is_full(&rows->page))
        return 1;
    if (!row->values) {
        revision_page_note_damaged(&rows->page, revision, rows->format == API_FORMAT_CSV ? &rows->csv : NULL,
                                   (int64_t)rows->entry_count);
        return 0;
    }
    if (rows->format == API_FORMAT_CSV) {
        api_query_print_csv(&rows->csv, revision);
        for (size_t i = 0; i < rows->entry_count; i++)
            api_csv_real(&rows->csv, (double)row->values[entry_at(rows, i)]);
        api_csv_end_line(&rows->csv);
    } else {
        api_json_open_object(&rows->json, NULL);
        api_query_print_json(&rows->json, revision);
        api_json_open_array(&rows->json, "values");
        for (size_t i = 0; i < rows->entry_count; i++)
            api_json_real(&rows->json, NULL, (double)row->values[entry_at(rows, i)]);
        api_json_close_array(&rows->json);
        api_json_close_object(&rows->json);
    }
    revision_page_note(&rows->page, revision);
    return rows->json.buf->failed ? 1 : 0;
}

static uint64_t place_of(const struct rows *rows, const struct api_run *run, size_t i)
{
    return sample_index(SAMPLE_SEED, (uint64_t)run->token_rows, (uint64_t)run->columns, entry_at(rows, i));
}

static void begin_page(struct rows *rows, const struct api_run *run, struct buf *body)
{
    uint64_t columns = (uint64_t)run->columns;
    if (rows->format == API_FORMAT_CSV) {
        buf_append_text(body, "revision,step");
        for (size_t i = 0; i < rows->entry_count; i++) { /* a column is named by the entry's row and column */
            uint64_t place = place_of(rows, run, i);
            buf_appendf(body, ",%" PRIu64 ":%" PRIu64, place / columns, place % columns);
        }
        buf_append_text(body, "\r\n");
        return;
    }
    api_json_open_object(&rows->json, NULL);
    api_run_describe_sample(run, &rows->json);
    api_json_open_array(&rows->json, "entries");
    for (size_t i = 0; i < rows->entry_count; i++) {
        uint64_t place = place_of(rows, run, i);
        api_json_open_object(&rows->json, NULL);
        api_json_integer(&rows->json, "row", (int64_t)(place / columns));
        api_json_integer(&rows->json, "column", (int64_t)(place % columns));
        api_json_close_object(&rows->json);
    }
    api_json_close_array(&rows->json);
    api_json_open_array(&rows->json, "revisions");
}

static int list(const struct api_request *request, struct rows *rows, const struct api_run *run,
                const struct revision_key *after, struct api_response *response, struct err *err)
{
    int code = 0;
    begin_page(rows, run, &response->body);
    if (rows->sampled)
        code = api_run_list_samples(request->context->store, run, after, rows->page.left + 1, append_row,
                                    rows, err);
    return code ? code : revision_page_end(&rows->page, request, &rows->json, response, err);
}

int api_get_trajectories(struct api_request *request, struct api_response *response, struct err *err)
{
    struct model_row model;
    struct api_run run = {0};
    struct revision_key key;
    const char *tensor = NULL;
    int64_t entries = ENTRIES_STANDARD;
    int has_key = 0, limit = 0;
    int code = api_query_tensor(request, &tensor, response, err);
    if (!code)
        code = api_request_integer(request, "entries", 1, SAMPLE_COUNT, &entries, response, err);
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
    struct rows rows = {.format = request->format, .sampled = api_run_sampled(&run)};
    revision_page_init(&rows.page, limit);
    rows.entry_count = (size_t)entries < rows.sampled ? (size_t)entries : rows.sampled;
    api_json_init(&rows.json, &response->body);
    api_csv_init(&rows.csv, &response->body);
    code = list(request, &rows, &run, has_key ? &key : NULL, response, err);
    revision_page_free(&rows.page);
    api_run_free(&run);
    return code;
}
