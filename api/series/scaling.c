#include "daemon/analysis/scaling.h"

#include "api/form/json.h"
#include "api/http/listing.h"
#include "api/resource/context.h"
#include "api/resource/query.h"
#include "api/series/handlers.h"
#include "api/series/run.h"
#include "daemon/analysis/series.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MODELS_MAX 1000 /* measured ones; however many others are known */

static const struct api_listing listing = {
    "models", " model parameter_count verdict onset_step onset_step_before left_out ", ""};

struct models {
    const char *prefix;
    struct model_row *rows; /* [MODELS_MAX] */
    size_t count;
    int is_cut;
};

static int take_model(void *context, const struct model_row *row)
{
    struct models *models = context;
    if (strncmp(row->name, models->prefix, strlen(models->prefix)) != 0 || row->measured_count == 0)
        return 0;
    models->is_cut = models->count == MODELS_MAX;
    if (!models->is_cut)
        models->rows[models->count++] = *row;
    return models->is_cut;
}

/* The onset of one model's own tensor, as its analysis has it without parameters. */
static int find_onset(struct store *store, const struct model_row *model, enum series_variant variant,
                      struct series_onset *ret_onset, int *ret_is_diverged, struct err *err)
{
    struct api_run run = {0};
    struct series series = {0};
    struct series_options options;
    int code = api_run_read(store, model, NULL, &run, err);
    if (code)
        return code;
    api_run_options(&run, &options);
    code = series_analyze(run.series, run.count, &options, &series, err);
    if (!code)
        *ret_onset = series.onsets[variant % 2][variant / 2];
    *ret_is_diverged = series.divergence.is_found;
    series_free(&series);
    api_run_free(&run);
    return code;
}

static void print_fit(struct api_json *json, const struct scaling_point *points, size_t count)
{
    struct err reason = ERR_INIT;
    struct scaling fit = {0};
    int is_fitted = scaling_fit(points, count, &fit, &reason) == 0;
    double none = (double)NAN;
    api_json_open_object(json, "fit");
    api_json_boolean(json, "is_fitted", is_fitted);
    api_json_text(json, "reason", is_fitted ? NULL : reason.message);
    api_json_integer(json, "count", (int64_t)fit.count);
    api_json_integer(json, "sizes", (int64_t)fit.sizes);
    api_json_integer(json, "unforked", (int64_t)fit.unforked);
    api_json_real(json, "exponent", is_fitted ? fit.exponent : none);
    api_json_real(json, "exponent_low", is_fitted ? fit.exponent_low : none);
    api_json_real(json, "exponent_high", is_fitted ? fit.exponent_high : none);
    api_json_real(json, "prefactor", is_fitted ? fit.prefactor : none);
    api_json_real(json, "deviation", is_fitted ? fit.deviation : none);
    api_json_close_object(json);
}

/* Why a model is no point of the law; NULL: it is one. A run that diverged was trained too fast for its size,
 * which is no matter of size alone. One without an onset, or forked at its first revision, bounds it from one
 * side, unless that is step 0, or nothing tells modes. */
static const char *why_left_out(const struct model_row *model, const struct series_onset *onset,
                                int is_diverged)
{
    int has_bound = onset->step_before > 0 || (onset->verdict == SERIES_VERDICT_YES && onset->step > 0);
    if (is_diverged)
        return "diverged";
    if (onset->verdict == SERIES_VERDICT_INSUFFICIENT)
        return "insufficient";
    if (!has_bound)
        return "unbounded";
    return model->parameter_count > 0 ? NULL : "size_unknown";
}

static int render(const struct api_request *request, const struct models *models, enum series_variant variant,
                  struct scaling_point *points, struct api_response *response, struct err *err)
{
    struct api_json json;
    size_t count = 0;
    api_json_init(&json, &response->body);
    api_json_open_object(&json, NULL);
    api_json_integer(&json, "definition", SCALING_DEFINITION);
    api_json_text(&json, "rows", api_query_rows_name(variant));
    api_json_text(&json, "view", api_query_view_name(variant));
    api_json_text(&json, "prefix", models->prefix);
    api_json_boolean(&json, "is_cut", models->is_cut);
    api_json_open_array(&json, "models");
    for (size_t i = 0; i < models->count; i++) {
        const struct model_row *model = &models->rows[i];
        struct series_onset onset = {0};
        int is_diverged = 0;
        int code = find_onset(request->context->store, model, variant, &onset, &is_diverged, err);
        if (code == ERR_NOT_FOUND) { /* it was removed meanwhile */
            *err = (struct err)ERR_INIT;
            continue;
        }
        if (code)
            return code;
        int is_found = onset.verdict == SERIES_VERDICT_YES;
        const char *left_out = why_left_out(model, &onset, is_diverged);
        if (!left_out)
            points[count++] = (struct scaling_point){.parameters = (double)model->parameter_count,
                                                     .before = onset.step_before,
                                                     .value = is_found ? onset.step : (double)NAN};
        api_json_open_object(&json, NULL);
        api_json_text(&json, "model", model->name);
        if (model->parameter_count > 0)
            api_json_integer(&json, "parameter_count", model->parameter_count);
        else
            api_json_null(&json, "parameter_count");
        api_json_text(&json, "verdict", series_verdict_name(onset.verdict));
        api_json_real(&json, "onset_step", is_found ? onset.step : (double)NAN);
        api_json_real(&json, "onset_step_before", onset.step_before);
        api_json_text(&json, "left_out", left_out);
        api_json_close_object(&json);
    }
    api_json_close_array(&json);
    print_fit(&json, points, count);
    api_json_close_object(&json);
    return 0;
}

int api_get_scaling(struct api_request *request, struct api_response *response, struct err *err)
{
    const char *prefix = api_uri_find(&request->uri, "prefix");
    enum series_variant variant = SERIES_VARIANT_TOKENS_CENTRED;
    struct models models = {.prefix = prefix ? prefix : ""};
    struct scaling_point *points = calloc(MODELS_MAX, sizeof *points);
    int code = api_query_variant(request, &variant, response, err);
    if (!code && strlen(models.prefix) > LIMIT_MODEL_NAME_BYTES)
        code = api_response_refuse(response, "query", "prefix", err, ERR_INVALID,
                                   "prefix: longer than %d bytes", LIMIT_MODEL_NAME_BYTES);
    if (!code)
        code = api_listing_check(request, &listing, response, err);
    models.rows = calloc(MODELS_MAX, sizeof *models.rows);
    if (!code && (!points || !models.rows))
        code = err_set(err, ERR_NO_MEMORY, "scaling: out of memory");
    if (!code)
        code = models_list(request->context->store, "", INT_MAX, take_model, &models, err);
    if (!code)
        code = render(request, &models, variant, points, response, err);
    if (!code)
        code = api_listing_finish(request, &listing, response, err);
    free(points);
    free(models.rows);
    return code;
}
