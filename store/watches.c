#include "store/watches.h"

#include "daemon/base/clock.h"
#include "store/rows_watch.h"
#include "store/touch.h"

#include <string.h>

/* -- Settings -------------------------------------------------------------------------------------------- */

static int check_setting(const struct watch_setting *setting, struct err *err)
{
    const struct timetable *timetable = &setting->timetable;
    if (timetable->every_minutes < 0 || timetable->every_minutes > TIMETABLE_EVERY_MAX ||
        timetable->at_minute < 0 || timetable->at_minute > 1439)
        return err_set(err, ERR_INVALID, "watch: neither a time of the day nor 1 to %d minutes",
                       TIMETABLE_EVERY_MAX);
    if (strlen(setting->request) > LIMIT_API_BODY_BYTES)
        return err_set(err, ERR_LIMIT, "watch: the request is longer than %zu bytes",
                       (size_t)LIMIT_API_BODY_BYTES);
    if (strlen(setting->webhook_url) >= WATCHES_URL_SIZE)
        return err_set(err, ERR_LIMIT, "watch: the webhook's URL is longer than %d bytes",
                       WATCHES_URL_SIZE - 1);
    if (setting->webhook_secret && (strlen(setting->webhook_secret) < WATCHES_SECRET_MIN ||
                                    strlen(setting->webhook_secret) >= WATCHES_SECRET_SIZE))
        return err_set(err, ERR_INVALID, "watch: the webhook's secret has %d to %d characters",
                       WATCHES_SECRET_MIN, WATCHES_SECRET_SIZE - 1);
    return 0;
}

static void bind_setting(struct query *query, const struct watch_setting *setting, int64_t now)
{
    query_bind_int(query, setting->model_id);
    if (setting->timetable.every_minutes) {
        query_bind_null(query);
        query_bind_int(query, setting->timetable.every_minutes);
    } else {
        query_bind_int(query, setting->timetable.at_minute);
        query_bind_null(query);
    }
    query_bind_text(query, setting->request);
    query_bind_int(query, setting->priority);
    query_bind_text(query, setting->webhook_url);
    query_bind_text(query, setting->webhook_url[0] ? setting->webhook_secret : "");
    query_bind_int(query, now);
}

static int update_watch(struct connection *connection, const struct watch_setting *setting, int64_t now,
                        int64_t *ret_id, struct err *err)
{
    struct query query;
    int code = query_begin(
        &query, connection,
        "UPDATE watches SET at_minute = ?2, every_minutes = ?3, request = ?4, priority = ?5, webhook_url = "
        "?6, "
        "webhook_secret = coalesce(?7, CASE WHEN webhook_url = ?6 THEN webhook_secret ELSE '' END), "
        "request_number = request_number + (request <> ?4), "
        "since_ms = CASE WHEN at_minute IS ?2 AND every_minutes IS ?3 THEN since_ms ELSE ?8 END, "
        "failures = 0, retry_ms = NULL WHERE model_id = ?1 RETURNING id",
        err);
    if (code)
        return code;
    bind_setting(&query, setting, now);
    return query_run_int(&query, ret_id, err);
}

static int insert_watch(struct connection *connection, const struct watch_setting *setting, int64_t now,
                        int64_t *ret_id, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection,
                           "INSERT INTO watches (model_id, at_minute, every_minutes, request, priority, "
                           "webhook_url, webhook_secret, created_ms, since_ms) "
                           "VALUES (?1, ?2, ?3, ?4, ?5, ?6, coalesce(?7, ''), ?8, ?8) RETURNING id",
                           err);
    if (code)
        return code;
    bind_setting(&query, setting, now);
    return query_run_int(&query, ret_id, err);
}

/* A webhook needs a secret; pending deliveries of a removed webhook are dropped. */
static int settle_webhook(struct connection *connection, int64_t id, struct err *err)
{
    struct query query;
    int64_t lacks = 0;
    int code = query_begin(&query, connection,
                           "SELECT webhook_url <> '' AND webhook_secret = '' FROM watches WHERE id = ?", err);
    if (code)
        return code;
    query_bind_int(&query, id);
    if ((code = query_run_int(&query, &lacks, err)) < 0)
        return code;
    if (lacks)
        return err_set(err, ERR_INVALID,
                       "watch: a webhook needs a secret of at least %d characters, which signs what is sent",
                       WATCHES_SECRET_MIN);
    code = query_begin(&query, connection,
                       "DELETE FROM deliveries WHERE watch_id = ?1 AND state = 'pending' AND EXISTS "
                       "(SELECT 1 FROM watches WHERE id = ?1 AND webhook_url = '')",
                       err);
    if (code)
        return code;
    query_bind_int(&query, id);
    return query_run(&query, err);
}

int watches_put(struct store *store, const struct watch_setting *setting, int *ret_is_new, struct err *err)
{
    struct connection *connection = NULL;
    int64_t id = 0, now = clock_wall_ms();
    int is_new = 0;
    int code = check_setting(setting, err);
    if (code)
        return code;
    if ((code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err)))
        return code;
    code = touch_check_model(connection, setting->model_id, err);
    if (!code)
        code = update_watch(connection, setting, now, &id, err);
    if (!code) {
        is_new = 1;
        code = insert_watch(connection, setting, now, &id, err);
    }
    if (code > 0)
        code = settle_webhook(connection, id, err);
    code = store_write_end(store, code, err);
    if (!code && ret_is_new)
        *ret_is_new = is_new;
    return code;
}

/* Runs a statement on the watch of a model; ERR_NOT_FOUND if it returns no row. */
static int change_one(struct store *store, const char *sql, const char *model, struct err *err)
{
    struct connection *connection = NULL;
    struct query query;
    int64_t id = 0;
    int code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (code)
        return code;
    if (!(code = query_begin(&query, connection, sql, err))) {
        query_bind_text(&query, model);
        code = query_run_int(&query, &id, err);
        if (code == 0)
            code = err_set_absent(err, ERR_ABSENT_WATCH, "%s: this model is not watched", model);
    }
    return store_write_end(store, code < 0 ? code : 0, err);
}

int watches_delete(struct store *store, const char *model, struct err *err)
{
    return change_one(
        store, "DELETE FROM watches WHERE model_id = (SELECT id FROM models WHERE name = ?) RETURNING id",
        model, err);
}

int watches_ask(struct store *store, const char *model, struct err *err)
{
    return change_one(store,
                      "UPDATE watches SET is_asked = 1, asks = asks + 1 WHERE model_id = (SELECT id FROM "
                      "models WHERE name = ?) "
                      "RETURNING id",
                      model, err);
}

/* -- Read ------------------------------------------------------------------------------------------------ */

int watches_find(struct store *store, const char *model, struct watch_row *ret_row, struct err *err)
{
    struct query query;
    int code = query_open(&query, store, "SELECT " ROWS_WATCH ROWS_WATCH_FROM "WHERE m.name = ?", err);
    if (code)
        return code;
    query_bind_text(&query, model);
    code = query_next(&query, err);
    if (code > 0)
        rows_read_watch(&query, ret_row);
    else if (code == 0)
        code = err_set_absent(err, ERR_ABSENT_WATCH, "%s: this model is not watched", model);
    return query_close(&query, code);
}

int watches_list(struct store *store, const char *after, int limit,
                 int (*row)(void *context, const struct watch_row *row), void *context, struct err *err)
{
    struct query query;
    struct watch_row watch;
    int code = query_open(
        &query, store, "SELECT " ROWS_WATCH ROWS_WATCH_FROM "WHERE m.name > ? ORDER BY m.name LIMIT ?", err);
    if (code)
        return code;
    query_bind_text(&query, after);
    query_bind_int(&query, limit);
    while ((code = query_next(&query, err)) > 0) {
        rows_read_watch(&query, &watch);
        if (row(context, &watch))
            break;
    }
    return query_close(&query, code);
}

int watches_get_texts(struct store *store, int64_t id, struct buf *request, struct buf *report,
                      struct buf *changes, struct err *err)
{
    struct query query;
    struct buf *texts[] = {request, report, changes};
    int code =
        query_open(&query, store, "SELECT request, run_report, changes FROM watches WHERE id = ?", err);
    if (code)
        return code;
    query_bind_int(&query, id);
    code = query_next(&query, err);
    if (code == 0)
        code = err_set(err, ERR_NOT_FOUND, "the watch was deleted meanwhile");
    for (int i = 0; code > 0 && i < 3 && texts[i]; i++) {
        const int failure = query_append(&query, texts[i], "text of a watch", err);
        code = failure ? failure : code;
    }
    return query_close(&query, code);
}

int64_t watch_due(const struct watch_row *watch, int64_t now_ms)
{
    if (watch->is_asked)
        return now_ms;
    int64_t due = timetable_due(&watch->timetable, watch->since_ms, watch->run_ms, now_ms);
    return watch->retry_ms && watch->retry_ms < due ? watch->retry_ms : due;
}

int64_t watch_next(const struct watch_row *watch, int64_t now_ms)
{
    int64_t due_ms = watch_due(watch, now_ms), last_ms = watch->run_ms;
    if (due_ms != now_ms)
        return due_ms;
    /* someone asked, or the clock was set back */
    last_ms = last_ms > watch->since_ms ? last_ms : watch->since_ms;
    return last_ms < now_ms ? last_ms : watch->created_ms;
}
