#include "store/announcements.h"

#include "store/outbox.h"
#include "store/rows_watch.h"

int announcements_next(struct store *store, int64_t after_id, struct watch_row *ret_row, struct err *err)
{
    struct query query;
    int code = query_open(&query, store,
                          "SELECT " ROWS_WATCH ROWS_WATCH_FROM
                          "WHERE w.webhook_url <> '' AND w.sweeps_ended > w.sweeps_announced AND w.id > ? "
                          "ORDER BY w.id LIMIT 1",
                          err);
    if (code)
        return code;
    query_bind_int(&query, after_id);
    if ((code = query_next(&query, err)) > 0)
        rows_read_watch(&query, ret_row);
    else if (!code)
        code = err_set(err, ERR_NOT_FOUND, "nothing is to be announced");
    return query_close(&query, code);
}

int announcements_list(struct store *store, int64_t watch_id, int (*finding)(void *context, const char *text),
                       void *context, struct err *err)
{
    struct query query;
    int code = query_open(&query, store,
                          "SELECT finding FROM announcements WHERE watch_id = ? ORDER BY finding", err);
    if (code)
        return code;
    query_bind_int(&query, watch_id);
    while ((code = query_next(&query, err)) > 0) {
        if (finding(context, query_text_whole(&query)))
            break;
    }
    return query_close(&query, code);
}

static int replace_findings(struct connection *connection, int64_t watch_id, const char *const *findings,
                            size_t count, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection, "DELETE FROM announcements WHERE watch_id = ?", err);
    if (code)
        return code;
    query_bind_int(&query, watch_id);
    code = query_run(&query, err);
    for (size_t i = 0; !code && i < count; i++) {
        if ((code = query_begin(
                 &query, connection,
                 "INSERT INTO announcements (watch_id, finding) VALUES (?, ?) ON CONFLICT DO NOTHING", err)))
            break;
        query_bind_int(&query, watch_id);
        query_bind_text(&query, findings[i]);
        code = query_run(&query, err);
    }
    return code;
}

int announcements_record(struct store *store, const struct watch_row *watch, const char *const *findings,
                         size_t finding_count, const struct announcement_event *events, size_t event_count,
                         struct err *err)
{
    struct connection *connection = NULL;
    struct query query;
    int64_t id = 0;
    int code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (code)
        return code;
    code = query_begin(&query, connection,
                       "UPDATE watches SET sweeps_announced = ? WHERE id = ? RETURNING id", err);
    if (code)
        goto out;
    query_bind_int(&query, watch->sweeps_ended);
    query_bind_int(&query, watch->id);
    code = query_run_int(&query, &id, err);
    if (code <= 0)
        goto out;
    code = replace_findings(connection, watch->id, findings, finding_count, err);
    for (size_t i = 0; !code && i < event_count; i++)
        code = outbox_add(connection, watch->id, events[i].event, 0, events[i].body, err);
out:
    return store_write_end(store, code, err);
}
