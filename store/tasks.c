#include "store/tasks.h"

#include "daemon/base/clock.h"
#include "store/moves.h"
#include "store/rows_task.h"
#include "store/touch.h"

#include <stdio.h>
#include <string.h>

void rows_read_task(struct query *query, struct task_row *row)
{
    char state[16];
    row->id = query_int(query);
    row->sweep_id = query_int(query);
    row->model_id = query_int(query);
    row->revision_id = query_int(query);
    query_text(query, row->revision, sizeof row->revision);
    query_text(query, row->commit, sizeof row->commit);
    row->ordinal = query_int(query);
    row->reference_revision_id = query_int(query);
    row->previous_revision_id = query_int(query);
    query_text(query, state, sizeof state);
    row->state = TASK_STATE_FAILED;
    (void)task_state_parse(state, &row->state);
    row->attempts = query_int(query);
    row->failures = query_int(query);
    row->interruptions = query_int(query);
    row->not_before_ms = query_int(query);
    query_text(query, row->worker, sizeof row->worker);
    row->lease_until_ms = query_int(query);
    row->claimed_ms = query_int(query);
    row->finished_ms = query_int(query);
    query_text(query, row->error_code, sizeof row->error_code);
    query_text(query, row->error_message, sizeof row->error_message);
    row->bytes_fetched = query_int(query);
    row->bytes_expected = query_int(query);
    row->lease_ms = query_int(query);
    query_text(query, row->suspect, sizeof row->suspect);
}

/* -- Plan ------------------------------------------------------------------------------------------------ */

static int insert_task(struct connection *connection, int64_t sweep_id, const struct task_plan *plan,
                       struct err *err)
{
    struct query query;
    int64_t id = 0;
    if (plan->ordinal < 0 || plan->bytes_expected < 0)
        return err_set(err, ERR_INVALID, "plan: an ordinal or a number of bytes is negative");
    if (plan->bytes_expected > LIMIT_TASK_BYTES)
        return err_set(err, ERR_LIMIT, "plan: a revision of more than 64 TiB");
    int code = query_begin(&query, connection,
                           "INSERT INTO tasks (sweep_id, revision_id, ordinal, reference_revision_id, "
                           "previous_revision_id, state, bytes_expected) VALUES (?, ?, ?, ?, ?, 'queued', ?) "
                           "ON CONFLICT DO NOTHING RETURNING id",
                           err);
    if (code)
        return code;
    query_bind_int(&query, sweep_id);
    query_bind_int(&query, plan->revision_id);
    query_bind_int(&query, plan->ordinal);
    query_bind_id(&query, plan->reference_revision_id);
    query_bind_id(&query, plan->previous_revision_id);
    query_bind_int(&query, plan->bytes_expected);
    if ((code = query_run_int(&query, &id, err)) < 0)
        return code;
    if (!id)
        return err_set(err, ERR_INVALID, "plan: a revision or ordinal occurs twice");
    return moves_note(connection, id, "plan", "", NULL, err);
}

static int count_plan(struct connection *connection, int64_t sweep_id, size_t count, int64_t bytes,
                      struct err *err)
{
    struct query query;
    int64_t model_id = 0;
    int code = query_begin(&query, connection,
                           "UPDATE sweeps SET tasks_queued = ?, bytes_expected = ?, "
                           "version = version + 1 WHERE id = ? RETURNING model_id",
                           err);
    if (code)
        return code;
    query_bind_int(&query, (int64_t)count);
    query_bind_int(&query, bytes);
    query_bind_int(&query, sweep_id);
    if ((code = query_run_int(&query, &model_id, err)) < 0)
        return code;
    return touch_model(connection, model_id, err);
}

/* Nobody had them yet: a sweep is not worked at before it has started. */
static int drop_plan(struct connection *connection, int64_t sweep_id, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection, "DELETE FROM tasks WHERE sweep_id = ?", err);
    if (code)
        return code;
    query_bind_int(&query, sweep_id);
    return query_run(&query, err);
}

int tasks_plan(struct store *store, int64_t sweep_id, const struct task_plan *plans, size_t count,
               struct err *err)
{
    struct connection *connection = NULL;
    int64_t bytes = 0;
    if (count > LIMIT_HUB_REFS)
        return err_set(err, ERR_LIMIT, "plan: %zu tasks are more than %d", count, LIMIT_HUB_REFS);
    int code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (code)
        return code;
    code = moves_sweep_state_is(connection, sweep_id, SWEEP_STATE_PLANNING, err);
    if (!code)
        code = drop_plan(connection, sweep_id, err);
    for (size_t i = 0; !code && i < count; i++) {
        code = insert_task(connection, sweep_id, &plans[i], err);
        bytes += code ? 0 : plans[i].bytes_expected;
    }
    if (!code)
        code = count_plan(connection, sweep_id, count, bytes, err);
    return store_write_end(store, code, err);
}

/* -- Read ------------------------------------------------------------------------------------------------ */

int tasks_get(struct store *store, int64_t id, struct task_row *ret_row, struct err *err)
{
    struct connection *connection = NULL;
    int code = store_read_begin(store, &connection, err);
    if (code)
        return code;
    code = moves_load_task(connection, id, ret_row, err);
    store_read_end(store, connection);
    return code;
}

static const char LIST_ALL[] =
    "SELECT " ROWS_TASK " FROM tasks k INDEXED BY tasks_order "
    "JOIN revisions r ON r.id = k.revision_id WHERE k.sweep_id = ?1 AND k.ordinal > ?2 "
    "AND ?3 = '' ORDER BY k.ordinal LIMIT ?4";
static const char LIST_OF_STATE[] = "SELECT " ROWS_TASK " FROM tasks k INDEXED BY tasks_state "
                                    "JOIN revisions r ON r.id = k.revision_id WHERE k.sweep_id = ?1 "
                                    "AND k.ordinal > ?2 AND k.state = ?3 ORDER BY k.ordinal LIMIT ?4";

int tasks_list(struct store *store, const struct tasks_query *wanted,
               int (*row)(void *context, const struct task_row *row), void *context, struct err *err)
{
    struct query query;
    struct task_row task;
    int code = query_open(&query, store, wanted->state ? LIST_OF_STATE : LIST_ALL, err);
    if (code)
        return code;
    query_bind_int(&query, wanted->sweep_id);
    query_bind_int(&query, wanted->after_ordinal);
    query_bind_text(&query, wanted->state ? task_state_name(*wanted->state) : "");
    query_bind_int(&query, wanted->limit);
    while ((code = query_next(&query, err)) > 0) {
        rows_read_task(&query, &task);
        if (row(context, &task))
            break;
    }
    return query_close(&query, code);
}

int tasks_list_claimed(struct store *store, int limit, int (*row)(void *context, const struct task_row *row),
                       void *context, struct err *err)
{
    struct query query;
    struct task_row task;
    int code = query_open(
        &query, store,
        "SELECT " ROWS_TASK ROWS_TASK_FROM "WHERE k.state = 'claimed' ORDER BY k.worker, k.id LIMIT ?", err);
    if (code)
        return code;
    query_bind_int(&query, limit);
    while ((code = query_next(&query, err)) > 0) {
        rows_read_task(&query, &task);
        if (row(context, &task))
            break;
    }
    return query_close(&query, code);
}

int tasks_were_with_others(struct store *store, int64_t sweep_id, const char *name, int64_t before_ms,
                           int *ret_were, struct err *err)
{
    struct query query;
    int64_t found = 0;
    int code = query_open(&query, store,
                          "SELECT 1 FROM tasks INDEXED BY tasks_order WHERE sweep_id = ?1 AND worker <> '' "
                          "AND claimed_ms < ?3 AND substr(worker, 1, length(?2) + 1) <> ?2 || '/' LIMIT 1",
                          err);
    if (code)
        return code;
    query_bind_int(&query, sweep_id);
    query_bind_text(&query, name);
    query_bind_int(&query, before_ms);
    if ((code = query_next(&query, err)) > 0)
        found = query_int(&query);
    *ret_were = found != 0;
    return query_close(&query, code);
}

int tasks_find_left(struct store *store, int64_t sweep_id, struct task_row *ret_row, struct err *err)
{
    struct query query;
    int is_found = 0;
    int code = query_open(&query, store,
                          "SELECT " ROWS_TASK " FROM tasks k INDEXED BY tasks_state "
                          "JOIN revisions r ON r.id = k.revision_id WHERE k.sweep_id = ?1 "
                          "AND k.state = 'queued' AND k.error_code = ?2 ORDER BY k.ordinal LIMIT 1",
                          err);
    if (code)
        return code;
    query_bind_int(&query, sweep_id);
    query_bind_text(&query, err_name(ERR_GATED));
    if ((code = query_next(&query, err)) > 0) {
        rows_read_task(&query, ret_row);
        is_found = 1;
    }
    code = query_close(&query, code);
    return code || is_found ? code : err_set(err, ERR_NOT_FOUND, "no task is left to others");
}

int tasks_depth(struct store *store, int64_t *ret_queued, int64_t *ret_claimed, struct err *err)
{
    struct query query;
    int code = query_open(
        &query, store,
        "SELECT sum(tasks_queued), sum(tasks_claimed) FROM sweeps WHERE state IN ('planning', 'running')",
        err);
    if (code)
        return code;
    if ((code = query_next(&query, err)) > 0) {
        *ret_queued = query_int(&query);
        *ret_claimed = query_int(&query);
    }
    return query_close(&query, code);
}

int tasks_list_events(struct store *store, int64_t task_id, int64_t after, int limit,
                      int (*row)(void *context, const struct task_event_row *row), void *context,
                      struct err *err)
{
    struct query query;
    struct task_event_row event;
    int code = query_open(&query, store,
                          "SELECT id, task_id, at_ms, event, worker, detail FROM task_events "
                          "WHERE task_id = ? AND id > ? ORDER BY id LIMIT ?",
                          err);
    if (code)
        return code;
    query_bind_int(&query, task_id);
    query_bind_int(&query, after);
    query_bind_int(&query, limit);
    while ((code = query_next(&query, err)) > 0) {
        event.id = query_int(&query);
        event.task_id = query_int(&query);
        event.at_ms = query_int(&query);
        query_text(&query, event.event, sizeof event.event);
        query_text(&query, event.worker, sizeof event.worker);
        query_text(&query, event.detail, sizeof event.detail);
        if (row(context, &event))
            break;
    }
    return query_close(&query, code);
}
