#include "api/resource/query.h"

#include "api/state.h"

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

int api_query_model(const struct api_request *request, struct model_row *ret_row, struct err *err)
{
    char name[LIMIT_MODEL_NAME_BYTES + 1];
    int code = api_request_model_name(request, name, err);
    if (!code)
        code = models_find(request->server->options.store, name, ret_row, err);
    return code;
}
