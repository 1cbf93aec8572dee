#include "store/models.h"
#include "api/csv.h"
#include "api/handlers.h"
#include "api/json.h"
#include "api/page.h"
#include "api/state.h"
#include "daemon/base/limits.h"

#include <stdio.h>
#include <string.h>

#define LIMIT_STANDARD 1000

struct rows {
    enum api_format format;
    struct api_json json;
    struct api_csv csv;
    int left;
    int has_more;
    char last[LIMIT_MODEL_NAME_BYTES + 1];
};

static void append_members(struct api_json *json, const struct model_row *row)
{
    api_json_open_object(json, NULL);
    api_json_text(json, "name", row->name);
    api_json_text(json, "kind", model_kind_name(row->kind));
    api_json_text_or_null(json, "model_type", row->model_type);
    api_json_text_or_null(json, "tensor", row->tensor);
    api_json_integer(json, "vocabulary_size", row->vocabulary_size);
    api_json_integer(json, "token_rows", row->token_rows);
    api_json_integer(json, "hidden_size", row->hidden_size);
    api_json_integer(json, "layers", row->layers);
    api_json_integer(json, "parameter_count", row->parameter_count);
    api_json_integer(json, "revision_count", row->revision_count);
    api_json_integer(json, "measured_count", row->measured_count);
    api_json_time(json, "created_at", row->created_ms);
    api_json_time(json, "updated_at", row->updated_ms);
    api_json_close_object(json);
}

static void append_cells(struct api_csv *csv, const struct model_row *row)
{
    api_csv_text(csv, row->name);
    api_csv_text(csv, model_kind_name(row->kind));
    api_csv_text(csv, row->model_type);
    api_csv_text(csv, row->tensor);
    api_csv_integer(csv, row->vocabulary_size);
    api_csv_integer(csv, row->token_rows);
    api_csv_integer(csv, row->hidden_size);
    api_csv_integer(csv, row->layers);
    api_csv_integer(csv, row->parameter_count);
    api_csv_integer(csv, row->revision_count);
    api_csv_integer(csv, row->measured_count);
    api_csv_time(csv, row->created_ms);
    api_csv_time(csv, row->updated_ms);
    api_csv_end_line(csv);
}

static int append_row(void *context, const struct model_row *row)
{
    struct rows *rows = context;
    if (rows->left == 0) {
        rows->has_more = 1;
        return 1;
    }
    rows->left--;
    (void)snprintf(rows->last, sizeof rows->last, "%s", row->name);
    if (rows->format == API_FORMAT_CSV)
        append_cells(&rows->csv, row);
    else
        append_members(&rows->json, row);
    return 0;
}

int api_list_models(struct api_request *request, struct api_response *response, struct err *err)
{
    char after[LIMIT_MODEL_NAME_BYTES + 1] = "";
    int has_cursor = 0;
    int limit = 0;
    int code = api_page_limit(request, LIMIT_STANDARD, &limit, response, err);
    if (!code)
        code = api_page_read_cursor(request, after, sizeof after, &has_cursor, response, err);
    if (code)
        return code;
    struct rows rows = {.format = request->format, .left = limit};
    api_json_init(&rows.json, &response->body);
    api_csv_init(&rows.csv, &response->body);
    if (rows.format == API_FORMAT_CSV) {
        buf_append_text(&response->body, "name,kind,model_type,tensor,vocabulary_size,token_rows,hidden_size,"
                                         "layers,parameter_count,revision_count,measured_count,created_at,"
                                         "updated_at\r\n");
    } else {
        api_json_open_object(&rows.json, NULL);
        api_json_open_array(&rows.json, "models");
    }
    code = models_list(request->server->options.store, after, limit + 1, append_row, &rows, err);
    if (code)
        return code;
    char cursor[API_CURSOR_SIZE] = "";
    if (rows.has_more)
        api_page_write_cursor(rows.last, cursor);
    if (rows.format == API_FORMAT_JSON) {
        api_json_close_array(&rows.json);
        api_json_text_or_null(&rows.json, "next_cursor", cursor);
        api_json_close_object(&rows.json);
    }
    return rows.has_more ? api_page_link(request, cursor, response, err) : 0;
}

int api_get_model(struct api_request *request, struct api_response *response, struct err *err)
{
    char name[LIMIT_MODEL_NAME_BYTES + 1];
    struct model_row row;
    struct api_json json;
    int code = api_request_model_name(request, name, err);
    if (!code)
        code = models_find(request->server->options.store, name, &row, err);
    if (code)
        return code;
    api_json_init(&json, &response->body);
    append_members(&json, &row);
    return 0;
}
