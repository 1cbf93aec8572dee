#include "api/form/json.h"
#include "api/handlers.h"
#include "api/http/http.h"
#include "api/http/listing.h"
#include "api/http/metrics.h"
#include "api/resource/context.h"
#include "api/sweeps/events.h"
#include "api/workers/workers.h"
#include "daemon/base/clock.h"
#include "daemon/base/embedded.h"
#include "daemon/base/limits.h"
#include "store/store.h"
#include "store/sweeps.h"
#include "store/tasks.h"

#include <inttypes.h>
#include <string.h>

int api_get_health(struct api_request *request, struct api_response *response, struct err *err)
{
    (void)request;
    (void)err;
    response->cache_control = "no-store";
    buf_append_text(&response->body, "{\"status\":\"ok\"}");
    return 0;
}

int api_get_readiness(struct api_request *request, struct api_response *response, struct err *err)
{
    const struct api_hooks *hooks = &request->context->hooks;
    char reason[ERR_MESSAGE_BYTES] = "";
    response->cache_control = "no-store";
    if (api_http_is_draining(request->http)) {
        response->status = 503;
        return err_set(err, ERR_CANCELLED, "the daemon is stopping");
    }
    if (hooks->ready && !hooks->ready(hooks->context, reason, sizeof reason)) {
        response->status = 503;
        return err_set(err, ERR_CANCELLED, "not ready: %s", reason);
    }
    buf_append_text(&response->body, "{\"status\":\"ready\"}");
    return 0;
}

int api_get_description(struct api_request *request, struct api_response *response, struct err *err)
{
    (void)request;
    for (size_t i = 0; i < assets_embedded_count; i++) {
        const struct base_embedded *file = &assets_embedded[i];
        if (strcmp(file->name, "openapi.json") == 0) {
            buf_append(&response->body, file->begin, (size_t)(file->end - file->begin));
            return 0;
        }
    }
    return err_set(err, ERR_INTERNAL, "openapi.json was not put into this program");
}

struct counts {
    int64_t sweeps[SWEEP_STATE_COUNT];
    int64_t queued, claimed; /* tasks */
    uint64_t size_bytes;     /* of the database */
};

static int count(struct store *store, struct counts *ret_counts, struct err *err)
{
    int code = sweeps_count(store, ret_counts->sweeps, err);
    if (!code)
        code = tasks_depth(store, &ret_counts->queued, &ret_counts->claimed, err);
    return code ? code : store_size(store, &ret_counts->size_bytes, err);
}

static int append_counts(struct store *store, struct api_json *json, struct err *err)
{
    struct counts counts = {0};
    int code = count(store, &counts, err);
    if (code)
        return code;
    api_json_open_object(json, "sweeps");
    for (int i = 0; i < SWEEP_STATE_COUNT; i++)
        api_json_integer(json, sweep_state_name((enum sweep_state)i), counts.sweeps[i]);
    api_json_close_object(json);
    api_json_open_object(json, "tasks");
    api_json_integer(json, "queued", counts.queued);
    api_json_integer(json, "running", counts.claimed);
    api_json_close_object(json);
    api_json_integer(json, "database_bytes", (int64_t)counts.size_bytes);
    api_json_integer(json, "schema_version", store_schema_version());
    return 0;
}

int api_get_status(struct api_request *request, struct api_response *response, struct err *err)
{
    const struct api_context *context = request->context;
    const struct api_hooks *hooks = &context->hooks;
    struct api_http *http = request->http;
    struct api_json json;
    int64_t from_ms = 0, until_ms = 0;
    response->cache_control = "no-store";
    api_json_init(&json, &response->body);
    api_json_open_object(&json, NULL);
    api_json_text(&json, "version", api_http_version(http));
    api_json_text(&json, "url", api_http_url(http));
    api_json_time(&json, "started_at", api_http_started_ms(http));
    int code = append_counts(context->store, &json, err);
    if (code)
        return code;
    api_json_integer(&json, "connections", (int64_t)api_http_connections(http));
    api_json_integer(&json, "event_streams", api_events_count(context->events));
    if (api_http_certificate_times(http, &from_ms, &until_ms))
        api_json_time(&json, "certificate_ends_at", until_ms);
    else
        api_json_null(&json, "certificate_ends_at");
    api_json_open_object(&json, "daemon");
    if (hooks->status)
        code = hooks->status(hooks->context, &response->body, err);
    api_json_close_object(&json);
    api_json_close_object(&json);
    return code;
}

int api_list_devices(struct api_request *request, struct api_response *response, struct err *err)
{
    static const struct api_listing listing = {
        "devices", " name backend is_available is_used description memory_bytes memory_limit_bytes reason ",
        ""};
    const struct api_hooks *hooks = &request->context->hooks;
    int code = api_listing_check(request, &listing, response, err);
    if (code)
        return code;
    buf_append_text(&response->body, "{\"devices\":");
    if (hooks->devices)
        code = hooks->devices(hooks->context, &response->body, err);
    else
        buf_append_text(&response->body, "[]");
    buf_append_text(&response->body, "}");
    return code ? code : api_listing_finish(request, &listing, response, err);
}

static int append_store_metrics(struct store *store, struct buf *text, struct err *err)
{
    struct counts counts = {0};
    int code = count(store, &counts, err);
    if (code)
        return code;
    buf_append_text(text, "# HELP bifurcated_sweeps Sweeps by state.\n# TYPE bifurcated_sweeps gauge\n");
    for (int i = 0; i < SWEEP_STATE_COUNT; i++)
        buf_appendf(text, "bifurcated_sweeps{state=\"%s\"} %" PRId64 "\n",
                    sweep_state_name((enum sweep_state)i), counts.sweeps[i]);
    api_metrics_append(text, "bifurcated_tasks_queued", "gauge", "Tasks that wait for a worker.",
                       (double)counts.queued);
    api_metrics_append(text, "bifurcated_tasks_running", "gauge", "Tasks that a worker has.",
                       (double)counts.claimed);
    api_metrics_append(text, "bifurcated_database_bytes", "gauge", "Database and log on disk.",
                       (double)counts.size_bytes);
    struct err lock = ERR_INIT;
    api_metrics_append(text, "bifurcated_database_locked", "gauge",
                       "Whether another program keeps the database locked: nothing can be recorded.",
                       store_check_lock(store, &lock) != 0);
    api_metrics_append(text, "bifurcated_database_log_bytes", "gauge",
                       "The database's log, which a thread moves into the database from 16 MiB on.",
                       (double)store_log_size(store));
    return 0;
}

int api_get_metrics(struct api_request *request, struct api_response *response, struct err *err)
{
    const struct api_context *context = request->context;
    const struct api_hooks *hooks = &context->hooks;
    struct api_http *http = request->http;
    struct buf *text = &response->body;
    response->content_type = "text/plain; version=0.0.4; charset=utf-8";
    response->cache_control = "no-store";
    buf_appendf(text,
                "# HELP bifurcated_build_info Version of the program.\n"
                "# TYPE bifurcated_build_info gauge\nbifurcated_build_info{version=\"%s\"} 1\n",
                api_http_version(http));
    api_metrics_append(text, "bifurcated_start_time_seconds", "gauge", "When the server started, Unix time.",
                       (double)api_http_started_ms(http) / 1000.0);
    int code = append_store_metrics(context->store, text, err);
    if (code)
        return code;
    api_http_append_metrics(http, text);
    api_metrics_append(text, "bifurcated_http_event_streams", "gauge", "Open streams of events.",
                       (double)api_events_count(context->events));
    api_workers_append_metrics(context->workers, text);
    return hooks->metrics ? hooks->metrics(hooks->context, text, err) : 0;
}
