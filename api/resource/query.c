#include "api/resource/query.h"

#include "api/form/number.h"
#include "api/resource/context.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int api_query_real(const struct api_request *request, const char *name, double min, double max, double *value,
                   struct api_response *response, struct err *err)
{
    const char *text = api_uri_find(&request->uri, name);
    char *end = NULL;
    if (!text)
        return 0;
    /* only what JSON writes: no hexadecimal, no blanks, no "inf" */
    double number = strspn(text, "0123456789+-.eE") == strlen(text) ? strtod(text, &end) : (double)NAN;
    if (!end || end == text || *end || !isfinite(number) || number < min || number > max)
        return api_response_refuse(response, "query", name, err, ERR_INVALID,
                                   "%s: not a number from %g to %g", name, min, max);
    *value = number;
    return 0;
}

int api_query_choice(const struct api_request *request, const char *name, const char *const *names, int count,
                     int *index, struct api_response *response, struct err *err)
{
    const char *text = api_uri_find(&request->uri, name);
    char list[128] = "";
    if (!text)
        return 0;
    for (int i = 0; i < count; i++) {
        if (strcmp(text, names[i]) == 0) {
            *index = i;
            return 0;
        }
        size_t length = strlen(list);
        (void)snprintf(list + length, sizeof list - length, "%s%s", i ? ", " : "", names[i]);
    }
    return api_response_refuse(response, "query", name, err, ERR_INVALID, "%s: not one of %s", name, list);
}

int api_query_tensor(const struct api_request *request, const char **ret_tensor,
                     struct api_response *response, struct err *err)
{
    const char *tensor = api_uri_find(&request->uri, "tensor");
    if (tensor && (tensor[0] == '\0' || strlen(tensor) > LIMIT_TENSOR_NAME_BYTES))
        return api_response_refuse(response, "query", "tensor", err, ERR_INVALID,
                                   "tensor: the name is empty or longer than %d bytes",
                                   LIMIT_TENSOR_NAME_BYTES);
    *ret_tensor = tensor;
    return 0;
}

static const char *const rows_names[] = {"all", "tokens"};
static const char *const view_names[] = {"raw", "centred"};

int api_query_variant(const struct api_request *request, enum series_variant *variant,
                      struct api_response *response, struct err *err)
{
    int rows = (int)*variant % 2, view = (int)*variant / 2;
    int code = api_query_choice(request, "rows", rows_names, 2, &rows, response, err);
    if (!code)
        code = api_query_choice(request, "view", view_names, 2, &view, response, err);
    if (!code)
        *variant = (enum series_variant)(2 * view + rows);
    return code;
}

const char *api_query_rows_name(enum series_variant variant)
{
    return rows_names[(int)variant % 2];
}

const char *api_query_view_name(enum series_variant variant)
{
    return view_names[(int)variant / 2];
}

void api_query_print_json(struct api_json *json, const struct revision_row *revision)
{
    api_json_text(json, "revision", revision->name);
    if (revision->step == REVISIONS_STEP_NONE)
        api_json_null(json, "step");
    else
        api_json_integer(json, "step", revision->step);
}

void api_query_print_csv(struct api_csv *csv, const struct revision_row *revision)
{
    api_csv_text(csv, revision->name);
    if (revision->step == REVISIONS_STEP_NONE)
        api_csv_empty(csv);
    else
        api_csv_integer(csv, revision->step);
}

int api_query_model_name(const struct api_request *request, char *name, struct err *err)
{
    const char *owner = request->arguments[0];
    const char *rest = request->arguments[1];
    int is_file = strcmp(owner, "file") == 0;
    if (is_file ? rest[0] != '/' : strchr(owner, '/') || strchr(rest, '/'))
        return err_set_absent(err, ERR_ABSENT_MODEL,
                              "model %s/%s: write owner/name, or file/ and the percent-encoded absolute path",
                              owner, rest);
    int length = snprintf(name, LIMIT_MODEL_NAME_BYTES + 1, "%s%s%s", owner, is_file ? ":" : "/", rest);
    if (length < 0 || length > LIMIT_MODEL_NAME_BYTES)
        return err_set_absent(err, ERR_ABSENT_MODEL, "model: the name is longer than %d bytes",
                              LIMIT_MODEL_NAME_BYTES);
    return 0;
}

int api_query_model(const struct api_request *request, struct model_row *ret_row, struct err *err)
{
    char name[LIMIT_MODEL_NAME_BYTES + 1];
    int code = api_query_model_name(request, name, err);
    if (!code)
        code = models_find(request->context->store, name, ret_row, err);
    return code;
}

int api_query_read_revision(const struct api_request *request, struct revision_key *key, int *ret_is_given,
                            struct api_response *response, struct err *err)
{
    char text[API_CURSOR_SIZE / 2];
    int code = api_page_read_cursor(request, text, sizeof text, ret_is_given, response, err);
    if (code || !*ret_is_given)
        return code;
    int64_t numbers[5];
    char *at = text;
    for (size_t i = 0; i < 5; i++) {
        char *end = strchr(at, ' ');
        if (!end)
            return api_page_refuse_cursor(response, err);
        *end = '\0';
        if (!api_number_parse(at, INT64_MIN, INT64_MAX, &numbers[i]))
            return api_page_refuse_cursor(response, err);
        at = end + 1;
    }
    if (strlen(at) > LIMIT_REVISION_NAME_BYTES || numbers[0] < 0 || numbers[0] > 1)
        return api_page_refuse_cursor(response, err);
    *key = (struct revision_key){.is_stepless = (int)numbers[0],
                                 .stage = numbers[1],
                                 .ingredient = numbers[2],
                                 .step = numbers[3],
                                 .tokens = numbers[4]};
    (void)snprintf(key->name, sizeof key->name, "%s", at);
    return 0;
}

void api_query_write_revision(const struct revision_key *key, char cursor[API_CURSOR_SIZE])
{
    char text[API_CURSOR_SIZE / 2];
    (void)snprintf(text, sizeof text, "%d %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %s",
                   key->is_stepless, key->stage, key->ingredient, key->step, key->tokens, key->name);
    api_page_write_cursor(text, cursor);
}
