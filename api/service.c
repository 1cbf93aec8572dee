#include "api/form/json.h"
#include "api/handlers.h"
#include "api/http/listing.h"
#include "api/http/metrics.h"
#include "api/http/route.h"
#include "api/state.h"
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
    const struct api_hooks *hooks = &request->server->options.hooks;
    char reason[256] = "";
    response->cache_control = "no-store";
    if (atomic_load(&request->server->is_draining)) {
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

static int append_counts(struct store *store, struct api_json *json, struct err *err)
{
    int64_t sweeps[SWEEP_STATE_COUNT];
    int64_t queued = 0;
    int64_t claimed = 0;
    uint64_t size = 0;
    int code = sweeps_count(store, sweeps, err);
    if (!code)
        code = tasks_depth(store, &queued, &claimed, err);
    if (!code)
        code = store_size(store, &size, err);
    if (code)
        return code;
    api_json_open_object(json, "sweeps");
    for (int i = 0; i < SWEEP_STATE_COUNT; i++)
        api_json_integer(json, sweep_state_name((enum sweep_state)i), sweeps[i]);
    api_json_close_object(json);
    api_json_open_object(json, "tasks");
    api_json_integer(json, "queued", queued);
    api_json_integer(json, "running", claimed);
    api_json_close_object(json);
    api_json_integer(json, "database_bytes", (int64_t)size);
    api_json_integer(json, "schema_version", store_schema_version());
    return 0;
}

int api_get_status(struct api_request *request, struct api_response *response, struct err *err)
{
    const struct api_server *server = request->server;
    const struct api_hooks *hooks = &server->options.hooks;
    struct api_json json;
    response->cache_control = "no-store";
    api_json_init(&json, &response->body);
    api_json_open_object(&json, NULL);
    api_json_text(&json, "version", server->options.version);
    api_json_text(&json, "url", server->url);
    api_json_time(&json, "started_at", server->started_ms);
    int code = append_counts(server->options.store, &json, err);
    if (code)
        return code;
    api_json_integer(&json, "connections", (int64_t)api_peers_count(server->peers));
    api_json_integer(&json, "event_streams", api_events_count(server->events));
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
        "devices", " name backend is_available is_used description memory_bytes reason ", ""};
    const struct api_hooks *hooks = &request->server->options.hooks;
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

static const char *operation_of(size_t route)
{
    return api_routes[route].operation;
}

static int append_store_metrics(struct store *store, struct buf *text, struct err *err)
{
    int64_t sweeps[SWEEP_STATE_COUNT];
    int64_t queued = 0;
    int64_t claimed = 0;
    uint64_t size = 0;
    int code = sweeps_count(store, sweeps, err);
    if (!code)
        code = tasks_depth(store, &queued, &claimed, err);
    if (!code)
        code = store_size(store, &size, err);
    if (code)
        return code;
    buf_append_text(text, "# HELP bifurcated_sweeps Sweeps by state.\n# TYPE bifurcated_sweeps gauge\n");
    for (int i = 0; i < SWEEP_STATE_COUNT; i++)
        buf_appendf(text, "bifurcated_sweeps{state=\"%s\"} %" PRId64 "\n",
                    sweep_state_name((enum sweep_state)i), sweeps[i]);
    api_metrics_append(text, "bifurcated_tasks_queued", "gauge", "Tasks that wait for a worker.",
                       (double)queued);
    api_metrics_append(text, "bifurcated_tasks_running", "gauge", "Tasks that a worker has.",
                       (double)claimed);
    api_metrics_append(text, "bifurcated_database_bytes", "gauge", "Database and log on disk.", (double)size);
    api_metrics_append(text, "bifurcated_database_log_bytes", "gauge",
                       "The database's log, which a thread moves into the database from 16 MiB on.",
                       (double)store_log_size(store));
    return 0;
}

int api_get_metrics(struct api_request *request, struct api_response *response, struct err *err)
{
    const struct api_server *server = request->server;
    const struct api_hooks *hooks = &server->options.hooks;
    struct buf *text = &response->body;
    struct api_cache_counts cache;
    response->content_type = "text/plain; version=0.0.4; charset=utf-8";
    response->cache_control = "no-store";
    buf_appendf(text,
                "# HELP bifurcated_build_info Version of the program.\n"
                "# TYPE bifurcated_build_info gauge\nbifurcated_build_info{version=\"%s\"} 1\n",
                server->options.version);
    api_metrics_append(text, "bifurcated_start_time_seconds", "gauge", "When the server started, Unix time.",
                       (double)server->started_ms / 1000.0);
    int code = append_store_metrics(server->options.store, text, err);
    if (code)
        return code;
    api_metrics_render(server->metrics, operation_of, text);
    api_cache_count(server->cache, &cache);
    api_metrics_append(text, "bifurcated_http_cache_hits_total", "counter", "Answers from memory.",
                       (double)cache.hits);
    api_metrics_append(text, "bifurcated_http_cache_misses_total", "counter", "Answers made anew.",
                       (double)cache.misses);
    api_metrics_append(text, "bifurcated_http_cache_evictions_total", "counter", "Answers dropped for room.",
                       (double)cache.evictions);
    api_metrics_append(text, "bifurcated_http_cache_bytes", "gauge", "Answers kept.", (double)cache.bytes);
    api_metrics_append(text, "bifurcated_http_answer_bytes", "gauge",
                       "Answers in memory, kept or being sent.", (double)atomic_load(&server->answer_bytes));
    api_metrics_append(text, "bifurcated_http_connections", "gauge", "Open connections.",
                       (double)api_peers_count(server->peers));
    api_metrics_append(text, "bifurcated_http_displaced_total", "counter",
                       "Connections that made room for others, or were refused.",
                       (double)api_peers_displaced(server->peers));
    api_metrics_append(text, "bifurcated_http_event_streams", "gauge", "Open streams of events.",
                       (double)api_events_count(server->events));
    api_metrics_append(text, "bifurcated_remote_workers", "gauge",
                       "Remote workers that were heard of within their lease.",
                       (double)api_worker_list_count(server->workers, server->options.claims.lease_ms));
    api_metrics_append(text, "bifurcated_remote_workers_waiting", "gauge",
                       "Requests of remote workers that wait for work.",
                       (double)api_claim_waits_count(server->claim_waits));
    return hooks->metrics ? hooks->metrics(hooks->context, text, err) : 0;
}
