#include "api/sweeps/sweep_view.h"

#include "api/resource/passed_over.h"
#include "daemon/base/clock.h"
#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"
#include "daemon/base/local_name.h"
#include "store/jobs.h"
#include "store/tasks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int append_failed_task(void *context, const struct task_row *row)
{
    struct api_json *json = context;
    api_json_open_object(json, NULL);
    api_json_text(json, "revision", row->revision);
    api_json_text(json, "code", row->error_code);
    api_json_text(json, "message", row->error_message);
    api_json_integer(json, "attempts", row->attempts);
    api_json_close_object(json);
    return 0;
}

void api_sweep_append_job(struct api_json *json, const struct job_row *row)
{
    api_json_open_object(json, NULL);
    if (row->job_id)
        api_json_integer(json, "id", row->job_id);
    else
        api_json_null(json, "id");
    api_json_integer(json, "sweep", row->sweep_id);
    api_json_text(json, "state", job_state_name(row->state));
    api_json_text_or_null(json, "reason", row->reason);
    api_json_integer(json, "workers", row->size);
    api_json_integer(json, "pending", row->pending);
    api_json_integer(json, "running", row->running);
    api_json_integer(json, "completed", row->completed);
    api_json_integer(json, "failed", row->failed);
    api_json_integer(json, "cancelled", row->cancelled);
    api_json_integer(json, "attempts", row->attempts);
    api_json_time(json, "submitted_at", row->submitted_ms);
    api_json_time(json, "ended_at", row->ended_ms);
    api_json_boolean(json, "is_sweep_removed", row->is_sweep_removed);
    api_json_close_object(json);
}

static int append_job(void *context, const struct job_row *row)
{
    api_sweep_append_job(context, row);
    return 0;
}

/* The rate is that of the whole sweep so far; what is left is reckoned from the bytes where they are known
 * and from the revisions, whichever is sooner: a sweep whose revisions are measured already fetches next to
 * nothing. Where the clock was set back to before the beginning, neither is known. */
static void append_progress(const struct sweep_row *row, struct api_json *json)
{
    int64_t total = 0;
    for (int i = 0; i < TASK_STATE_COUNT; i++)
        total += row->tasks[i];
    int64_t ended =
        row->tasks[TASK_STATE_DONE] + row->tasks[TASK_STATE_FAILED] + row->tasks[TASK_STATE_CANCELLED];
    int64_t until_ms = row->finished_ms ? row->finished_ms : clock_wall_ms();
    double seconds = row->started_ms ? fmax(0.0, (double)(until_ms - row->started_ms) / 1000.0) : 0.0;
    double rate = seconds > 0.0 ? (double)row->bytes_fetched / seconds : (double)NAN;
    double left = (double)NAN;
    if (row->state == SWEEP_STATE_RUNNING && row->bytes_fetched > 0 && rate > 0.0)
        left = fmax(0.0, (double)(row->bytes_expected - row->bytes_fetched)) / rate;
    if (row->state == SWEEP_STATE_RUNNING && ended > 0 && seconds > 0.0) {
        double by_revisions = seconds / (double)ended * (double)(total - ended);
        left = left > 0.0 ? fmin(left, by_revisions) : by_revisions;
    }
    api_json_open_object(json, "progress");
    api_json_integer(json, "revisions_total", total);
    api_json_integer(json, "done", row->tasks[TASK_STATE_DONE]);
    api_json_integer(json, "failed", row->tasks[TASK_STATE_FAILED]);
    api_json_integer(json, "cancelled", row->tasks[TASK_STATE_CANCELLED]);
    api_json_integer(json, "queued", row->tasks[TASK_STATE_QUEUED]);
    api_json_integer(json, "running", row->tasks[TASK_STATE_CLAIMED]);
    api_json_integer(json, "bytes_fetched", row->bytes_fetched);
    api_json_integer(json, "bytes_expected", row->bytes_expected);
    api_json_real(json, "rate_bytes_per_s", rate);
    api_json_real(json, "seconds", seconds);
    api_json_real(json, "seconds_left", sweep_state_is_final(row->state) ? 0.0 : left);
    api_json_close_object(json);
}

/* Whether nobody works at a running sweep because those who did may not read what it needs; fills in why. */
static int is_left(struct store *store, const struct sweep_row *row, struct api_hub_wait *ret_wait)
{
    struct task_row task;
    struct err ignored = ERR_INIT;
    if (row->state != SWEEP_STATE_RUNNING || row->tasks[TASK_STATE_CLAIMED] > 0 ||
        tasks_find_left(store, row->id, &task, &ignored))
        return 0;
    *ret_wait =
        (struct api_hub_wait){.reason = err_name(ERR_GATED), .until_ms = task.claimed_ms + TASKS_LEFT_MS};
    (void)snprintf(ret_wait->detail, sizeof ret_wait->detail, "left to workers with another token: %.470s",
                   task.error_message);
    return 1;
}

/* A folder needs no hub, though its texts may, but room on the disk. */
static int concerns(const struct api_hub_wait *wait, const struct sweep_row *row)
{
    return wait && wait->reason &&
           (!local_name_is(row->model) || strcmp(wait->reason, err_name(ERR_NO_SPACE)) == 0);
}

static void append_wait(struct store *store, const struct sweep_row *row, const struct api_hub_wait *wait,
                        struct api_json *json)
{
    struct api_hub_wait left = {.reason = NULL};
    int is_over = sweep_state_is_final(row->state);
    if (!is_over && !concerns(wait, row))
        wait = is_left(store, row, &left) ? &left : NULL;
    if (is_over || !wait || !wait->reason) {
        api_json_null(json, "hub_wait");
        return;
    }
    int64_t left_ms = wait->until_ms - clock_wall_ms();
    api_json_open_object(json, "hub_wait");
    api_json_text(json, "reason", wait->reason);
    api_json_time(json, "waiting_until", wait->until_ms);
    api_json_real(json, "seconds_left", left_ms > 0 ? (double)left_ms / 1000.0 : 0.0);
    api_json_text_or_null(json, "detail", wait->detail);
    api_json_close_object(json);
}

/* Whether revisions were asked for by their names, so that none were passed over. */
static int names_revisions(const struct buf *request)
{
    json_t *root = json_text_load(buf_text(request), request->size, 0, NULL);
    int names = json_object_get(json_object_get(root, "revisions"), "names") != NULL;
    json_decref(root);
    return names;
}

/* What was asked for, and which revisions that passes over, once it is planned. */
static int append_request(struct store *store, const struct sweep_row *row, struct api_json *json,
                          struct err *err)
{
    struct buf request;
    buf_init(&request, LIMIT_API_BODY_BYTES);
    int code = sweeps_get_request(store, row->id, &request, err);
    if (!code)
        code = buf_check(&request, "sweep request", err);
    if (!code)
        api_json_raw(json, "request", buf_text(&request), request.size);
    if (!code && row->started_ms && !names_revisions(&request))
        code = api_passed_over_append(store, row->model_id, json, err);
    else
        api_json_null(json, "passed_over");
    buf_free(&request);
    return code;
}

static int append_whole(struct store *store, const struct sweep_row *row, struct api_json *json,
                        struct err *err)
{
    int code = append_request(store, row, json, err);
    if (code)
        return code;
    api_json_open_array(json, "errors");
    const enum task_state failed = TASK_STATE_FAILED;
    const struct tasks_query wanted = {
        .sweep_id = row->id, .state = &failed, .after_ordinal = -1, .limit = API_SWEEP_ERRORS_MAX};
    if (row->tasks[TASK_STATE_FAILED] > 0)
        code = tasks_list(store, &wanted, append_failed_task, json, err);
    api_json_close_array(json);
    if (code)
        return code;
    api_json_open_array(json, "jobs");
    code = jobs_list(store, row->id, API_SWEEP_JOBS_MAX, append_job, json, err);
    api_json_close_array(json);
    return code;
}

int api_sweep_render(struct store *store, const struct sweep_row *row, int is_whole,
                     const struct api_hub_wait *wait, struct api_json *json, struct err *err)
{
    api_json_open_object(json, NULL);
    api_json_integer(json, "id", row->id);
    api_json_text(json, "model", row->model);
    api_json_text(json, "state", sweep_state_name(row->state));
    api_json_integer(json, "priority", row->priority);
    api_json_text_or_null(json, "idempotency_key", row->idempotency_key);
    if (row->watch_id)
        api_json_integer(json, "watch_id", row->watch_id);
    else
        api_json_null(json, "watch_id");
    api_json_text_or_null(json, "requested_by", row->requested_by);
    api_json_time(json, "created_at", row->created_ms);
    api_json_time(json, "started_at", row->started_ms);
    api_json_time(json, "finished_at", row->finished_ms);
    if (row->error_code[0]) {
        api_json_open_object(json, "error");
        api_json_text(json, "code", row->error_code);
        api_json_text(json, "message", row->error_message);
        api_json_close_object(json);
    } else {
        api_json_null(json, "error");
    }
    append_progress(row, json);
    if (is_whole)
        append_wait(store, row, wait, json);
    api_json_raw(json, "metrics", row->metrics, strlen(row->metrics));
    int code = is_whole ? append_whole(store, row, json, err) : 0;
    api_json_close_object(json);
    return code;
}

int api_sweep_append(struct store *store, int64_t id, const struct api_hub_wait *wait, struct buf *buf,
                     uint64_t *ret_version, int *ret_is_over, struct err *err)
{
    struct sweep_row row;
    struct api_json json;
    int code = sweeps_get(store, id, &row, err);
    if (code)
        return code;
    api_json_init(&json, buf);
    code = api_sweep_render(store, &row, 1, wait, &json, err);
    if (!code)
        code = buf_check(buf, "sweep", err);
    if (code)
        return code;
    if (ret_version)
        *ret_version = row.version;
    if (ret_is_over)
        *ret_is_over = sweep_state_is_final(row.state);
    return 0;
}
