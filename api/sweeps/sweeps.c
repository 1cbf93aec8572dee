#include "store/sweeps.h"
#include "api/form/json.h"
#include "api/form/number.h"
#include "api/http/listing.h"
#include "api/http/page.h"
#include "api/http/precondition.h"
#include "api/resource/context.h"
#include "api/sweeps/events.h"
#include "api/sweeps/handlers.h"
#include "api/sweeps/sweep_request.h"
#include "api/sweeps/sweep_view.h"
#include "daemon/base/limits.h"
#include "store/models.h"
#include "store/tasks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_STANDARD 100
/* A page of sweeps or tasks is rendered from a copy of its rows, because a callback must not call the store.
 */
#define PAGE_ROWS_MAX 1000

static const struct api_listing sweep_listing = {
    "sweeps",
    " id model state metrics priority idempotency_key watch_id requested_by created_at started_at "
    "finished_at error.code "
    "error.message "
    "progress.revisions_total progress.done progress.failed progress.cancelled progress.queued "
    "progress.running "
    "progress.bytes_fetched progress.bytes_expected progress.rate_bytes_per_s progress.seconds "
    "progress.seconds_left ",
    " error progress "};
static const struct api_listing task_listing = {"tasks",
                                                " id revision commit state attempts worker claimed_at "
                                                "finished_at not_before error_code error bytes_fetched "
                                                "bytes_expected ",
                                                ""};
static const struct api_listing event_listing = {"events", " at event worker detail ", ""};

static int read_id(const struct api_request *request, int64_t *ret_id, struct err *err)
{
    if (api_number_parse(request->arguments[0], 1, INT64_MAX, ret_id))
        return 0;
    return err_set_absent(err, ERR_ABSENT_SWEEP, "sweep %.40s: no such sweep", request->arguments[0]);
}

static int append_sweep(const struct api_request *request, int64_t id, struct api_response *response,
                        struct err *err)
{
    struct api_hub_wait wait;
    api_context_read_hub_wait(request->context, &wait);
    return api_sweep_append(request->context->store, id, &wait, &response->body, NULL, NULL, err);
}

/* Of what a cancellation changes; how far the sweep is goes on by itself. */
static int find_digits(struct store *store, int64_t id, char digits[API_SETTING_SIZE], struct err *err)
{
    struct sweep_row row;
    int code = sweeps_get(store, id, &row, err);
    return code ? code
                : api_precondition_digits_of(digits, err, "%s %" PRId64 " %s", store_instance(store), id,
                                             sweep_state_name(row.state));
}

int api_get_sweep(struct api_request *request, struct api_response *response, struct err *err)
{
    char digits[API_SETTING_SIZE];
    int64_t id = 0;
    int code = read_id(request, &id, err);
    if (!code) /* first, so that they are never newer than the answer */
        code = find_digits(request->context->store, id, digits, err);
    if (!code)
        code = append_sweep(request, id, response, err);
    return code ? code : api_precondition_etag(digits, response, err);
}

/* The log tells who asked for a sweep, and who ended it: a queue is shared. */
static void note_change(const struct api_request *request, const char *event, int64_t id, const char *model)
{
    api_context_note_change(request->context, &(struct api_change){.event = event,
                                                                   .sweep = id,
                                                                   .name = model,
                                                                   .by_name = request->identity.name,
                                                                   .by_token = request->identity.token_id});
}

int api_cancel_sweep(struct api_request *request, struct api_response *response, struct err *err)
{
    struct sweep_row before;
    int64_t id = 0;
    int code = read_id(request, &id, err);
    if (!code)
        code = sweeps_get(request->context->store, id, &before, err);
    if (!code)
        code = sweeps_cancel(request->context->store, id, err);
    if (code)
        return code;
    if (!sweep_state_is_final(before.state))
        note_change(request, "sweep cancelled", id, before.model);
    api_context_wake(request->context);
    return append_sweep(request, id, response, err);
}

int api_follow_sweep(struct api_request *request, struct api_response *response, struct err *err)
{
    int64_t id = 0;
    int code = read_id(request, &id, err);
    if (code)
        return code;
    response->content_type = "text/event-stream";
    return api_events_open(request->context->events, request, id, &response->stream, err);
}

/* A key is visible ASCII, as other services have it. */
static int read_key(const struct api_request *request, const char **ret_key, struct api_response *response,
                    struct err *err)
{
    const char *key = api_request_header(request, "Idempotency-Key");
    *ret_key = key;
    if (!key)
        return 0;
    size_t length = strlen(key);
    int is_plain = length > 0 && length < SWEEPS_KEY_SIZE;
    for (size_t i = 0; i < length; i++)
        is_plain &= key[i] > 0x20 && key[i] < 0x7f;
    if (is_plain)
        return 0;
    return api_response_refuse(response, "header", "Idempotency-Key", err, ERR_INVALID,
                               "Idempotency-Key: 1 to %d visible ASCII characters", SWEEPS_KEY_SIZE - 1);
}

static int parse_body(const struct api_request *request, struct api_sweep_request *sweep,
                      struct api_response *response, struct err *err)
{
    char field[API_SWEEP_FIELD_SIZE];
    int code = api_sweep_request_parse(buf_text(&request->body), request->body.size, sweep, field, err);
    return api_response_name_body(response, code, field);
}

int api_create_sweep(struct api_request *request, struct api_response *response, struct err *err)
{
    struct store *store = request->context->store;
    struct api_sweep_request sweep = {0};
    struct sweep_request row = {0};
    int64_t id = 0;
    int is_new = 0;
    int code = read_key(request, &row.idempotency_key, response, err);
    if (!code)
        code = parse_body(request, &sweep, response, err);
    if (!code)
        code = models_ensure(store, sweep.model, sweep.kind, &row.model_id, err);
    if (!code) {
        row.request = sweep.text;
        row.priority = sweep.priority;
        row.requested_by = request->identity.name;
        code = sweeps_create(store, &row, &id, &is_new, err);
        if (code == ERR_NOT_FOUND)
            code = err->code = ERR_CONFLICT; /* removed between the two */
    }
    if (!code && is_new)
        note_change(request, "sweep asked for", id, sweep.model);
    free(sweep.text);
    if (code)
        return code;
    api_context_wake(request->context);
    response->status = is_new ? 201 : 200;
    (void)snprintf(response->location, sizeof response->location, "/v1/sweeps/%" PRId64, id);
    return append_sweep(request, id, response, err);
}

struct sweep_page {
    struct sweep_row *rows;
    int count;
};

static int copy_sweep(void *context, const struct sweep_row *row)
{
    struct sweep_page *page = context;
    page->rows[page->count++] = *row;
    return 0;
}

static int read_model_filter(const struct api_request *request, int64_t *ret_model_id,
                             struct api_response *response, struct err *err)
{
    const char *name = api_uri_find(&request->uri, "model");
    uint64_t version = 0;
    if (!name)
        return 0;
    int code = models_version(request->context->store, name, ret_model_id, &version, err);
    if (code == ERR_NOT_FOUND)
        return api_response_refuse(response, "query", "model", err, ERR_NOT_FOUND,
                                   "model: %.100s is not known here", name);
    return code;
}

static int render_sweeps(const struct api_request *request, const struct sweep_page *page, int limit,
                         struct api_response *response, struct err *err)
{
    struct api_json json;
    int code = 0;
    int count = page->count > limit ? limit : page->count;
    api_json_init(&json, &response->body);
    api_json_open_object(&json, NULL);
    api_json_open_array(&json, "sweeps");
    for (int i = 0; i < count && !code; i++)
        code = api_sweep_render(request->context->store, &page->rows[i], 0, NULL, &json, err);
    api_json_close_array(&json);
    char cursor[API_CURSOR_SIZE] = "";
    if (page->count > limit)
        api_page_write_number(page->rows[limit - 1].id, cursor);
    if (!code)
        code = api_page_end(request, &json, cursor, response, err);
    return code ? code : api_listing_finish(request, &sweep_listing, response, err);
}

int api_list_sweeps(struct api_request *request, struct api_response *response, struct err *err)
{
    int limit = 0;
    enum sweep_state state = SWEEP_STATE_PLANNING;
    const char *state_name = api_uri_find(&request->uri, "state");
    struct sweeps_query wanted = {.state = state_name ? &state : NULL};
    if (state_name && !sweep_state_parse(state_name, &state))
        return api_response_refuse(response, "query", "state", err, ERR_INVALID,
                                   "state: not one of planning, running, done, failed, cancelled");
    int code = api_page_limit(request, LIMIT_STANDARD, PAGE_ROWS_MAX, &limit, response, err);
    if (!code)
        code = api_page_read_number(request, &wanted.before, response, err);
    if (!code)
        code = api_listing_check(request, &sweep_listing, response, err);
    if (!code)
        code = read_model_filter(request, &wanted.model_id, response, err);
    if (code)
        return code;
    struct sweep_page page = {.rows = calloc((size_t)limit + 1, sizeof *page.rows)};
    if (!page.rows)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    wanted.limit = limit + 1;
    code = sweeps_list(request->context->store, &wanted, copy_sweep, &page, err);
    if (!code)
        code = render_sweeps(request, &page, limit, response, err);
    free(page.rows);
    return code;
}

static int end_page(const struct api_request *request, struct api_page *page,
                    const struct api_listing *listing, struct api_response *response, struct err *err)
{
    int code = api_page_end_numbers(request, page, response, err);
    return code ? code : api_listing_finish(request, listing, response, err);
}

static int append_task(void *context, const struct task_row *row)
{
    struct api_page *page = context;
    struct api_json *json = &page->json;
    if (!api_page_take(page, row->ordinal))
        return 1;
    api_json_open_object(json, NULL);
    api_json_integer(json, "id", row->id);
    api_json_text(json, "revision", row->revision);
    api_json_text(json, "commit", row->commit);
    api_json_text(json, "state", task_state_name(row->state));
    api_json_integer(json, "attempts", row->attempts);
    api_json_text_or_null(json, "worker", row->worker);
    api_json_time(json, "claimed_at", row->claimed_ms);
    api_json_time(json, "finished_at", row->finished_ms);
    api_json_time(json, "not_before", row->not_before_ms);
    api_json_text_or_null(json, "error_code", row->error_code);
    api_json_text_or_null(json, "error", row->error_message);
    api_json_integer(json, "bytes_fetched", row->bytes_fetched);
    api_json_integer(json, "bytes_expected", row->bytes_expected);
    api_json_close_object(json);
    return 0;
}

int api_list_tasks(struct api_request *request, struct api_response *response, struct err *err)
{
    struct store *store = request->context->store;
    struct sweep_row sweep;
    int limit = 0;
    enum task_state state = TASK_STATE_QUEUED;
    const char *state_name = api_uri_find(&request->uri, "state");
    struct tasks_query wanted = {.state = state_name ? &state : NULL, .after_ordinal = -1};
    if (state_name && !task_state_parse(state_name, &state))
        return api_response_refuse(response, "query", "state", err, ERR_INVALID,
                                   "state: not one of queued, claimed, done, failed, cancelled");
    int code = api_page_limit(request, LIMIT_STANDARD, LIMIT_API_PAGE_ROWS, &limit, response, err);
    if (!code)
        code = api_page_read_number(request, &wanted.after_ordinal, response, err);
    if (!code)
        code = api_listing_check(request, &task_listing, response, err);
    if (!code)
        code = read_id(request, &wanted.sweep_id, err);
    if (!code)
        code = sweeps_get(store, wanted.sweep_id, &sweep, err);
    if (code)
        return code;
    struct api_page page = {.left = limit};
    api_json_init(&page.json, &response->body);
    api_json_open_object(&page.json, NULL);
    api_json_open_array(&page.json, "tasks");
    wanted.limit = limit + 1;
    code = tasks_list(store, &wanted, append_task, &page, err);
    if (code)
        return code;
    api_json_close_array(&page.json);
    return end_page(request, &page, &task_listing, response, err);
}

static int append_event(void *context, const struct task_event_row *row)
{
    struct api_page *page = context;
    struct api_json *json = &page->json;
    if (!api_page_take(page, row->id))
        return 1;
    api_json_open_object(json, NULL);
    api_json_time(json, "at", row->at_ms);
    api_json_text(json, "event", row->event);
    api_json_text_or_null(json, "worker", row->worker);
    api_json_text_or_null(json, "detail", row->detail);
    api_json_close_object(json);
    return 0;
}

/* The task of the path; it must be one of the sweep's. */
static int read_task(const struct api_request *request, struct task_row *ret_task, struct err *err)
{
    struct sweep_row sweep;
    int64_t sweep_id = 0, id = 0;
    int code = read_id(request, &sweep_id, err);
    if (!code)
        code = sweeps_get(request->context->store, sweep_id, &sweep, err);
    if (!code && !api_number_parse(request->arguments[1], 1, INT64_MAX, &id))
        code = err_set_absent(err, ERR_ABSENT_TASK, "there is no task %.40s", request->arguments[1]);
    if (!code)
        code = tasks_get(request->context->store, id, ret_task, err);
    if (!code && ret_task->sweep_id != sweep_id)
        code = err_set_absent(err, ERR_ABSENT_TASK, "sweep %" PRId64 " has no task %" PRId64, sweep_id, id);
    return code;
}

int api_list_task_events(struct api_request *request, struct api_response *response, struct err *err)
{
    struct task_row task;
    int64_t after = 0;
    int limit = 0;
    int code = api_page_limit(request, LIMIT_STANDARD, LIMIT_API_PAGE_ROWS, &limit, response, err);
    if (!code)
        code = api_page_read_number(request, &after, response, err);
    if (!code)
        code = api_listing_check(request, &event_listing, response, err);
    if (!code)
        code = read_task(request, &task, err);
    if (code)
        return code;
    struct api_page page = {.left = limit};
    api_json_init(&page.json, &response->body);
    api_json_open_object(&page.json, NULL);
    api_json_integer(&page.json, "task", task.id);
    api_json_integer(&page.json, "sweep", task.sweep_id);
    api_json_text(&page.json, "revision", task.revision);
    api_json_text(&page.json, "state", task_state_name(task.state));
    api_json_open_array(&page.json, "events");
    code = tasks_list_events(request->context->store, task.id, after, limit + 1, append_event, &page, err);
    if (code)
        return code;
    api_json_close_array(&page.json);
    return end_page(request, &page, &event_listing, response, err);
}
