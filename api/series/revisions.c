#include "api/http/page.h"
#include "api/resource/context.h"
#include "api/resource/query.h"
#include "api/series/columns.h"
#include "api/series/handlers.h"
#include "daemon/base/limits.h"
#include "store/models.h"
#include "store/series.h"

#include <stdlib.h>
#include <string.h>

#define LIMIT_STANDARD 1000

struct rows {
    const struct api_columns *columns;
    struct buf *body;
    struct api_json json;
    struct api_csv csv;
    enum api_format format;
    int left;                 /* rows until the page is full */
    int has_more;             /* there is a row beyond the page */
    int64_t count;            /* rows of the page */
    struct revision_key last; /* of the page */
};

static int append_row(void *context, const struct series_row *row)
{
    struct rows *rows = context;
    if (rows->left == 0) {
        rows->has_more = 1;
        return 1;
    }
    if (rows->format == API_FORMAT_CSV)
        api_columns_csv(rows->columns, row, &rows->csv);
    else
        api_columns_json(rows->columns, row, &rows->json);
    rows->left--;
    rows->count++;
    revision_key_of(&row->revision, &rows->last);
    return rows->body->failed ? 1 : 0;
}

static int read_columns(const struct api_request *request, struct api_columns *columns,
                        struct api_response *response, struct err *err)
{
    if (api_columns_parse(api_uri_find(&request->uri, "fields"), columns, err) == 0)
        return 0;
    struct err reason = *err;
    return api_response_refuse(response, "query", "fields", err, ERR_INVALID, "%s", reason.message);
}

static int read_query(const struct api_request *request, struct series_query *query, struct revision_key *key,
                      struct api_response *response, struct err *err)
{
    int has_key = 0;
    *query = (struct series_query){.model_id = query->model_id, .step_min = 0, .step_max = INT64_MAX};
    int code = api_query_tensor(request, &query->tensor, response, err);
    if (!code)
        code = api_request_integer(request, "from", 0, INT64_MAX, &query->step_min, response, err);
    if (!code)
        code = api_request_integer(request, "to", 0, INT64_MAX, &query->step_max, response, err);
    if (!code)
        code = api_request_boolean(request, "stepless", &query->is_stepless_included, response, err);
    if (!code)
        code = api_page_limit(request, LIMIT_STANDARD, LIMIT_API_PAGE_ROWS, &query->limit, response, err);
    if (!code)
        code = api_query_read_revision(request, key, &has_key, response, err);
    query->after = has_key ? key : NULL;
    return code;
}

static void begin_page(struct rows *rows, const struct model_row *model, const struct series_query *query)
{
    if (rows->format == API_FORMAT_CSV) {
        api_columns_csv_head(rows->columns, &rows->csv);
        return;
    }
    api_json_open_object(&rows->json, NULL);
    api_json_text(&rows->json, "model", model->name);
    api_json_text_or_null(&rows->json, "tensor", query->tensor ? query->tensor : model->tensor);
    api_json_text(&rows->json, "step_unit", step_unit_name(model->step_unit));
    api_json_open_array(&rows->json, "revisions");
}

static int end_page(const struct api_request *request, struct rows *rows, int64_t total,
                    struct api_response *response, struct err *err)
{
    char cursor[API_CURSOR_SIZE] = "";
    if (rows->has_more)
        api_query_write_revision(&rows->last, cursor);
    if (rows->format == API_FORMAT_JSON) {
        api_json_close_array(&rows->json);
        api_json_integer(&rows->json, "count", rows->count);
        api_json_integer(&rows->json, "total", total);
        api_json_text_or_null(&rows->json, "next_cursor", cursor);
        api_json_close_object(&rows->json);
    }
    return rows->has_more ? api_page_link(request, cursor, response, err) : 0;
}

int api_list_revisions(struct api_request *request, struct api_response *response, struct err *err)
{
    struct store *store = request->context->store;
    struct model_row model;
    struct series_query query = {0};
    struct revision_key key;
    struct api_columns columns;
    int64_t total = 0;
    int code = read_columns(request, &columns, response, err);
    if (!code)
        code = read_query(request, &query, &key, response, err);
    if (!code)
        code = api_query_model(request, &model, err);
    if (code)
        return code;
    query.model_id = model.id;
    columns.unit = model.step_unit;
    code = series_count(store, &query, &total, err);
    if (code)
        return code;
    struct rows rows = {/* one row more than the page tells whether there is a next one */
                        .columns = &columns,
                        .body = &response->body,
                        .format = request->format,
                        .left = query.limit++};
    api_json_init(&rows.json, &response->body);
    api_csv_init(&rows.csv, &response->body);
    begin_page(&rows, &model, &query);
    code = series_read(store, &query, NULL, append_row, &rows, err);
    if (!code)
        code = end_page(request, &rows, total, response, err);
    return code;
}

int api_get_revision(struct api_request *request, struct api_response *response, struct err *err)
{
    struct store *store = request->context->store;
    struct model_row model;
    struct api_columns columns;
    const char *tensor = NULL;
    int code = read_columns(request, &columns, response, err);
    if (!code)
        code = api_query_tensor(request, &tensor, response, err);
    if (!code)
        code = api_query_model(request, &model, err);
    if (code)
        return code;
    struct series_row *row = calloc(1, sizeof *row);
    if (!row)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    columns.unit = model.step_unit;
    code = series_find(store, model.id, tensor, request->arguments[2], api_uri_find(&request->uri, "commit"),
                       row, err);
    if (!code) {
        struct api_json json;
        api_json_init(&json, &response->body);
        api_columns_json(&columns, row, &json);
    }
    free(row);
    return code;
}
