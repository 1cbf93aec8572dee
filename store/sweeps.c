#include "store/sweeps.h"

#include "daemon/base/clock.h"
#include "store/moves.h"
#include "store/query.h"
#include "store/touch.h"

#include <stdlib.h>
#include <string.h>

/* Read by SQLite, in which a request of thousands of names is read through without a tree of it in memory. */
#define SWEEP_METRICS                                                                                        \
    "coalesce(nullif(iif(json_valid(s.request), json_extract(s.request, '$.metrics'), NULL), '[]'), "        \
    "'[\"statistics\"]')"

/* Those of a model that is being removed are gone for all who ask. */
#define SHOWN "JOIN models m ON m.id = s.model_id AND m.removed IS NULL "

#define SWEEP_COLUMNS                                                                                        \
    "s.id, s.model_id, m.name, s.state, s.priority, s.idempotency_key, s.created_ms, s.started_ms, "         \
    "s.finished_ms, s.error_code, s.error_message, s.tasks_queued, s.tasks_claimed, s.tasks_done, "          \
    "s.tasks_failed, s.tasks_cancelled, s.bytes_expected, s.bytes_fetched, s.version, s.watch_id, "          \
    "s.requested_by, s.end_number, " SWEEP_METRICS

static void read_row(struct query *query, struct sweep_row *row)
{
    char state[16];
    row->id = query_int(query);
    row->model_id = query_int(query);
    query_text(query, row->model, sizeof row->model);
    query_text(query, state, sizeof state);
    row->state = SWEEP_STATE_FAILED;
    (void)sweep_state_parse(state, &row->state);
    row->priority = (int)query_int(query);
    query_text(query, row->idempotency_key, sizeof row->idempotency_key);
    row->created_ms = query_int(query);
    row->started_ms = query_int(query);
    row->finished_ms = query_int(query);
    query_text(query, row->error_code, sizeof row->error_code);
    query_text(query, row->error_message, sizeof row->error_message);
    row->tasks[TASK_STATE_QUEUED] = query_int(query);
    row->tasks[TASK_STATE_CLAIMED] = query_int(query);
    row->tasks[TASK_STATE_DONE] = query_int(query);
    row->tasks[TASK_STATE_FAILED] = query_int(query);
    row->tasks[TASK_STATE_CANCELLED] = query_int(query);
    row->bytes_expected = query_int(query);
    row->bytes_fetched = query_int(query);
    row->version = (uint64_t)query_int(query);
    row->watch_id = query_int(query);
    query_text(query, row->requested_by, sizeof row->requested_by);
    row->end_number = query_int(query);
    query_text(query, row->metrics, sizeof row->metrics);
}

/* -- Create ---------------------------------------------------------------------------------------------- */

static int check_request(const struct sweep_request *request, struct err *err)
{
    if (strlen(request->request) > LIMIT_API_BODY_BYTES)
        return err_set(err, ERR_LIMIT, "sweep: the request is longer than %zu bytes",
                       (size_t)LIMIT_API_BODY_BYTES);
    if (request->priority < SWEEPS_PRIORITY_MIN || request->priority > SWEEPS_PRIORITY_MAX)
        return err_set(err, ERR_INVALID, "sweep: priority %d is not in %d to %d", request->priority,
                       SWEEPS_PRIORITY_MIN, SWEEPS_PRIORITY_MAX);
    if (request->idempotency_key &&
        (!request->idempotency_key[0] || strlen(request->idempotency_key) >= SWEEPS_KEY_SIZE))
        return err_set(err, ERR_INVALID, "sweep: an idempotency key has 1 to %d bytes", SWEEPS_KEY_SIZE - 1);
    return 0;
}

/* 1 and *ret_id if the key was used for the same request, 0 if it was not used. */
static int find_key(struct connection *connection, const struct sweep_request *request, int64_t *ret_id,
                    struct err *err)
{
    struct query query;
    int is_same = 0;
    int code = query_begin(&query, connection,
                           "SELECT id, request = ?2 AND model_id = ?3 AND priority = ?4 FROM sweeps "
                           "WHERE idempotency_key = ?1",
                           err);
    if (code)
        return code;
    query_bind_text(&query, request->idempotency_key);
    query_bind_text(&query, request->request);
    query_bind_int(&query, request->model_id);
    query_bind_int(&query, request->priority);
    if ((code = query_next(&query, err)) > 0) {
        *ret_id = query_int(&query);
        is_same = (int)query_int(&query);
    }
    code = query_end(&query, code);
    if (code > 0 && !is_same)
        return err_set(err, ERR_CONFLICT,
                       "sweep: the idempotency key was used for another request (sweep %lld)",
                       (long long)*ret_id);
    return code;
}

int sweeps_create(struct store *store, const struct sweep_request *request, int64_t *ret_id, int *ret_is_new,
                  struct err *err)
{
    struct connection *connection = NULL;
    struct query query;
    int64_t id = 0;
    int is_new = 0;
    int code = check_request(request, err);
    if (code)
        return code;
    if ((code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err)))
        return code;
    if ((code = touch_check_model(connection, request->model_id, err)) ||
        (request->idempotency_key && (code = find_key(connection, request, &id, err))))
        goto out;
    code = query_begin(&query, connection,
                       "INSERT INTO sweeps (model_id, state, request, idempotency_key, priority, created_ms, "
                       "requested_by) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
                       err);
    if (code)
        goto out;
    query_bind_int(&query, request->model_id);
    query_bind_text(&query, sweep_state_name(SWEEP_STATE_PLANNING));
    query_bind_text(&query, request->request);
    query_bind_text(&query, request->idempotency_key);
    query_bind_int(&query, request->priority);
    query_bind_int(&query, clock_wall_ms());
    query_bind_text(&query, request->requested_by ? request->requested_by : "");
    code = query_run_int(&query, &id, err);
    is_new = 1;
out:
    code = store_write_end(store, code < 0 ? code : 0, err);
    if (code)
        return code;
    *ret_id = id;
    if (ret_is_new)
        *ret_is_new = is_new;
    return 0;
}

/* -- Read ------------------------------------------------------------------------------------------------ */

int sweeps_get(struct store *store, int64_t id, struct sweep_row *ret_row, struct err *err)
{
    struct query query;
    int code =
        query_open(&query, store, "SELECT " SWEEP_COLUMNS " FROM sweeps s " SHOWN "WHERE s.id = ?", err);
    if (code)
        return code;
    query_bind_int(&query, id);
    code = query_next(&query, err);
    if (code > 0)
        read_row(&query, ret_row);
    else if (code == 0)
        code = err_set_absent(err, ERR_ABSENT_SWEEP, "there is no sweep %lld", (long long)id);
    return query_close(&query, code);
}

int sweeps_get_request(struct store *store, int64_t id, struct buf *buf, struct err *err)
{
    struct query query;
    int code = query_open(&query, store, "SELECT request FROM sweeps s " SHOWN "WHERE s.id = ?", err);
    if (code)
        return code;
    query_bind_int(&query, id);
    code = query_next(&query, err);
    if (code > 0)
        code = query_append(&query, buf, "request of a sweep", err);
    else if (code == 0)
        code = err_set_absent(err, ERR_ABSENT_SWEEP, "there is no sweep %lld", (long long)id);
    return query_close(&query, code);
}

static const char LIST_ALL[] = "SELECT " SWEEP_COLUMNS " FROM sweeps s " SHOWN
                               "WHERE s.id < ?1 AND ?2 = 0 AND ?3 = '' ORDER BY s.id DESC LIMIT ?4";
static const char LIST_OF_STATE[] = "SELECT " SWEEP_COLUMNS " FROM sweeps s INDEXED BY sweeps_state " SHOWN
                                    "WHERE s.id < ?1 AND ?2 = 0 AND s.state = ?3 ORDER BY s.id DESC LIMIT ?4";
static const char LIST_OF_MODEL[] = "SELECT " SWEEP_COLUMNS " FROM sweeps s INDEXED BY sweeps_model " SHOWN
                                    "WHERE s.id < ?1 AND s.model_id = ?2 AND ?3 IN ('', s.state) "
                                    "ORDER BY s.id DESC LIMIT ?4";

int sweeps_list(struct store *store, const struct sweeps_query *wanted,
                int (*row)(void *context, const struct sweep_row *row), void *context, struct err *err)
{
    struct query query;
    struct sweep_row sweep;
    const char *sql = wanted->model_id ? LIST_OF_MODEL : wanted->state ? LIST_OF_STATE : LIST_ALL;
    int code = query_open(&query, store, sql, err);
    if (code)
        return code;
    query_bind_int(&query, wanted->before > 0 ? wanted->before : INT64_MAX);
    query_bind_int(&query, wanted->model_id);
    query_bind_text(&query, wanted->state ? sweep_state_name(*wanted->state) : "");
    query_bind_int(&query, wanted->limit);
    while ((code = query_next(&query, err)) > 0) {
        read_row(&query, &sweep);
        if (row(context, &sweep))
            break;
    }
    return query_close(&query, code);
}

int sweeps_list_ended(struct store *store, int64_t after, int limit,
                      int (*row)(void *context, const struct sweep_row *row), void *context, struct err *err)
{
    struct query query;
    struct sweep_row sweep;
    int code = query_open(&query, store,
                          "SELECT " SWEEP_COLUMNS " FROM sweeps s INDEXED BY sweeps_end " SHOWN
                          "WHERE s.end_number > ? ORDER BY s.end_number LIMIT ?",
                          err);
    if (code)
        return code;
    query_bind_int(&query, after);
    query_bind_int(&query, limit);
    while ((code = query_next(&query, err)) > 0) {
        read_row(&query, &sweep);
        if (row(context, &sweep))
            break;
    }
    return query_close(&query, code);
}

int sweeps_read_logged(struct store *store, int64_t *ret_number, struct err *err)
{
    struct query query;
    int code = query_open(&query, store, "SELECT sweeps_told FROM totals", err);
    if (code)
        return code;
    if ((code = query_next(&query, err)) > 0)
        *ret_number = query_int(&query);
    return query_close(&query, code);
}

int sweeps_note_logged(struct store *store, int64_t number, struct err *err)
{
    struct query query;
    int code = query_open_write(&query, store, CONNECTION_DURABILITY_CRASH,
                                "UPDATE totals SET sweeps_told = ?", err);
    if (code)
        return code;
    query_bind_int(&query, number);
    return query_commit_quietly(&query, err);
}

static int is_excepted(int64_t id, const int64_t *except, size_t except_count)
{
    for (size_t i = 0; i < except_count; i++) {
        if (except[i] == id)
            return 1;
    }
    return 0;
}

int sweeps_next_planning(struct store *store, int only_folders, const int64_t *except, size_t except_count,
                         struct sweep_row *ret_row, struct err *err)
{
    struct query query;
    int code = query_open(&query, store,
                          "SELECT " SWEEP_COLUMNS " FROM sweeps s JOIN models m ON m.id = s.model_id "
                          "WHERE s.state = 'planning' AND (?1 = 0 OR m.name GLOB 'file:*') "
                          "ORDER BY s.priority DESC, s.id LIMIT ?2",
                          err);
    if (code)
        return code;
    query_bind_int(&query, only_folders);
    query_bind_int(&query, (int64_t)except_count + 1);
    while ((code = query_next(&query, err)) > 0) {
        read_row(&query, ret_row);
        if (!is_excepted(ret_row->id, except, except_count))
            break;
    }
    if (!code)
        code = err_set(err, ERR_NOT_FOUND, "no sweep waits for its plan");
    return query_close(&query, code);
}

int sweeps_count(struct store *store, int64_t *counts, struct err *err)
{
    struct connection *connection = NULL;
    struct query query;
    enum sweep_state state;
    char name[16];
    int64_t found[SWEEP_STATE_COUNT] = {0};
    int code = store_read_begin(store, &connection, err);
    if (code)
        return code;
    if (!(code = query_begin(&query, connection, "SELECT state, count(*) FROM sweeps GROUP BY state", err))) {
        while ((code = query_next(&query, err)) > 0) {
            query_text(&query, name, sizeof name);
            if (sweep_state_parse(name, &state))
                found[state] = query_int(&query);
        }
    }
    code = query_end(&query, code);
    store_read_end(store, connection);
    if (!code)
        memcpy(counts, found, sizeof found);
    return code;
}

/* -- Moves ----------------------------------------------------------------------------------------------- */

int sweeps_start(struct store *store, int64_t id, struct err *err)
{
    struct connection *connection = NULL;
    int code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (code)
        return code;
    code = moves_sweep(connection, id, SWEEP_EVENT_START, NULL, err);
    if (!code)
        code = moves_finish_sweep(connection, id, err);
    return store_write_end(store, code, err);
}

int sweeps_fail(struct store *store, int64_t id, const struct err *reason, struct err *err)
{
    struct connection *connection = NULL;
    int code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (code)
        return code;
    code = moves_sweep_state_is(connection, id, SWEEP_STATE_PLANNING, err);
    if (!code)
        code = moves_sweep(connection, id, SWEEP_EVENT_FAIL, reason, err);
    if (!code)
        code = moves_cancel_tasks(connection, id, err);
    return store_write_end(store, code, err);
}

int sweeps_note_wait(struct store *store, int64_t id, const struct err *reason, struct err *err)
{
    struct query query;
    int code =
        query_open_write(&query, store, CONNECTION_DURABILITY_CRASH,
                         "UPDATE sweeps SET error_code = ?2, error_message = ?3, version = version + 1 "
                         "WHERE id = ?1 AND state = 'planning'",
                         err);
    if (code)
        return code;
    query_bind_int(&query, id);
    query_bind_text(&query, err_name(reason->code));
    query_bind_text(&query, reason->message);
    return query_commit(&query, err);
}

static int check_unclaimed(struct connection *connection, int64_t id, struct err *err)
{
    struct query query;
    int64_t claimed = 0;
    int code = query_begin(&query, connection, "SELECT tasks_claimed FROM sweeps WHERE id = ?", err);
    if (code)
        return code;
    query_bind_int(&query, id);
    if ((code = query_run_int(&query, &claimed, err)) < 0)
        return code;
    return claimed ? err_set(err, ERR_CONFLICT, "sweep %lld is being worked at", (long long)id) : 0;
}

int sweeps_give_up(struct store *store, int64_t id, const struct err *reason, struct err *err)
{
    struct connection *connection = NULL;
    int code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (code)
        return code;
    code = moves_sweep_state_is(connection, id, SWEEP_STATE_RUNNING, err);
    if (!code)
        code = check_unclaimed(connection, id, err);
    if (!code)
        code = moves_sweep(connection, id, SWEEP_EVENT_FAIL, reason, err);
    if (!code)
        code = moves_cancel_tasks(connection, id, err);
    return store_write_end(store, code, err);
}

int sweeps_cancel(struct store *store, int64_t id, struct err *err)
{
    struct connection *connection = NULL;
    enum sweep_state state;
    int code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (code)
        return code;
    if ((code = moves_sweep_state(connection, id, &state, err)) || state == SWEEP_STATE_CANCELLED)
        goto out;
    if (!(code = moves_sweep(connection, id, SWEEP_EVENT_CANCEL, NULL, err)))
        code = moves_cancel_tasks(connection, id, err);
out:
    return store_write_end(store, code, err);
}
