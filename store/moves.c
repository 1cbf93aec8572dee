#include "store/moves.h"

#include "daemon/base/clock.h"
#include "store/outbox.h"
#include "store/query.h"
#include "store/rows_task.h"
#include "store/touch.h"

#include <stdio.h>
#include <string.h>

int moves_note(struct connection *connection, int64_t task_id, const char *event, const char *worker,
               const char *detail, struct err *err)
{
    struct query query;
    int code = query_begin(
        &query, connection,
        "INSERT INTO task_events (task_id, at_ms, event, worker, detail) VALUES (?, ?, ?, ?, ?)", err);
    if (code)
        return code;
    query_bind_int(&query, task_id);
    query_bind_int(&query, clock_wall_ms());
    query_bind_text(&query, event);
    query_bind_text(&query, worker);
    query_bind_text(&query, detail ? detail : "");
    return query_run(&query, err);
}

/* -- Tasks ----------------------------------------------------------------------------------------------- */

int moves_load_task(struct connection *connection, int64_t id, struct task_row *ret_row, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection, "SELECT " ROWS_TASK ROWS_TASK_FROM "WHERE k.id = ?", err);
    if (code)
        return code;
    query_bind_int(&query, id);
    code = query_next(&query, err);
    if (code > 0)
        rows_read_task(&query, ret_row);
    else if (code == 0)
        code = err_set_absent(err, ERR_ABSENT_TASK, "there is no task %lld", (long long)id);
    code = query_end(&query, code);
    return code < 0 ? code : 0;
}

/* Writes the whole row. */
static int write_task(struct connection *connection, const struct task_row *task, struct err *err)
{
    struct query query;
    int code = query_begin(
        &query, connection,
        "UPDATE tasks SET state = ?, attempts = ?, failures = ?, interruptions = ?, not_before_ms = ?, "
        "worker = ?, lease_until_ms = ?, claimed_ms = ?, finished_ms = ?, error_code = ?, "
        "error_message = ?, bytes_fetched = ?, bytes_expected = ?, lease_ms = ?, suspect = ? WHERE id = ?",
        err);
    if (code)
        return code;
    query_bind_text(&query, task_state_name(task->state));
    query_bind_int(&query, task->attempts);
    query_bind_int(&query, task->failures);
    query_bind_int(&query, task->interruptions);
    query_bind_int(&query, task->not_before_ms);
    query_bind_text(&query, task->worker);
    if (task->state == TASK_STATE_CLAIMED)
        query_bind_int(&query, task->lease_until_ms);
    else
        query_bind_null(&query);
    query_bind_id(&query, task->claimed_ms);
    query_bind_id(&query, task->finished_ms);
    query_bind_text(&query, task->error_code);
    query_bind_text(&query, task->error_message);
    query_bind_int(&query, task->bytes_fetched);
    query_bind_int(&query, task->bytes_expected);
    query_bind_int(&query, task->lease_ms);
    query_bind_text(&query, task->suspect);
    query_bind_int(&query, task->id);
    return query_run(&query, err);
}

/* Of a task, as its sweep has counted it. */
struct counted {
    enum task_state state;
    int64_t bytes_fetched, bytes_expected;
};

/* The sweep counts the task as it is now. */
static int count_move(struct connection *connection, const struct task_row *task,
                      const struct counted *before, int is_claim, struct err *err)
{
    struct query query;
    int code =
        query_begin(&query, connection,
                    "UPDATE sweeps SET tasks_queued = tasks_queued + ?, tasks_claimed = tasks_claimed + ?, "
                    "tasks_done = tasks_done + ?, tasks_failed = tasks_failed + ?, "
                    "tasks_cancelled = tasks_cancelled + ?, bytes_fetched = bytes_fetched + ?, "
                    "bytes_expected = bytes_expected + ?, version = version + 1, "
                    "served = CASE WHEN ? THEN (SELECT version FROM store) ELSE served END WHERE id = ?",
                    err);
    if (code)
        return code;
    for (int state = 0; state < TASK_STATE_COUNT; state++)
        query_bind_int(&query, (state == (int)task->state) - (state == (int)before->state));
    query_bind_int(&query, task->bytes_fetched - before->bytes_fetched);
    query_bind_int(&query, task->bytes_expected - before->bytes_expected);
    query_bind_int(&query, is_claim);
    query_bind_int(&query, task->sweep_id);
    return query_run(&query, err);
}

/* The whole store's sum, which outlives the sweeps. */
static int count_end(struct connection *connection, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection, "UPDATE totals SET tasks_ended = tasks_ended + 1", err);
    return code ? code : query_run(&query, err);
}

static int load_bytes(struct connection *connection, int64_t task_id, struct counted *counted,
                      struct err *err)
{
    struct query query;
    int code =
        query_begin(&query, connection, "SELECT bytes_fetched, bytes_expected FROM tasks WHERE id = ?", err);
    if (code)
        return code;
    query_bind_int(&query, task_id);
    if ((code = query_next(&query, err)) > 0) {
        counted->bytes_fetched = query_int(&query);
        counted->bytes_expected = query_int(&query);
    }
    code = query_end(&query, code);
    return code < 0 ? code : 0;
}

int moves_task(struct connection *connection, struct task_row *task, enum task_event event,
               const char *detail, struct err *err)
{
    struct counted before = {.state = task->state};
    enum task_state to;
    if (!task_machine_next(task->state, event, &to))
        return err_set(err, ERR_CONFLICT, "task %lld is %s: no %s", (long long)task->id,
                       task_state_name(task->state), task_event_name(event));
    int code = load_bytes(connection, task->id, &before, err);
    if (code)
        return code;
    task->state = to;
    if (to != TASK_STATE_CLAIMED)
        task->lease_until_ms = 0;
    if (task_state_is_final(to))
        task->finished_ms = clock_wall_ms();
    if ((code = write_task(connection, task, err)) ||
        (code = count_move(connection, task, &before, event == TASK_EVENT_CLAIM, err)))
        return code;
    if (event != TASK_EVENT_HEARTBEAT &&
        (code = moves_note(connection, task->id, task_event_name(event), task->worker, detail, err)))
        return code;
    if (!task_state_is_final(to))
        return 0;
    if ((to == TASK_STATE_DONE || to == TASK_STATE_FAILED) && (code = count_end(connection, err)))
        return code;
    if ((code = touch_model(connection, task->model_id, err)))
        return code;
    return moves_finish_sweep(connection, task->sweep_id, err);
}

/* All tasks of one state at once: a sweep may have 100,000 of them. */
static int cancel_state(struct connection *connection, int64_t sweep_id, enum task_state from,
                        const char *why, struct err *err)
{
    struct query query;
    enum task_state to;
    int64_t now = clock_wall_ms();
    if (!task_machine_next(from, TASK_EVENT_CANCEL, &to))
        return 0;
    int code = query_begin(&query, connection,
                           "INSERT INTO task_events (task_id, at_ms, event, worker, detail) "
                           "SELECT id, ?, ?, worker, ? FROM tasks WHERE sweep_id = ? AND state = ?",
                           err);
    if (code)
        return code;
    query_bind_int(&query, now);
    query_bind_text(&query, task_event_name(TASK_EVENT_CANCEL));
    query_bind_text(&query, why);
    query_bind_int(&query, sweep_id);
    query_bind_text(&query, task_state_name(from));
    if ((code = query_run(&query, err)))
        return code;
    code =
        query_begin(&query, connection,
                    "UPDATE tasks SET state = ?, lease_until_ms = NULL, finished_ms = ? WHERE sweep_id = ? "
                    "AND state = ?",
                    err);
    if (code)
        return code;
    query_bind_text(&query, task_state_name(to));
    query_bind_int(&query, now);
    query_bind_int(&query, sweep_id);
    query_bind_text(&query, task_state_name(from));
    return query_run(&query, err);
}

/* Those that were queued, or all (`is_all`) that had not ended, are cancelled. */
static int count_cancelled(struct connection *connection, int64_t sweep_id, int is_all, struct err *err)
{
    struct query query;
    int64_t model_id = 0;
    int code = query_begin(&query, connection,
                           "UPDATE sweeps SET tasks_cancelled = tasks_cancelled + tasks_queued + "
                           "iif(?2, tasks_claimed, 0), tasks_queued = 0, "
                           "tasks_claimed = iif(?2, 0, tasks_claimed), version = version + 1 "
                           "WHERE id = ?1 RETURNING model_id",
                           err);
    if (code)
        return code;
    query_bind_int(&query, sweep_id);
    query_bind_int(&query, is_all);
    if ((code = query_run_int(&query, &model_id, err)) < 0)
        return code;
    return touch_model(connection, model_id, err);
}

int moves_cancel_tasks(struct connection *connection, int64_t sweep_id, struct err *err)
{
    int code = 0;
    for (int state = 0; !code && state < TASK_STATE_COUNT; state++)
        code = cancel_state(connection, sweep_id, (enum task_state)state, "", err);
    return code ? code : count_cancelled(connection, sweep_id, 1, err);
}

int moves_cancel_queued(struct connection *connection, int64_t sweep_id, const char *why, struct err *err)
{
    int code = cancel_state(connection, sweep_id, TASK_STATE_QUEUED, why, err);
    return code ? code : count_cancelled(connection, sweep_id, 0, err);
}

/* -- Sweeps ---------------------------------------------------------------------------------------------- */

int moves_sweep_state(struct connection *connection, int64_t id, enum sweep_state *ret_state, struct err *err)
{
    struct query query;
    char name[16] = "";
    int code = query_begin(&query, connection, "SELECT state FROM sweeps WHERE id = ?", err);
    if (code)
        return code;
    query_bind_int(&query, id);
    code = query_next(&query, err);
    if (code > 0)
        query_text(&query, name, sizeof name);
    code = query_end(&query, code);
    if (code < 0)
        return code;
    if (!sweep_state_parse(name, ret_state))
        return err_set_absent(err, ERR_ABSENT_SWEEP, "there is no sweep %lld", (long long)id);
    return 0;
}

int moves_sweep_state_is(struct connection *connection, int64_t id, enum sweep_state state, struct err *err)
{
    enum sweep_state found;
    int code = moves_sweep_state(connection, id, &found, err);
    if (!code && found != state)
        code = err_set(err, ERR_CONFLICT, "sweep %lld is %s, not %s", (long long)id, sweep_state_name(found),
                       sweep_state_name(state));
    return code;
}

static int count_sweep_end(struct connection *connection, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection, "UPDATE totals SET sweeps_ended = sweeps_ended + 1", err);
    return code ? code : query_run(&query, err);
}

/* Later sweeps of the model take the rule over. */
static int keep_rule(struct connection *connection, int64_t id, struct err *err)
{
    struct query query;
    int code =
        query_begin(&query, connection,
                    "UPDATE models SET rule = s.rule FROM (SELECT model_id, iif(json_valid(request), "
                    "json_extract(request, '$.revisions.rule'), NULL) AS rule FROM sweeps WHERE id = ?) s "
                    "WHERE models.id = s.model_id AND s.rule IS NOT NULL",
                    err);
    if (code)
        return code;
    query_bind_int(&query, id);
    return query_run(&query, err);
}

int moves_sweep(struct connection *connection, int64_t id, enum sweep_event event, const struct err *reason,
                struct err *err)
{
    struct query query;
    enum sweep_state from, to;
    int code = moves_sweep_state(connection, id, &from, err);
    if (code)
        return code;
    if (!sweep_machine_next(from, event, &to))
        return err_set(err, ERR_CONFLICT, "sweep %lld is %s already: nothing to %s", (long long)id,
                       sweep_state_name(from), sweep_event_name(event));
    if (sweep_state_is_final(to) && (code = count_sweep_end(connection, err)))
        return code;
    code = query_begin(&query, connection,
                       "UPDATE sweeps SET state = ?2, started_ms = CASE WHEN ?3 THEN ?4 ELSE started_ms END, "
                       "finished_ms = CASE WHEN ?5 THEN ?4 END, error_code = ?6, error_message = ?7, "
                       "end_number = CASE WHEN ?5 THEN (SELECT sweeps_ended FROM totals) END, "
                       "version = version + 1 WHERE id = ?1",
                       err);
    if (code)
        return code;
    query_bind_int(&query, id);
    query_bind_text(&query, sweep_state_name(to));
    query_bind_int(&query, event == SWEEP_EVENT_START);
    query_bind_int(&query, clock_wall_ms());
    query_bind_int(&query, sweep_state_is_final(to));
    query_bind_text(&query, reason && reason->code ? err_name(reason->code) : "");
    query_bind_text(&query, reason ? reason->message : "");
    if (!(code = query_run(&query, err)) && event == SWEEP_EVENT_START)
        code = keep_rule(connection, id, err);
    if (code || !sweep_state_is_final(to))
        return code;
    return outbox_note_sweep(connection, id, err);
}

/* The error of a sweep whose tasks have failed: how many, how many were not even tried (store/hopeless.h),
 * and the first of them. */
static int describe_failure(struct connection *connection, int64_t id, int64_t failed, int64_t untried,
                            int64_t all, struct err *reason, struct err *err)
{
    struct query query;
    char error[STORE_ERROR_NAME_SIZE], message[STORE_ERROR_MESSAGE_SIZE], name[LIMIT_REVISION_NAME_BYTES + 1];
    char others[160] = "";
    if (untried)
        (void)snprintf(others, sizeof others,
                       ", and %lld were not tried, since the first %d had failed alike (to try others, name "
                       "them with --from or --revision)",
                       (long long)untried, TASKS_ALIKE_MAX);
    int code = query_begin(&query, connection,
                           "SELECT k.error_code, k.error_message, r.name FROM tasks k JOIN revisions r "
                           "ON r.id = k.revision_id WHERE k.sweep_id = ? AND k.state = 'failed' "
                           "ORDER BY k.ordinal LIMIT 1",
                           err);
    if (code)
        return code;
    query_bind_int(&query, id);
    if ((code = query_next(&query, err)) > 0) {
        query_text(&query, error, sizeof error);
        query_text(&query, message, sizeof message);
        query_text(&query, name, sizeof name);
        (void)err_set(reason, (enum err_code)err_code_of(error),
                      "%lld of %lld revisions failed%s; the first, %s: %s", (long long)failed, (long long)all,
                      others, name, message);
    }
    code = query_end(&query, code);
    return code < 0 ? code : 0;
}

int moves_finish_sweep(struct connection *connection, int64_t id, struct err *err)
{
    struct query query;
    struct err reason = ERR_INIT;
    int64_t failed = 0, untried = 0, all = 0;
    int code = query_begin(&query, connection,
                           "SELECT tasks_failed, tasks_cancelled, tasks_done + tasks_failed + "
                           "tasks_cancelled FROM sweeps WHERE id = ? "
                           "AND state = 'running' AND tasks_queued = 0 AND tasks_claimed = 0",
                           err);
    if (code)
        return code;
    query_bind_int(&query, id);
    if ((code = query_next(&query, err)) > 0) {
        failed = query_int(&query);
        untried = query_int(&query);
        all = query_int(&query);
    }
    code = query_end(&query, code);
    if (code <= 0)
        return code;
    if (!failed)
        return moves_sweep(connection, id, SWEEP_EVENT_FINISH, NULL, err);
    if ((code = describe_failure(connection, id, failed, untried, all, &reason, err)))
        return code;
    return moves_sweep(connection, id, SWEEP_EVENT_FAIL, &reason, err);
}
