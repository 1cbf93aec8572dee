#include "store/models.h"
#include "api/form/json.h"
#include "api/http/listing.h"
#include "api/http/page.h"
#include "api/resource/context.h"
#include "api/resource/query.h"
#include "api/series/handlers.h"
#include "daemon/base/limits.h"
#include "store/removal.h"

#include <stdio.h>
#include <string.h>

#define LIMIT_STANDARD 1000

static const struct api_listing listing = {"models",
                                           " name kind model_type tensor vocabulary_size token_rows "
                                           "hidden_size layers parameter_count revision_count "
                                           "measured_count step_unit created_at updated_at ",
                                           ""};

struct rows {
    struct api_json json;
    int left;
    int has_more;
    char last[LIMIT_MODEL_NAME_BYTES + 1];
};

static void append_members(struct api_json *json, const struct model_row *row)
{
    api_json_text(json, "name", row->name);
    api_json_text(json, "kind", model_kind_name(row->kind));
    api_json_text_or_null(json, "model_type", row->model_type);
    api_json_text_or_null(json, "tensor", row->tensor);
    api_json_integer(json, "vocabulary_size", row->vocabulary_size);
    api_json_integer(json, "token_rows", row->token_rows);
    api_json_integer(json, "hidden_size", row->hidden_size);
    api_json_integer(json, "layers", row->layers);
    api_json_text(json, "step_unit", step_unit_name(row->step_unit));
    if (row->parameter_count > 0)
        api_json_integer(json, "parameter_count", row->parameter_count);
    else
        api_json_null(json, "parameter_count"); /* daemon/model/parameters.h says why it may not be known */
    api_json_integer(json, "revision_count", row->revision_count);
    api_json_integer(json, "measured_count", row->measured_count);
    api_json_time(json, "created_at", row->created_ms);
    api_json_time(json, "updated_at", row->updated_ms);
}

static void append_tensor(void *context, const char *tensor, int64_t measured)
{
    struct api_json *json = context;
    api_json_open_object(json, NULL);
    api_json_text(json, "tensor", tensor);
    api_json_integer(json, "measured_count", measured);
    api_json_close_object(json);
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
    api_json_open_object(&rows->json, NULL);
    append_members(&rows->json, row);
    api_json_close_object(&rows->json);
    return 0;
}

int api_list_models(struct api_request *request, struct api_response *response, struct err *err)
{
    char after[LIMIT_MODEL_NAME_BYTES + 1] = "";
    int has_cursor = 0;
    int limit = 0;
    int code = api_page_limit(request, LIMIT_STANDARD, LIMIT_API_PAGE_ROWS, &limit, response, err);
    if (!code)
        code = api_page_read_cursor(request, after, sizeof after, &has_cursor, response, err);
    if (!code)
        code = api_listing_check(request, &listing, response, err);
    if (code)
        return code;
    struct rows rows = {.left = limit};
    api_json_init(&rows.json, &response->body);
    api_json_open_object(&rows.json, NULL);
    api_json_open_array(&rows.json, "models");
    code = models_list(request->context->store, after, limit + 1, append_row, &rows, err);
    if (code)
        return code;
    char cursor[API_CURSOR_SIZE] = "";
    if (rows.has_more)
        api_page_write_cursor(rows.last, cursor);
    api_json_close_array(&rows.json);
    code = api_page_end(request, &rows.json, cursor, response, err);
    return code ? code : api_listing_finish(request, &listing, response, err);
}

int api_get_model(struct api_request *request, struct api_response *response, struct err *err)
{
    struct model_row row;
    struct api_json json;
    int code = api_query_model(request, &row, err);
    if (code)
        return code;
    api_json_init(&json, &response->body);
    api_json_open_object(&json, NULL);
    append_members(&json, &row);
    api_json_open_array(&json, "tensors");
    code = models_list_tensors(request->context->store, row.id, append_tensor, &json, err);
    api_json_close_array(&json);
    api_json_close_object(&json);
    return code;
}

/* -- Removal --------------------------------------------------------------------------------------------- */

static void append_removal(struct api_json *json, const char *model, int is_dry_run,
                           const struct removal_counts *counts)
{
    api_json_open_object(json, NULL);
    api_json_text(json, "model", model);
    api_json_boolean(json, "is_dry_run", is_dry_run);
    api_json_integer(json, "revisions", counts->revisions);
    api_json_integer(json, "contents", counts->contents);
    api_json_integer(json, "kept_contents", counts->kept_contents);
    api_json_integer(json, "perplexities", counts->perplexities);
    api_json_integer(json, "sweeps", counts->sweeps);
    api_json_integer(json, "tasks", counts->tasks);
    api_json_boolean(json, "is_watched", counts->is_watched != 0);
    api_json_integer(json, "deliveries", counts->deliveries);
    api_json_integer(json, "size_bytes", counts->size_bytes);
    api_json_close_object(json);
}

int api_remove_model(struct api_request *request, struct api_response *response, struct err *err)
{
    struct store *store = request->context->store;
    char name[LIMIT_MODEL_NAME_BYTES + 1];
    struct removal_counts counts;
    struct api_json json;
    int is_dry_run = 0;
    int code = api_request_boolean(request, "dry_run", &is_dry_run, response, err);
    if (!code)
        code = api_query_model_name(request, name, err);
    if (!code)
        code =
            is_dry_run ? removal_count(store, name, &counts, err) : removal_begin(store, name, &counts, err);
    if (code)
        return code;
    api_json_init(&json, &response->body);
    append_removal(&json, name, is_dry_run, &counts);
    if (is_dry_run)
        return 0;
    api_context_wake(request->context);
    api_context_note_change(request->context, &(struct api_change){.event = "model removed",
                                                                   .name = name,
                                                                   .by_name = request->identity.name,
                                                                   .by_token = request->identity.token_id});
    return 0;
}
