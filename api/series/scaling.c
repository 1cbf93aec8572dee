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
    "models",
    " model parameter_count verdict onset_step onset_step_before left_out step_unit onset_tokens "
    "onset_tokens_before is_lasting ",
    ""};

/* A bound in some unit; NaN where it is not known. */
struct bounds {
    double before, value; /* of the last revision without an onset, of the onset */
};

/* What is known of one model. */
struct entry {
    enum series_verdict verdict;
    int is_lasting; /* of an onset */
    int is_diverged;
    int is_too_long; /* to be analysed; nothing else is known then */
    enum step_unit unit;
    struct bounds steps; /* in its own unit */
    struct bounds tokens;
};

struct models {
    const char *prefix;
    const char *tensor;     /* NULL: each model's own */
    struct model_row *rows; /* [MODELS_MAX], as the next */
    struct entry *entries;
    size_t count;
    int is_cut;
};

static int take_model(void *context, const struct model_row *row)
{
    struct models *models = context;
    if (strncmp(row->name, models->prefix, strlen(models->prefix)) != 0 ||
        (row->measured_count == 0 && !models->tensor))
        return 0;
    models->is_cut = models->count == MODELS_MAX;
    if (!models->is_cut)
        models->rows[models->count++] = *row;
    return models->is_cut;
}

/* ERR_NOT_FOUND: nothing of that tensor (NULL: its own) is measured. */
static int require_tensor(struct store *store, const struct model_row *model, const char *tensor,
                          struct err *err)
{
    int has = 1;
    int code = tensor ? models_has_tensor(store, model->id, tensor, &has, err) : 0;
    if (!code && !has)
        code = err_set(err, ERR_NOT_FOUND, "%s: tensor %s is not measured", model->name, tensor);
    return code;
}

/* The onset of a tensor of one model (NULL: its own), as its analysis has it without parameters.
 * ERR_NOT_FOUND: nothing of that tensor is measured, or the model is gone. */
static int find_onset(struct store *store, const struct model_row *model, const char *tensor,
                      enum series_variant variant, struct entry *ret_entry, struct err *err)
{
    struct api_run run = {0};
    struct series series = {0};
    struct series_options options;
    int code = require_tensor(store, model, tensor, err);
    if (!code)
        code = api_run_read(store, model, tensor, &run, err);
    if (code)
        return code;
    api_run_options(&run, &options);
    code = series_analyze(run.series, run.count, &options, &series, err);
    if (!code) {
        const struct series_onset *onset = &series.onsets[variant % 2][variant / 2];
        double step = onset->verdict == SERIES_VERDICT_YES ? onset->step : (double)NAN;
        *ret_entry = (struct entry){
            .verdict = onset->verdict,
            .is_lasting = onset->is_lasting,
            .is_diverged = series.divergence.is_found,
            .unit = model->step_unit,
            .steps = {onset->step_before, step},
            .tokens = {api_run_tokens_at(&run, onset->step_before), api_run_tokens_at(&run, step)},
        };
    }
    series_free(&series);
    api_run_free(&run);
    return code;
}

/* The onsets of all that have the tensor; what was removed meanwhile is dropped, and what is too long to be
 * analysed keeps the others from nothing. */
static int find_onsets(struct store *store, struct models *models, enum series_variant variant,
                       struct err *err)
{
    size_t kept = 0;
    int code = 0;
    for (size_t i = 0; i < models->count && !code; i++) {
        code = find_onset(store, &models->rows[i], models->tensor, variant, &models->entries[kept], err);
        if (code == ERR_LIMIT)
            models->entries[kept] = (struct entry){.verdict = SERIES_VERDICT_INSUFFICIENT,
                                                   .is_too_long = 1,
                                                   .unit = models->rows[i].step_unit,
                                                   .steps = {(double)NAN, (double)NAN},
                                                   .tokens = {(double)NAN, (double)NAN}};
        if (!code || code == ERR_LIMIT)
            models->rows[kept++] = models->rows[i];
        if (code == ERR_NOT_FOUND || code == ERR_LIMIT) {
            *err = (struct err)ERR_INIT;
            code = 0;
        }
    }
    models->count = kept;
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

/* A law is of one unit. The bounds of an onset in it; both NaN where one of them is not known in it. */
static struct bounds bounds_in(const struct entry *entry, enum step_unit unit)
{
    static const struct bounds none = {(double)NAN, (double)NAN};
    if (unit != STEP_UNIT_TOKENS)
        return unit == entry->unit ? entry->steps : none;
    if ((entry->steps.before > 0 && isnan(entry->tokens.before)) ||
        (entry->steps.value > 0 && isnan(entry->tokens.value)))
        return none;
    return entry->tokens;
}

static int is_bounded(const struct bounds *bounds)
{
    return bounds->before > 0 || bounds->value > 0;
}

/* Why a model is no point of a law in whatever unit; NULL: it is one. A run that diverged was trained too
 * fast for its size, which is no matter of size alone. One without an onset, or forked at its first revision,
 * bounds it from one side, unless that is step 0, or nothing tells modes. */
static const char *why_unfit(const struct model_row *model, const struct entry *entry)
{
    if (entry->is_too_long)
        return "too_long";
    if (entry->is_diverged)
        return "diverged";
    if (entry->verdict == SERIES_VERDICT_INSUFFICIENT)
        return "insufficient";
    if (!is_bounded(&entry->steps) && !is_bounded(&entry->tokens))
        return "unbounded";
    return model->parameter_count > 0 ? NULL : "size_unknown";
}

static const char *why_left_out(const struct model_row *model, const struct entry *entry, enum step_unit unit)
{
    struct bounds bounds = bounds_in(entry, unit);
    const char *why = why_unfit(model, entry);
    return why || is_bounded(&bounds) ? why : "unit";
}

/* How many models a law of this unit has. */
static size_t count_in(const struct models *models, enum step_unit unit)
{
    size_t count = 0;
    for (size_t i = 0; i < models->count; i++)
        count += !why_left_out(&models->rows[i], &models->entries[i], unit);
    return count;
}

static void print_model(struct api_json *json, const struct model_row *model, const struct entry *entry,
                        const char *left_out)
{
    api_json_open_object(json, NULL);
    api_json_text(json, "model", model->name);
    if (model->parameter_count > 0)
        api_json_integer(json, "parameter_count", model->parameter_count);
    else
        api_json_null(json, "parameter_count");
    api_json_text(json, "verdict", series_verdict_name(entry->verdict));
    api_json_text(json, "step_unit", step_unit_name(entry->unit));
    api_json_real(json, "onset_step", entry->steps.value);
    api_json_real(json, "onset_step_before", entry->steps.before);
    api_json_real(json, "onset_tokens", entry->tokens.value);
    api_json_real(json, "onset_tokens_before", entry->tokens.before);
    if (entry->verdict == SERIES_VERDICT_YES)
        api_json_boolean(json, "is_lasting", entry->is_lasting);
    else
        api_json_null(json, "is_lasting");
    api_json_text(json, "left_out", left_out);
    api_json_close_object(json);
}

static void render(const struct models *models, enum series_variant variant, enum step_unit unit,
                   struct scaling_point *points, struct buf *body)
{
    struct api_json json;
    size_t count = 0;
    api_json_init(&json, body);
    api_json_open_object(&json, NULL);
    api_json_integer(&json, "definition", SCALING_DEFINITION);
    api_json_text(&json, "rows", api_query_rows_name(variant));
    api_json_text(&json, "view", api_query_view_name(variant));
    api_json_text(&json, "unit", step_unit_name(unit));
    api_json_open_object(&json, "units");
    for (int i = 0; i < STEP_UNIT_COUNT; i++)
        api_json_integer(&json, step_unit_name((enum step_unit)i),
                         (int64_t)count_in(models, (enum step_unit)i));
    api_json_close_object(&json);
    api_json_text(&json, "prefix", models->prefix);
    api_json_text_or_null(&json, "tensor", models->tensor ? models->tensor : "");
    api_json_boolean(&json, "is_cut", models->is_cut);
    api_json_open_array(&json, "models");
    for (size_t i = 0; i < models->count; i++) {
        const struct model_row *model = &models->rows[i];
        const struct entry *entry = &models->entries[i];
        const char *left_out = why_left_out(model, entry, unit);
        struct bounds bounds = bounds_in(entry, unit);
        if (!left_out)
            points[count++] = (struct scaling_point){
                .parameters = (double)model->parameter_count, .before = bounds.before, .value = bounds.value};
        print_model(&json, model, entry, left_out);
    }
    api_json_close_array(&json);
    print_fit(&json, points, count);
    api_json_close_object(&json);
}

/* The unit of the query, or tokens, whatever the models are known in: a law that took the unit of the most
 * would be another one once a model is added. */
static int read_unit(const struct api_request *request, int *ret_unit, struct api_response *response,
                     struct err *err)
{
    const char *names[STEP_UNIT_COUNT];
    for (int i = 0; i < STEP_UNIT_COUNT; i++)
        names[i] = step_unit_name((enum step_unit)i);
    *ret_unit = STEP_UNIT_TOKENS;
    return api_query_choice(request, "unit", names, STEP_UNIT_COUNT, ret_unit, response, err);
}

int api_get_scaling(struct api_request *request, struct api_response *response, struct err *err)
{
    const char *prefix = api_uri_find(&request->uri, "prefix");
    enum series_variant variant = SERIES_VARIANT_TOKENS_CENTRED;
    struct models models = {.prefix = prefix ? prefix : ""};
    struct scaling_point *points = calloc(MODELS_MAX, sizeof *points);
    int unit = STEP_UNIT_TOKENS, code = api_query_variant(request, &variant, response, err);
    if (!code)
        code = api_query_tensor(request, &models.tensor, response, err);
    if (!code)
        code = read_unit(request, &unit, response, err);
    if (!code && strlen(models.prefix) > LIMIT_MODEL_NAME_BYTES)
        code = api_response_refuse(response, "query", "prefix", err, ERR_INVALID,
                                   "prefix: longer than %d bytes", LIMIT_MODEL_NAME_BYTES);
    if (!code)
        code = api_listing_check(request, &listing, response, err);
    models.rows = calloc(MODELS_MAX, sizeof *models.rows);
    models.entries = calloc(MODELS_MAX, sizeof *models.entries);
    if (!code && (!points || !models.rows || !models.entries))
        code = err_set(err, ERR_NO_MEMORY, "scaling: out of memory");
    if (!code)
        code = models_list(request->context->store, "", INT_MAX, take_model, &models, err);
    if (!code)
        code = find_onsets(request->context->store, &models, variant, err);
    if (!code)
        render(&models, variant, (enum step_unit)unit, points, &response->body);
    if (!code)
        code = api_listing_finish(request, &listing, response, err);
    free(points);
    free(models.rows);
    free(models.entries);
    return code;
}
