#include "store/deliveries.h"

#include "daemon/base/clock.h"
#include "store/outbox.h"
#include "store/rows_watch.h"

#include <string.h>

#define DELIVERY_COLUMNS                                                                                     \
    "d.id, d.watch_id, d.name, d.event, d.sweep_id, d.state, d.attempts, d.next_ms, d.created_ms, "          \
    "d.ended_ms, d.status, d.error"

static const char *const event_names[DELIVERY_EVENT_COUNT] = {"sweep.finished", "onset.found",
                                                              "stopping.recommended", "audit.finding"};
static const char *const state_names[DELIVERY_STATE_COUNT] = {"pending", "delivered", "failed"};

const char *delivery_event_name(enum delivery_event event)
{
    return event_names[event];
}

const char *delivery_state_name(enum delivery_state state)
{
    return state_names[state];
}

static int index_of(const char *const *names, int count, const char *name)
{
    int i = 0;
    while (i + 1 < count && strcmp(names[i], name) != 0)
        i++;
    return i;
}

static void read_row(struct query *query, struct delivery_row *row)
{
    char name[32];
    *row = (struct delivery_row){.id = query_int(query), .watch_id = 0};
    row->watch_id = query_int(query);
    query_text(query, row->name, sizeof row->name);
    query_text(query, name, sizeof name);
    row->event = (enum delivery_event)index_of(event_names, DELIVERY_EVENT_COUNT, name);
    row->sweep_id = query_int(query);
    query_text(query, name, sizeof name);
    row->state = (enum delivery_state)index_of(state_names, DELIVERY_STATE_COUNT, name);
    row->attempts = (int)query_int(query);
    row->next_ms = query_int(query);
    row->created_ms = query_int(query);
    row->ended_ms = query_int(query);
    row->status = (int)query_int(query);
    query_text(query, row->error, sizeof row->error);
}

/* -- Adding ---------------------------------------------------------------------------------------------- */

int outbox_add(struct connection *connection, int64_t watch_id, enum delivery_event event, int64_t sweep_id,
               const char *body, struct err *err)
{
    struct query query;
    int code =
        query_begin(&query, connection,
                    "INSERT INTO deliveries (watch_id, name, event, sweep_id, body, next_ms, created_ms) "
                    "VALUES (?1, lower(hex(randomblob(16))), ?2, ?3, ?4, ?5, ?5)",
                    err);
    if (code)
        return code;
    query_bind_int(&query, watch_id);
    query_bind_text(&query, delivery_event_name(event));
    query_bind_id(&query, sweep_id);
    query_bind_text(&query, body);
    query_bind_int(&query, clock_wall_ms());
    return query_run(&query, err);
}

int outbox_note_sweep(struct connection *connection, int64_t sweep_id, struct err *err)
{
    struct query query;
    int64_t watch_id = 0, has_webhook = 0;
    int code = query_begin(&query, connection,
                           "UPDATE watches SET sweeps_ended = sweeps_ended + 1 WHERE model_id = "
                           "(SELECT model_id FROM sweeps WHERE id = ?) RETURNING id, webhook_url <> ''",
                           err);
    if (code)
        return code;
    query_bind_int(&query, sweep_id);
    if ((code = query_next(&query, err)) > 0) {
        watch_id = query_int(&query);
        has_webhook = query_int(&query);
    }
    code = query_end(&query, code);
    if (code < 0)
        return code;
    if (!has_webhook)
        return 0;
    return outbox_add(connection, watch_id, DELIVERY_EVENT_SWEEP_FINISHED, sweep_id, "", err);
}

/* -- Delivering ------------------------------------------------------------------------------------------ */

static int find_wait(struct connection *connection, int64_t now_ms, int64_t *ret_wait_ms, struct err *err)
{
    struct query query;
    int64_t next_ms = 0;
    int code = query_begin(&query, connection,
                           "SELECT next_ms FROM deliveries INDEXED BY deliveries_pending WHERE state = "
                           "'pending' AND next_ms > ? "
                           "ORDER BY next_ms LIMIT 1",
                           err);
    if (code)
        return code;
    query_bind_int(&query, now_ms);
    if ((code = query_run_int(&query, &next_ms, err)) < 0)
        return code;
    *ret_wait_ms = code == 0 ? -1 : next_ms - now_ms;
    return 0;
}

int deliveries_next(struct store *store, int64_t now_ms,
                    int (*is_busy)(void *context, int64_t id, const char *url), void *context,
                    struct delivery_due *ret_due, int64_t *ret_wait_ms, struct err *err)
{
    struct connection *connection = NULL;
    struct query query;
    int code = store_snapshot_begin(store, &connection, err);
    if (code)
        return code;
    code = query_begin(&query, connection,
                       "SELECT " DELIVERY_COLUMNS ", " ROWS_WATCH
                       " FROM deliveries d INDEXED BY deliveries_pending "
                       "JOIN watches w ON w.id = d.watch_id JOIN models m ON m.id = w.model_id "
                       "WHERE d.state = 'pending' AND (d.next_ms <= ?1 OR d.next_ms > ?1 + ?2) "
                       "ORDER BY d.next_ms, d.id",
                       err);
    if (!code) {
        query_bind_int(&query, now_ms);
        query_bind_int(&query, DELIVERIES_PAUSE_LONGEST_MS);
        while ((code = query_next(&query, err)) > 0) {
            read_row(&query, &ret_due->row);
            rows_read_watch(&query, &ret_due->watch);
            memcpy(ret_due->row.model, ret_due->watch.model, sizeof ret_due->row.model);
            if (!is_busy(context, ret_due->row.id, ret_due->watch.webhook_url))
                break;
        }
    }
    code = query_end(&query, code);
    if (code == 0 && !(code = find_wait(connection, now_ms, ret_wait_ms, err)))
        code = err_set(err, ERR_NOT_FOUND, "no delivery is due");
    store_read_end(store, connection);
    return code < 0 ? code : 0;
}

int deliveries_get_body(struct store *store, int64_t id, struct buf *body, struct err *err)
{
    struct query query;
    int code = query_open(&query, store, "SELECT body FROM deliveries WHERE id = ?", err);
    if (code)
        return code;
    query_bind_int(&query, id);
    code = query_next(&query, err);
    if (code > 0)
        code = query_append(&query, body, "body of a delivery", err);
    else if (code == 0)
        code = err_set(err, ERR_NOT_FOUND, "there is no delivery %lld", (long long)id);
    return query_close(&query, code);
}

int deliveries_set_body(struct store *store, int64_t id, const char *body, struct err *err)
{
    struct query query;
    int code = query_open_write(&query, store, CONNECTION_DURABILITY_FULL,
                                "UPDATE deliveries SET body = ? WHERE id = ? AND body = ''", err);
    if (code)
        return code;
    query_bind_text(&query, body);
    query_bind_int(&query, id);
    return query_commit(&query, err);
}

static int prune(struct connection *connection, int64_t watch_id, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection,
                           "DELETE FROM deliveries WHERE watch_id = ?1 AND state <> 'pending' AND id <= "
                           "(SELECT id FROM deliveries WHERE watch_id = ?1 AND state <> 'pending' "
                           "ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                           err);
    if (code)
        return code;
    query_bind_int(&query, watch_id);
    query_bind_int(&query, DELIVERIES_KEPT);
    return query_run(&query, err);
}

int deliveries_record(struct store *store, int64_t id, const struct delivery_attempt *attempt,
                      struct err *err)
{
    struct connection *connection = NULL;
    struct query query;
    int64_t watch_id = 0;
    int is_over = attempt->state != DELIVERY_STATE_PENDING;
    int code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (code)
        return code;
    code = query_begin(&query, connection,
                       "UPDATE deliveries SET state = ?, attempts = attempts + 1, next_ms = ?, ended_ms = ?, "
                       "status = ?, error = ? WHERE id = ? AND state = 'pending' RETURNING watch_id",
                       err);
    if (!code) {
        query_bind_text(&query, delivery_state_name(attempt->state));
        query_bind_int(&query, attempt->next_ms);
        query_bind_id(&query, is_over ? clock_wall_ms() : 0);
        query_bind_id(&query, attempt->status);
        query_bind_text(&query, attempt->error);
        query_bind_int(&query, id);
        code = query_run_int(&query, &watch_id, err);
    }
    if (code > 0)
        code = is_over ? prune(connection, watch_id, err) : 0;
    return store_write_end(store, code, err);
}

int deliveries_list(struct store *store, int64_t watch_id, int64_t before_id, int limit,
                    int (*row)(void *context, const struct delivery_row *row), void *context, struct err *err)
{
    struct query query;
    struct delivery_row delivery;
    int code = query_open(&query, store,
                          "SELECT " DELIVERY_COLUMNS " FROM deliveries d WHERE d.watch_id = ? AND d.id < ? "
                          "ORDER BY d.id DESC LIMIT ?",
                          err);
    if (code)
        return code;
    query_bind_int(&query, watch_id);
    query_bind_int(&query, before_id > 0 ? before_id : INT64_MAX);
    query_bind_int(&query, limit);
    while ((code = query_next(&query, err)) > 0) {
        read_row(&query, &delivery);
        if (row(context, &delivery))
            break;
    }
    return query_close(&query, code);
}

int deliveries_count(struct store *store, int64_t *counts, struct err *err)
{
    struct connection *connection = NULL;
    struct query query;
    char name[16];
    int code = store_read_begin(store, &connection, err);
    if (code)
        return code;
    memset(counts, 0, DELIVERY_STATE_COUNT * sizeof *counts);
    code = query_begin(&query, connection, "SELECT state, count(*) FROM deliveries GROUP BY state", err);
    while (!code && (code = query_next(&query, err)) > 0) {
        query_text(&query, name, sizeof name);
        counts[index_of(state_names, DELIVERY_STATE_COUNT, name)] = query_int(&query);
        code = 0;
    }
    code = query_end(&query, code);
    store_read_end(store, connection);
    return code < 0 ? code : 0;
}
