#include "store/watches.h"
#include "api/form/json.h"
#include "api/http/listing.h"
#include "api/http/page.h"
#include "api/http/precondition.h"
#include "api/resource/context.h"
#include "api/resource/query.h"
#include "api/sweeps/handlers.h"
#include "api/sweeps/watch_request.h"
#include "daemon/base/clock.h"
#include "daemon/base/limits.h"
#include "daemon/base/url.h"
#include "store/deliveries.h"
#include "store/models.h"
#include "store/sweeps.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_STANDARD 100
#define PAGE_ROWS_MAX 1000
#define DELIVERIES_SHOWN 20

/* -- Rendering ------------------------------------------------------------------------------------------- */

static void print_times(struct api_json *json, const struct watch_row *watch)
{
    char at[TIMETABLE_AT_SIZE];
    timetable_format_at(watch->timetable.at_minute, at);
    api_json_text(json, "at", watch->timetable.every_minutes ? NULL : at);
    if (watch->timetable.every_minutes)
        api_json_integer(json, "every_minutes", watch->timetable.every_minutes);
    else
        api_json_null(json, "every_minutes");
}

static int print_delivery(void *context, const struct delivery_row *row)
{
    struct api_json *json = context;
    api_json_open_object(json, NULL);
    api_json_text(json, "id", row->name);
    api_json_text(json, "event", delivery_event_name(row->event));
    if (row->sweep_id)
        api_json_integer(json, "sweep", row->sweep_id);
    else
        api_json_null(json, "sweep");
    api_json_text(json, "state", delivery_state_name(row->state));
    api_json_integer(json, "attempts", row->attempts);
    api_json_time(json, "created_at", row->created_ms);
    api_json_time(json, "next_attempt_at", row->state == DELIVERY_STATE_PENDING ? row->next_ms : 0);
    api_json_time(json, "ended_at", row->ended_ms);
    if (row->status)
        api_json_integer(json, "status", row->status);
    else
        api_json_null(json, "status");
    api_json_text_or_null(json, "error", row->error);
    api_json_close_object(json);
    return 0;
}

/* The address of a receiver is often its password, too: everyone who may read sees its origin alone. */
static void print_origin(struct api_json *json, const char *url)
{
    char origin[WATCHES_URL_SIZE + 8];
    size_t length = url_origin_length(url);
    (void)snprintf(origin, sizeof origin, "%.*s/%s", (int)length, url, strlen(url) > length + 1 ? "…" : "");
    api_json_text(json, "url", origin);
}

static int print_webhook(struct store *store, const struct watch_row *watch, struct api_json *json,
                         struct err *err)
{
    if (!watch->webhook_url[0]) {
        api_json_null(json, "webhook");
        return 0;
    }
    api_json_open_object(json, "webhook");
    print_origin(json, watch->webhook_url); /* and the secret stays here */
    api_json_open_array(json, "deliveries");
    int code = deliveries_list(store, watch->id, 0, DELIVERIES_SHOWN, print_delivery, json, err);
    api_json_close_array(json);
    api_json_close_object(json);
    return code;
}

/* Which may have ended long ago, while the run's outcome stays "sweeping". */
static int print_sweep(struct store *store, const struct watch_row *watch, struct api_json *json,
                       struct err *err)
{
    struct sweep_row sweep;
    int code = watch->run_sweep_id ? sweeps_get(store, watch->run_sweep_id, &sweep, err) : ERR_NOT_FOUND;
    if (code && code != ERR_NOT_FOUND)
        return code;
    *err = (struct err)ERR_INIT;
    if (watch->run_sweep_id)
        api_json_integer(json, "last_sweep", watch->run_sweep_id);
    else
        api_json_null(json, "last_sweep");
    api_json_text(json, "last_sweep_state", code ? NULL : sweep_state_name(sweep.state));
    api_json_text_or_null(json, "last_sweep_error", code ? "" : sweep.error_message);
    return 0;
}

static int print_watch(struct store *store, const struct watch_row *watch, struct api_json *json,
                       struct err *err)
{
    struct buf request, report;
    buf_init(&request, LIMIT_API_BODY_BYTES);
    buf_init(&report, LIMIT_API_BODY_BYTES);
    int code = watches_get_texts(store, watch->id, &request, &report, NULL, err);
    if (code)
        goto out;
    api_json_open_object(json, NULL);
    api_json_integer(json, "id", watch->id);
    api_json_text(json, "model", watch->model);
    print_times(json, watch);
    api_json_time(json, "next_run_at", watch_next(watch, clock_wall_ms()));
    api_json_time(json, "last_run_at", watch->run_ms);
    if (report.size)
        api_json_raw(json, "last_run", buf_text(&report), report.size);
    else
        api_json_null(json, "last_run");
    code = print_sweep(store, watch, json, err);
    api_json_time(json, "created_at", watch->created_ms);
    api_json_raw(json, "request", buf_text(&request), request.size);
    if (!code)
        code = print_webhook(store, watch, json, err);
    api_json_close_object(json);
out:
    buf_free(&request);
    buf_free(&report);
    return code;
}

/* Of what a PUT sets, also the secret that no answer shows. */
static int find_digits(struct store *store, const struct watch_row *watch, char digits[API_SETTING_SIZE],
                       struct err *err)
{
    struct buf setting;
    buf_init(&setting, 2 * (size_t)LIMIT_API_BODY_BYTES);
    buf_appendf(&setting, "%" PRId64 " %d %d %d %s %s ", watch->id, watch->timetable.at_minute,
                watch->timetable.every_minutes, watch->priority, watch->webhook_url, watch->webhook_secret);
    int code = watches_get_texts(store, watch->id, &setting, NULL, NULL, err);
    if (!code)
        code = buf_check(&setting, "watch", err);
    if (!code)
        code = api_precondition_digits(&setting, digits, err);
    buf_free(&setting);
    return code;
}

static int answer(const struct api_request *request, const char *model, struct api_response *response,
                  struct err *err)
{
    struct store *store = request->context->store;
    struct watch_row watch;
    struct api_json json;
    int code = watches_find(store, model, &watch, err);
    if (code)
        return code;
    api_json_init(&json, &response->body);
    return print_watch(store, &watch, &json, err);
}

/* -- One watch ------------------------------------------------------------------------------------------- */

int api_get_watch(struct api_request *request, struct api_response *response, struct err *err)
{
    char model[LIMIT_MODEL_NAME_BYTES + 1];
    struct watch_row watch;
    char digits[API_SETTING_SIZE];
    int code = api_query_model_name(request, model, err);
    if (!code)
        code = watches_find(request->context->store, model, &watch, err);
    if (!code) /* first, so that they are never newer than the answer */
        code = find_digits(request->context->store, &watch, digits, err);
    if (!code)
        code = answer(request, model, response, err);
    return code ? code : api_precondition_etag(digits, response, err);
}

static int parse_body(const struct api_request *request, const char *model, struct api_watch_request *watch,
                      struct api_response *response, struct err *err)
{
    char field[API_SWEEP_FIELD_SIZE];
    int code =
        api_watch_request_parse(buf_text(&request->body), request->body.size, model, watch, field, err);
    return api_response_name_body(response, code, field);
}

static void note_change(const struct api_request *request, const char *event, const char *model)
{
    api_context_note_change(request->context, &(struct api_change){.event = event,
                                                                   .name = model,
                                                                   .by_name = request->identity.name,
                                                                   .by_token = request->identity.token_id});
}

int api_put_watch(struct api_request *request, struct api_response *response, struct err *err)
{
    struct store *store = request->context->store;
    char model[LIMIT_MODEL_NAME_BYTES + 1];
    struct api_watch_request watch = {0};
    struct watch_setting setting = {0};
    int is_new = 0;
    int code = api_query_model_name(request, model, err);
    if (!code)
        code = parse_body(request, model, &watch, response, err);
    if (!code)
        code = models_ensure(store, watch.sweep.model, watch.sweep.kind, &setting.model_id, err);
    if (!code) {
        setting.timetable = watch.timetable;
        setting.request = watch.sweep.text;
        setting.priority = watch.sweep.priority;
        setting.webhook_url = watch.webhook_url;
        setting.webhook_secret = watch.has_secret ? watch.webhook_secret : NULL;
        code = watches_put(store, &setting, &is_new, err);
        if (code == ERR_NOT_FOUND)
            code = err->code = ERR_CONFLICT; /* removed between the two */
        code = api_response_name_body(response, code, "/webhook/secret");
    }
    free(watch.sweep.text);
    if (code)
        return code;
    api_context_wake(request->context);
    note_change(request, is_new ? "watch made" : "watch changed", model);
    response->status = is_new ? 201 : 200;
    return answer(request, model, response, err);
}

int api_delete_watch(struct api_request *request, struct api_response *response, struct err *err)
{
    char model[LIMIT_MODEL_NAME_BYTES + 1];
    int code = api_query_model_name(request, model, err);
    if (!code)
        code = watches_delete(request->context->store, model, err);
    if (code)
        return code;
    note_change(request, "watch deleted", model);
    response->status = 204;
    return 0;
}

int api_run_watch(struct api_request *request, struct api_response *response, struct err *err)
{
    char model[LIMIT_MODEL_NAME_BYTES + 1];
    int code = api_query_model_name(request, model, err);
    if (!code)
        code = watches_ask(request->context->store, model, err);
    if (code)
        return code;
    response->status = 202;
    code = answer(request, model, response, err); /* before it looks: last_run_at tells that it has */
    api_context_wake(request->context);
    return code;
}

/* -- What was sent --------------------------------------------------------------------------------------- */

static const struct api_listing delivery_listing = {
    "deliveries", " id event sweep state attempts created_at next_attempt_at ended_at status error ", ""};

static int append_delivery(void *context, const struct delivery_row *row)
{
    struct api_page *page = context;
    if (!api_page_take(page, row->id))
        return 1;
    return print_delivery(&page->json, row);
}

int api_list_deliveries(struct api_request *request, struct api_response *response, struct err *err)
{
    struct store *store = request->context->store;
    char model[LIMIT_MODEL_NAME_BYTES + 1];
    struct watch_row watch;
    int64_t before = 0;
    int limit = 0;
    int code = api_page_limit(request, LIMIT_STANDARD, PAGE_ROWS_MAX, &limit, response, err);
    if (!code)
        code = api_page_read_number(request, &before, response, err);
    if (!code)
        code = api_listing_check(request, &delivery_listing, response, err);
    if (!code)
        code = api_query_model_name(request, model, err);
    if (!code)
        code = watches_find(store, model, &watch, err);
    if (code)
        return code;
    struct api_page page = {.left = limit};
    api_json_init(&page.json, &response->body);
    api_json_open_object(&page.json, NULL);
    api_json_text(&page.json, "model", watch.model);
    api_json_open_array(&page.json, "deliveries");
    code = deliveries_list(store, watch.id, before, page.left + 1, append_delivery, &page, err);
    if (code)
        return code;
    api_json_close_array(&page.json);
    code = api_page_end_numbers(request, &page, response, err);
    return code ? code : api_listing_finish(request, &delivery_listing, response, err);
}

/* -- The list -------------------------------------------------------------------------------------------- */

/* The first six as ever; what came later stands behind them. */
static const struct api_listing listing = {"watches",
                                           " model at every_minutes next_run_at last_run_at last_sweep id "
                                           "created_at last_run.outcome last_run.swept "
                                           "webhook.url last_sweep_state last_sweep_error ",
                                           " last_run request webhook "};

/* Rendered from a copy of its rows, because a callback must not call the store. */
struct watch_page {
    struct watch_row *rows;
    int count;
};

static int copy(void *context, const struct watch_row *row)
{
    struct watch_page *page = context;
    page->rows[page->count++] = *row;
    return 0;
}

static int render_list(const struct api_request *request, const struct watch_page *page, int limit,
                       struct api_response *response, struct err *err)
{
    struct api_json json;
    char cursor[API_CURSOR_SIZE] = "";
    int code = 0, count = page->count > limit ? limit : page->count;
    if (page->count > limit)
        api_page_write_cursor(page->rows[limit - 1].model, cursor);
    api_json_init(&json, &response->body);
    api_json_open_object(&json, NULL);
    api_json_open_array(&json, "watches");
    for (int i = 0; i < count && !code; i++)
        code = print_watch(request->context->store, &page->rows[i], &json, err);
    api_json_close_array(&json);
    if (!code)
        code = api_page_end(request, &json, cursor, response, err);
    return code ? code : api_listing_finish(request, &listing, response, err);
}

int api_list_watches(struct api_request *request, struct api_response *response, struct err *err)
{
    char after[LIMIT_MODEL_NAME_BYTES + 1] = "";
    int limit = 0, has_cursor = 0;
    int code = api_page_limit(request, LIMIT_STANDARD, PAGE_ROWS_MAX, &limit, response, err);
    if (!code)
        code = api_page_read_cursor(request, after, sizeof after, &has_cursor, response, err);
    if (!code)
        code = api_listing_check(request, &listing, response, err);
    if (code)
        return code;
    struct watch_page page = {.rows = calloc((size_t)limit + 1, sizeof *page.rows)};
    if (!page.rows)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    code = watches_list(request->context->store, after, limit + 1, copy, &page, err);
    if (!code)
        code = render_list(request, &page, limit, response, err);
    free(page.rows);
    return code;
}
