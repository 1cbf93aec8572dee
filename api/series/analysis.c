#include "api/series/analysis.h"

#include "api/resource/context.h"
#include "api/resource/query.h"
#include "api/series/handlers.h"
#include "daemon/base/name_rule.h"

#include <math.h>
#include <string.h>

#define RATE_MAX 1e3

/* What of a run's schedule is in the unit of its steps, as the query has it. */
struct places {
    double warmup, stable, total;
    double steps; /* optimiser steps until `total`; 0: not given */
};

static int check_schedule(const struct schedule *schedule, const struct places *places,
                          struct api_response *response, struct err *err)
{
    const enum schedule_kind kind = schedule->kind;
    if (fmax(schedule->rate_max, schedule->rate_min) * schedule->weight_decay > SCHEDULE_DECAY_MAX)
        return api_response_refuse(response, "query", "decay", err, ERR_INVALID,
                                   "decay: with this peak one step would take more than half of each weight");
    if (kind != SCHEDULE_KIND_CONSTANT && places->total <= places->warmup)
        return api_response_refuse(response, "query", "total", err, ERR_INVALID,
                                   "total: this schedule needs the step at which it ends, after the warm-up");
    if (kind == SCHEDULE_KIND_WSD_EXPONENTIAL && !(schedule->rate_min > 0))
        return api_response_refuse(
            response, "query", "floor", err, ERR_INVALID,
            "floor: wsd_exponential falls by the same factor each step, and so not to 0");
    if (!schedule_has_stable(kind) && places->stable > 0)
        return api_response_refuse(
            response, "query", "stable", err, ERR_INVALID,
            "stable: only for schedule=wsd and its variants, which keep their peak until there");
    if (schedule_has_stable(kind) && !(places->stable >= places->warmup && places->stable < places->total))
        return api_response_refuse(response, "query", "stable", err, ERR_INVALID,
                                   "stable: wsd needs the step at which its rate begins to fall, from the "
                                   "end of the warm-up on and before total");
    return 0;
}

/* The steps of a run whose numbers count something else: so many until `total`, evenly, unless it is known
 * what they are. */
static int read_clock(enum step_unit unit, const struct places *places, struct schedule_clock *clock,
                      struct api_response *response, struct err *err)
{
    const char *name = step_unit_name(unit);
    if (unit == STEP_UNIT_STEPS && places->steps > 0)
        return api_response_refuse(
            response, "query", "steps", err, ERR_INVALID,
            "steps: the names of this model's revisions count optimiser steps already");
    if (unit == STEP_UNIT_STEPS || (!(places->steps > 0) && clock->each != 1))
        return 0;
    if (!(places->steps > 0))
        return api_response_refuse(
            response, "query", "steps", err, ERR_INVALID,
            "steps: the names of this model's revisions count %s, and rates are summed "
            "over optimiser steps: say how many there are until total",
            name);
    if (!(places->total > 0))
        return api_response_refuse(response, "query", "total", err, ERR_INVALID,
                                   "total: the %s after so many steps are not given", name);
    *clock = (struct schedule_clock){places->steps / places->total, 0};
    return 0;
}

/* Of a place that is not given: 0. */
static double step_of(const struct schedule_clock *clock, double place)
{
    return place > 0 ? schedule_clock_step(clock, place) : 0;
}

/* A schedule of the query replaces the built-in one as a whole. Its places are in the unit of the run. */
static int read_schedule(const struct api_request *request, enum step_unit unit, struct schedule *schedule,
                         struct schedule_clock *clock, enum api_analysis_source *source,
                         struct api_response *response, struct err *err)
{
    static const char *const others[] = {"peak", "floor", "warmup", "stable", "total", "steps", "decay"};
    const double most = unit == STEP_UNIT_STEPS ? SCHEDULE_STEPS_MAX : (double)NAME_RULE_STEP_MAX;
    struct places places = {0};
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
    code = api_query_real(request, "peak", 1e-30, RATE_MAX, &schedule->rate_max, response, err);
    if (!code && schedule->rate_max <= 0)
        code = api_response_refuse(response, "query", "peak", err, ERR_INVALID,
                                   "peak: a schedule needs its highest learning rate");
    if (!code)
        code = api_query_real(request, "floor", 0, RATE_MAX, &schedule->rate_min, response, err);
    if (!code)
        code = api_query_real(request, "warmup", 0, most, &places.warmup, response, err);
    if (!code)
        code = api_query_real(request, "stable", 0, most, &places.stable, response, err);
    if (!code)
        code = api_query_real(request, "total", 1, most, &places.total, response, err);
    if (!code)
        code = api_query_real(request, "steps", 1, SCHEDULE_STEPS_MAX, &places.steps, response, err);
    if (!code)
        code = api_query_real(request, "decay", 0, 1e6, &schedule->weight_decay, response, err);
    if (!code)
        code = read_clock(unit, &places, clock, response, err);
    if (!code)
        code = check_schedule(schedule, &places, response, err);
    schedule->warmup_steps = step_of(clock, places.warmup);
    schedule->stable_until = step_of(clock, places.stable);
    schedule->end_step = step_of(clock, places.total);
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
    if (asked->schedule) {
        options.schedule = *asked->schedule;
        options.clock = asked->clock;
    } else if (options.schedule.kind != SCHEDULE_KIND_UNKNOWN) {
        source = API_ANALYSIS_SOURCE_BUILT_IN;
    }
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
        api_run_schedule(&model, &schedule, &asked.clock);
        code = read_schedule(request, model.step_unit, &schedule, &asked.clock, &asked.source, response, err);
    }
    if (!code)
        code = api_analysis_append(request->context->store, &model, &asked, &response->body, err);
    return code;
}
