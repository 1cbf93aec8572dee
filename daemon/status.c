#include "daemon/status.h"

#include "daemon/base/clock.h"
#include "daemon/base/json_text.h"
#include "store/deliveries.h"
#include "store/sweeps.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Appends text as a JSON string. */
static void append_string(struct buf *buf, const char *text)
{
    json_t *value = json_string(text);
    char *quoted = value ? json_text_dump(value, JSON_ENCODE_ANY) : NULL;
    if (quoted)
        (void)buf_append_text(buf, quoted);
    else
        buf->failed = ERR_NO_MEMORY;
    free(quoted);
    json_decref(value);
}

static void append_device(const struct status_context *status, const struct registry_device *device,
                          struct buf *json)
{
    int is_used = strcmp(device->id, device_info(status->device)->id) == 0;
    (void)buf_append_text(json, "{\"name\":");
    append_string(json, device->id);
    (void)buf_append_text(json, ",\"backend\":");
    append_string(json, device->backend);
    (void)buf_append_text(json, ",\"is_available\":true,\"is_used\":");
    (void)buf_append_text(json, is_used ? "true" : "false");
    (void)buf_append_text(json, ",\"description\":");
    append_string(json, device->description.name);
    (void)buf_appendf(
        json, ",\"memory_bytes\":%" PRIu64 ",\"memory_limit_bytes\":", device->description.memory_bytes);
    if (is_used && device_memory_bytes_max(status->device))
        (void)buf_appendf(json, "%" PRIu64, device_memory_bytes_max(status->device));
    else
        (void)buf_append_text(json, "null");
    (void)buf_append_text(json, ",\"reason\":null}");
}

int status_append_devices(const struct status_context *status, struct buf *json, struct err *err)
{
    (void)buf_append_char(json, '[');
    for (size_t i = 0; i < registry_device_count(status->registry); i++) {
        if (i)
            (void)buf_append_char(json, ',');
        append_device(status, registry_device_at(status->registry, i), json);
    }
    const char *absence = registry_absence(status->registry);
    if (absence[0]) {
        (void)buf_append_text(json, ",{\"name\":\"cuda\",\"backend\":\"cuda\",\"is_available\":false,"
                                    "\"is_used\":false,\"description\":null,\"memory_bytes\":null,"
                                    "\"memory_limit_bytes\":null,\"reason\":");
        append_string(json, absence);
        (void)buf_append_char(json, '}');
    }
    (void)buf_append_char(json, ']');
    return buf_check(json, "devices", err);
}

/* {"waiting_until":null,"reason":null,...} */
static void append_hub(const struct status_context *status, struct buf *members)
{
    char until[CLOCK_TEXT_SIZE];
    struct hub_wait wait;
    hub_read_wait(status->hub, &wait);
    clock_format(wait.until_ms, until, sizeof until);
    if (wait.reason)
        (void)buf_appendf(members, ",\"hub\":{\"waiting_until\":\"%s\",\"reason\":\"%s\"", until,
                          hub_wait_reason_name(wait.reason));
    else
        (void)buf_append_text(members, ",\"hub\":{\"waiting_until\":null,\"reason\":null");
    (void)buf_append_text(members, ",\"detail\":");
    if (wait.detail[0])
        append_string(members, wait.detail);
    else
        (void)buf_append_text(members, "null");
    (void)buf_appendf(members, ",\"waiting_requests\":%d,\"waited_seconds\":%.3f,\"request_budget\":%d}",
                      wait.request_count, (double)wait.waited_ms / 1000.0, status->request_budget);
}

static void append_disk(const struct status_context *status, struct buf *members)
{
    struct reserve_room room;
    reserve_read_room(status->reserve, &room);
    (void)buf_appendf(members,
                      ",\"disk\":{\"is_full\":%s,\"free_bytes\":%" PRIu64 ",\"size_bytes\":%" PRIu64 "}",
                      room.is_full ? "true" : "false", room.free_bytes, room.size_bytes);
}

int status_append_members(const struct status_context *status, struct buf *members, struct err *err)
{
    char started[CLOCK_TEXT_SIZE];
    struct repository_counters counters;
    hub_counters(status->hub, &counters);
    clock_format(status->started_ms, started, sizeof started);
    (void)buf_appendf(members,
                      "\"started_at\":\"%s\",\"workers\":%d,\"busy_workers\":%d,\"hub_requests\":%" PRIu64
                      ",\"hub_received_bytes\":%" PRIu64 ",\"tensor_bytes_in_memory\":%" PRIu64
                      ",\"reference_bytes_on_disk\":%" PRIu64,
                      started, status->worker_count, workers_busy_count(status->workers),
                      counters.request_count, counters.received_bytes, tensor_pool_size(status->pool),
                      references_size(status->references));
    append_hub(status, members);
    append_disk(status, members);
    (void)buf_append_text(members, ",\"device\":");
    append_string(members, device_info(status->device)->id);
    (void)buf_append_text(members, ",\"slurm\":");
    int code = executor_append_status(status->executor, members, err);
    return code ? code : buf_check(members, "status", err);
}

static void append_head(struct buf *text, const char *name, const char *type, const char *help)
{
    (void)buf_appendf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void append_metric(struct buf *text, const char *name, const char *type, const char *help,
                          double value)
{
    append_head(text, name, type, help);
    (void)buf_appendf(text, "%s %.17g\n", name, value);
}

/* One value for each name that `label` can have. */
static void append_values(struct buf *text, const char *name, const char *label,
                          const char *(*name_of)(int index), const int64_t *values, int count)
{
    for (int i = 0; i < count; i++)
        (void)buf_appendf(text, "%s{%s=\"%s\"} %" PRId64 "\n", name, label, name_of(i), values[i]);
}

static const char *wait_reason_of(int index)
{
    return hub_wait_reason_name((enum hub_wait_reason)(index + 1)); /* without "none" */
}

static void append_wait_metrics(const struct status_context *status, struct buf *text)
{
    int64_t waiting[HUB_WAIT_REASON_COUNT - 1] = {0};
    struct hub_wait wait;
    hub_read_wait(status->hub, &wait);
    int64_t left_ms = wait.reason ? wait.until_ms - clock_wall_ms() : 0;
    if (wait.reason)
        waiting[wait.reason - 1] = 1;
    append_head(
        text, "bifurcated_hub_waiting", "gauge",
        "Whether requests wait: for our request budget, the hub's rate limit, a pause that it asks for, or a "
        "hub that is down; or downloads for the cache budget that others have.");
    append_values(text, "bifurcated_hub_waiting", "reason", wait_reason_of, waiting,
                  HUB_WAIT_REASON_COUNT - 1);
    append_metric(text, "bifurcated_hub_waiting_requests", "gauge",
                  "Requests that wait for a limit, or downloads that do.", wait.request_count);
    append_metric(text, "bifurcated_hub_wait_left_seconds", "gauge",
                  "Until the last of them may go, or a hub that is down is asked again, or the cache budget "
                  "is looked at.",
                  left_ms > 0 ? (double)left_ms * 1e-3 : 0.0);
    append_metric(text, "bifurcated_hub_waited_seconds_total", "counter",
                  "Time in which something waited so.", (double)wait.waited_ms * 1e-3);
}

static void append_disk_metrics(const struct status_context *status, struct buf *text)
{
    struct reserve_room room;
    reserve_read_room(status->reserve, &room);
    append_metric(text, "bifurcated_disk_full", "gauge",
                  "Whether the disk of the state folder is full: nothing more can be recorded.",
                  room.is_full);
    append_metric(text, "bifurcated_disk_free_bytes", "gauge", "Free on the disk of the state folder.",
                  (double)room.free_bytes);
    append_metric(text, "bifurcated_disk_size_bytes", "gauge", "Size of the disk of the state folder.",
                  (double)room.size_bytes);
}

static const char *outcome_of(int index)
{
    return watch_outcome_name((enum watch_outcome)index);
}

static const char *state_of(int index)
{
    return delivery_state_name((enum delivery_state)index);
}

static int append_watch_metrics(const struct status_context *status, struct buf *text, struct err *err)
{
    int64_t runs[WATCH_OUTCOME_COUNT], deliveries[DELIVERY_STATE_COUNT];
    watcher_counts(status->watcher, runs);
    append_head(text, "bifurcated_watch_runs_total", "counter", "Checks of watched models.");
    append_values(text, "bifurcated_watch_runs_total", "outcome", outcome_of, runs, WATCH_OUTCOME_COUNT);
    int code = deliveries_count(status->store, deliveries, err);
    if (code)
        return code;
    append_head(text, "bifurcated_webhook_deliveries", "gauge",
                "Messages to webhooks that are kept: waiting, delivered, given up.");
    append_values(text, "bifurcated_webhook_deliveries", "state", state_of, deliveries, DELIVERY_STATE_COUNT);
    return 0;
}

int status_append_metrics(const struct status_context *status, struct buf *text, struct err *err)
{
    struct repository_counters counters;
    hub_counters(status->hub, &counters);
    append_metric(text, "bifurcated_hub_requests_total", "counter",
                  "HTTP requests sent to the hub and its CDN.", (double)counters.request_count);
    append_metric(text, "bifurcated_hub_received_bytes_total", "counter", "Bytes of bodies received.",
                  (double)counters.received_bytes);
    append_metric(text, "bifurcated_hub_fetch_seconds_total", "counter",
                  "Time that requests to the hub took, added up over those at once.",
                  (double)counters.transfer_us * 1e-6);
    append_metric(text, "bifurcated_hub_retries_total", "counter", "Requests that were tried again.",
                  (double)counters.retry_count);
    append_wait_metrics(status, text);
    append_disk_metrics(status, text);
    append_metric(text, "bifurcated_hub_cache_hits_total", "counter", "Files served from the local cache.",
                  (double)counters.cache_hit_count);
    append_metric(text, "bifurcated_device_busy_seconds_total", "counter", "Time that the device computed.",
                  (double)atomic_load(status->device_busy_us) * 1e-6);
    append_metric(
        text, "bifurcated_silent_folder_threads", "gauge",
        "Threads that wait for folders that do not answer, such as those of a mount without a server.",
        hub_silent_count(status->hub));
    append_metric(text, "bifurcated_workers_busy", "gauge", "Tasks being worked on.",
                  workers_busy_count(status->workers));
    append_metric(text, "bifurcated_tensor_bytes", "gauge", "Tensors in memory.",
                  (double)tensor_pool_size(status->pool));
    append_metric(text, "bifurcated_reference_bytes", "gauge",
                  "Tensors on disk that displacements of folders start from.",
                  (double)references_size(status->references));
    int code = append_watch_metrics(status, text, err);
    if (!code)
        code = executor_append_metrics(status->executor, text, err);
    return code ? code : buf_check(text, "metrics", err);
}

/* -- One line -------------------------------------------------------------------------------------------- */

static int keep_row(void *context, const struct sweep_row *row)
{
    *(struct sweep_row *)context = *row;
    return 1;
}

void status_describe(struct store *store, char *text, size_t size)
{
    static const enum sweep_state running = SWEEP_STATE_RUNNING;
    const struct sweeps_query wanted = {.state = &running, .limit = 1};
    struct err err = ERR_INIT;
    struct sweep_row row = {0};
    int64_t counts[SWEEP_STATE_COUNT], all = 0;
    if (sweeps_count(store, counts, &err) || sweeps_list(store, &wanted, keep_row, &row, &err)) {
        (void)snprintf(text, size, "the database cannot be read: %s", err.message);
        return;
    }
    int64_t others = counts[SWEEP_STATE_RUNNING] + counts[SWEEP_STATE_PLANNING] - (row.id ? 1 : 0);
    if (!row.id) {
        if (others)
            (void)snprintf(text, size, "planning %" PRId64 " sweeps", others);
        else
            (void)snprintf(text, size, "waiting for sweeps");
        return;
    }
    for (int i = 0; i < TASK_STATE_COUNT; i++)
        all += row.tasks[i];
    int length = snprintf(text, size, "sweep %" PRId64 " of %.100s: %" PRId64 " of %" PRId64 " revisions",
                          row.id, row.model, row.tasks[TASK_STATE_DONE] + row.tasks[TASK_STATE_FAILED], all);
    if (others > 0 && length > 0 && (size_t)length < size)
        (void)snprintf(text + length, size - (size_t)length, "; %" PRId64 " more sweeps", others);
}
