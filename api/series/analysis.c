#include "api/series/analysis.h"

#include "api/resource/context.h"
#include "api/resource/query.h"
#include "api/series/handlers.h"

#include <math.h>
#include <string.h>

#define RATE_MAX 1e3

/* A schedule of the query replaces the built-in one as a whole. It is for a run whose steps are a schedule's.
 */
static int read_schedule(const struct api_request *request, enum step_unit unit, struct schedule *schedule,
                         enum api_analysis_source *source, struct api_response *response, struct err *err)
{
    static const char *const others[] = {"peak", "floor", "warmup", "stable", "total", "decay"};
    int kind = SCHEDULE_KIND_UNKNOWN;
    *source =
        schedule->kind == SCHEDULE_KIND_UNKNOWN ? API_ANALYSIS_SOURCE_UNKNOWN : API_ANALYSIS_SOURCE_BUILT_IN;
    int code = api_query_choice(request, "schedule", api_analysis_schedule_names, API_ANALYSIS_SCHEDULES,
                                &kind, response, err);
    if (code)
        return code;
    if (!api_uri_find(&request->uri, "schedule")) {
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
            if (api_uri_find(&request->uri, others[i]))
                return api_response_refuse(response, "query", others[i], err, ERR_INVALID,
                                           "%s: goes with schedule, which is not given", others[i]);
        }
        return 0;
    }
    *source = API_ANALYSIS_SOURCE_QUERY;
    *schedule = (struct schedule){.kind = (enum schedule_kind)kind};
    if (kind == SCHEDULE_KIND_UNKNOWN)
        return 0;
    if (unit != STEP_UNIT_STEPS)
        return api_response_refuse(
            response, "query", "schedule", err, ERR_INVALID,
            "schedule: it is by optimiser step, but the names of this model's revisions "
            "count %s",
            step_unit_name(unit));
    code = api_query_real(request, "peak", 1e-30, RATE_MAX, &schedule->rate_max, response, err);
    if (!code && schedule->rate_max <= 0)
        code = api_response_refuse(response, "query", "peak", err, ERR_INVALID,
                                   "peak: a schedule needs its highest learning rate");
    if (!code)
        code = api_query_real(request, "floor", 0, RATE_MAX, &schedule->rate_min, response, err);
    if (!code)
        code =
            api_query_real(request, "warmup", 0, SCHEDULE_STEPS_MAX, &schedule->warmup_steps, response, err);
    if (!code)
        code =
            api_query_real(request, "stable", 0, SCHEDULE_STEPS_MAX, &schedule->stable_until, response, err);
    if (!code)
        code = api_query_real(request, "total", 1, SCHEDULE_STEPS_MAX, &schedule->end_step, response, err);
    if (!code)
        code = api_query_real(request, "decay", 0, 1e6, &schedule->weight_decay, response, err);
    if (!code && fmax(schedule->rate_max, schedule->rate_min) * schedule->weight_decay > SCHEDULE_DECAY_MAX)
        code = api_response_refuse(response, "query", "decay", err, ERR_INVALID,
                                   "decay: with this peak one step would take more than half of each weight");
    if (!code && kind != SCHEDULE_KIND_CONSTANT && schedule->end_step <= schedule->warmup_steps)
        code = api_response_refuse(response, "query", "total", err, ERR_INVALID,
                                   "total: this schedule needs the step at which it ends, after the warm-up");
    if (!code && kind == SCHEDULE_KIND_WSD_EXPONENTIAL && !(schedule->rate_min > 0))
        code =
            api_response_refuse(response, "query", "floor", err, ERR_INVALID,
                                "floor: wsd_exponential falls by the same factor each step, and so not to 0");
    if (!code && !schedule_has_stable(schedule->kind) && schedule->stable_until > 0)
        code = api_response_refuse(
            response, "query", "stable", err, ERR_INVALID,
            "stable: only for schedule=wsd and its variants, which keep their peak until there");
    if (!code && schedule_has_stable(schedule->kind) &&
        !(schedule->stable_until >= schedule->warmup_steps && schedule->stable_until < schedule->end_step))
        code = api_response_refuse(response, "query", "stable", err, ERR_INVALID,
                                   "stable: wsd needs the step at which its rate begins to fall, from the "
                                   "end of the warm-up on and before total");
    return code;
}

int api_analysis_append(struct store *store, const struct model_row *model,
                        const struct api_analysis_options *asked, struct buf *body, struct err *err)
{
    struct api_run run = {0};
    struct series series = {0};
    struct series_options options;
    enum api_analysis_source source = asked->source;
    int code = api_run_read(store, model, asked->tensor, &run, err);
    if (code)
        return code;
    api_run_options(&run, &options);
    if (asked->schedule)
        options.schedule = *asked->schedule;
    else if (options.schedule.kind != SCHEDULE_KIND_UNKNOWN)
        source = API_ANALYSIS_SOURCE_BUILT_IN;
    code = series_analyze(run.series, run.count, &options, &series, err);
    if (!code) {
        struct api_json json;
        api_json_init(&json, body);
        api_analysis_render(&json, &run, &options, source, &series, asked->has_points);
        code = buf_check(body, "analysis", err);
    }
    series_free(&series);
    api_run_free(&run);
    return code;
}

int api_get_analysis(struct api_request *request, struct api_response *response, struct err *err)
{
    struct model_row model;
    struct schedule schedule = {.kind = SCHEDULE_KIND_UNKNOWN};
    struct api_analysis_options asked = {.schedule = &schedule, .has_points = 1};
    int code = api_query_tensor(request, &asked.tensor, response, err);
    if (!code)
        code = api_request_boolean(request, "points", &asked.has_points, response, err);
    if (!code)
        code = api_query_model(request, &model, err);
    if (!code) {
        if (model.step_unit == STEP_UNIT_STEPS)
            schedule = schedule_of_model(model.name);
        code = read_schedule(request, model.step_unit, &schedule, &asked.source, response, err);
    }
    if (!code)
        code = api_analysis_append(request->context->store, &model, &asked, &response->body, err);
    return code;
}
