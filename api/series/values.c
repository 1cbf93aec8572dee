#include "daemon/analysis/distribution.h"

#include "api/form/csv.h"
#include "api/form/json.h"
#include "api/resource/context.h"
#include "api/resource/query.h"
#include "api/series/handlers.h"
#include "store/distributions.h"

#include <stdlib.h>

/* One of the four distributions of a revision's tensor. */
struct exact {
    enum series_variant variant;
    enum step_unit unit; /* of the model's steps */
    struct series_row series;
    struct distribution_row row;
    uint64_t counts[DISTRIBUTION_CODES];
    struct distribution_value values[DISTRIBUTION_CODES];
    size_t value_count;
    struct distribution_census census;
};

static int read_exact(const struct api_request *request, const char *tensor, struct exact *exact,
                      struct api_response *response, struct err *err)
{
    struct store *store = request->context->store;
    const struct series_row *series = &exact->series;
    const int is_tokens = exact->variant % 2;
    struct distribution distribution = {.counts = exact->counts};
    struct model_row model;
    int code = api_query_model(request, &model, err);
    if (!code)
        code = series_find(store, model.id, tensor, request->arguments[2],
                           api_uri_find(&request->uri, "commit"), &exact->series, err);
    if (code)
        return code;
    exact->unit = model.step_unit;
    if (!series->has_tensor && tensor)
        return api_response_refuse(response, "query", "tensor", err, ERR_NOT_FOUND,
                                   "%s: %s is not measured; a sweep measures it", series->revision.name,
                                   tensor);
    if (!series->has_tensor)
        return err_set(err, ERR_NOT_FOUND, "%s: this tensor is not measured; a sweep measures it",
                       series->revision.name);
    const struct distribution_row key = {.row_set = is_tokens ? ROW_SET_TOKENS : ROW_SET_ALL,
                                         .token_rows = is_tokens ? series->tensor.token_rows : 0,
                                         .is_centred = exact->variant >= SERIES_VARIANT_CENTRED,
                                         .definition = series->tensor.definition};
    code = distributions_find(store, series->tensor.content.id, &key, exact->counts, &exact->row, err);
    if (!code)
        code = distribution_name_parse(exact->row.code, &distribution.format, &distribution.exponent, err);
    if (code)
        return code;
    exact->census = distribution_census_of(&distribution);
    exact->value_count = distribution_values(&distribution, exact->values);
    return 0;
}

static void print_csv(const struct exact *exact, struct buf *body)
{
    struct api_csv csv;
    api_csv_init(&csv, body);
    buf_append_text(body, "value,count\r\n");
    for (size_t i = 0; i < exact->value_count; i++) {
        api_csv_real(&csv, exact->values[i].value);
        api_csv_integer(&csv, (int64_t)exact->values[i].count);
        api_csv_end_line(&csv);
    }
}

static void print_json(const struct exact *exact, const char *model, struct buf *body)
{
    const struct distribution_census *census = &exact->census;
    struct api_json json;
    api_json_init(&json, body);
    api_json_open_object(&json, NULL);
    api_json_text(&json, "model", model);
    api_query_print_json(&json, &exact->series.revision);
    api_json_text(&json, "step_unit",
                  exact->series.revision.step == REVISIONS_STEP_NONE ? NULL : step_unit_name(exact->unit));
    api_json_text(&json, "commit", exact->series.revision.commit);
    api_json_text(&json, "tensor", exact->series.tensor.tensor);
    api_json_text(&json, "digest", exact->series.tensor.content.digest);
    api_json_text(&json, "rows", api_query_rows_name(exact->variant));
    api_json_text(&json, "view", api_query_view_name(exact->variant));
    api_json_integer(&json, "token_rows", exact->series.tensor.token_rows);
    api_json_integer(&json, "definition", exact->row.definition);
    api_json_text(&json, "code", exact->row.code);
    api_json_integer(&json, "elements", (int64_t)census->elements);
    api_json_integer(&json, "nan", (int64_t)census->nan);
    api_json_integer(&json, "positive_inf", (int64_t)census->positive_inf);
    api_json_integer(&json, "negative_inf", (int64_t)census->negative_inf);
    api_json_open_array(&json, "values");
    for (size_t i = 0; i < exact->value_count; i++)
        api_json_real(&json, NULL, exact->values[i].value);
    api_json_close_array(&json);
    api_json_open_array(&json, "counts");
    for (size_t i = 0; i < exact->value_count; i++)
        api_json_integer(&json, NULL, (int64_t)exact->values[i].count);
    api_json_close_array(&json);
    api_json_close_object(&json);
}

int api_get_values(struct api_request *request, struct api_response *response, struct err *err)
{
    const char *tensor = NULL;
    char model[LIMIT_MODEL_NAME_BYTES + 1];
    struct exact *exact = calloc(1, sizeof *exact);
    if (!exact)
        return err_set(err, ERR_NO_MEMORY, "distributions: out of memory");
    int code = api_query_tensor(request, &tensor, response, err);
    if (!code)
        code = api_query_variant(request, &exact->variant, response, err);
    if (!code)
        code = api_query_model_name(request, model, err);
    if (!code)
        code = read_exact(request, tensor, exact, response, err);
    if (!code && request->format == API_FORMAT_CSV)
        print_csv(exact, &response->body);
    else if (!code)
        print_json(exact, model, &response->body);
    free(exact);
    return code;
}
