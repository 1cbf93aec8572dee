#include "store/jobs.h"

#include "daemon/base/clock.h"
#include "store/hopeless.h"
#include "store/query.h"

#include <string.h>

#define JOB_COLUMNS                                                                                          \
    "j.id, j.sweep_id, s.state, j.job_id, j.state, j.size, j.pending, j.running, j.completed, j.failed, "    \
    "j.cancelled, j.reason, j.attempts, j.submitted_ms, j.ended_ms, j.cancelled_ms, j.tasks_ended, "         \
    "m.removed IS NOT NULL"
#define JOB_FROM " FROM jobs j JOIN sweeps s ON s.id = j.sweep_id JOIN models m ON m.id = s.model_id "

static const char *const STATE_NAMES[JOB_STATE_COUNT] = {"submitting", "pending", "running", "ended",
                                                         "refused"};

const char *job_state_name(enum job_state state)
{
    return (size_t)state < JOB_STATE_COUNT ? STATE_NAMES[state] : "unknown";
}

int job_state_parse(const char *name, enum job_state *ret_state)
{
    for (size_t i = 0; i < JOB_STATE_COUNT; i++) {
        if (strcmp(STATE_NAMES[i], name) == 0) {
            *ret_state = (enum job_state)i;
            return 1;
        }
    }
    return 0;
}

int job_state_is_live(enum job_state state)
{
    return state == JOB_STATE_SUBMITTING || state == JOB_STATE_PENDING || state == JOB_STATE_RUNNING;
}

static void read_row(struct query *query, struct job_row *row)
{
    char state[16];
    *row = (struct job_row){.id = query_int(query)};
    row->sweep_id = query_int(query);
    query_text(query, state, sizeof state);
    row->sweep_state = SWEEP_STATE_FAILED;
    (void)sweep_state_parse(state, &row->sweep_state);
    row->job_id = query_int(query);
    query_text(query, state, sizeof state);
    row->state = JOB_STATE_ENDED;
    (void)job_state_parse(state, &row->state);
    row->size = query_int(query);
    row->pending = query_int(query);
    row->running = query_int(query);
    row->completed = query_int(query);
    row->failed = query_int(query);
    row->cancelled = query_int(query);
    query_text(query, row->reason, sizeof row->reason);
    row->attempts = query_int(query);
    row->submitted_ms = query_int(query);
    row->ended_ms = query_int(query);
    row->cancelled_ms = query_int(query);
    row->tasks_ended = query_int(query);
    row->is_sweep_removed = query_int(query) != 0;
}

/* -- Write ----------------------------------------------------------------------------------------------- */

static int touch_sweep(struct connection *connection, int64_t sweep_id, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection, "UPDATE sweeps SET version = version + 1 WHERE id = ?", err);
    if (code)
        return code;
    query_bind_int(&query, sweep_id);
    return query_run(&query, err);
}

static int insert(struct connection *connection, int64_t sweep_id, int64_t size, int64_t *ret_id,
                  struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection,
                           "INSERT INTO jobs (sweep_id, state, size, attempts, submitted_ms, tasks_ended) "
                           "VALUES (?, 'submitting', ?, 1, ?, "
                           "(SELECT tasks_ended FROM totals)) RETURNING id",
                           err);
    if (code)
        return code;
    query_bind_int(&query, sweep_id);
    query_bind_int(&query, size);
    query_bind_int(&query, clock_wall_ms());
    code = query_run_int(&query, ret_id, err);
    return code < 0 ? code : touch_sweep(connection, sweep_id, err);
}

static int load(struct connection *connection, int64_t id, struct job_row *ret_row, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection, "SELECT " JOB_COLUMNS JOB_FROM "WHERE j.id = ?", err);
    if (code)
        return code;
    query_bind_int(&query, id);
    code = query_next(&query, err);
    if (code > 0)
        read_row(&query, ret_row);
    else if (code == 0)
        code = err_set(err, ERR_NOT_FOUND, "there is no job row %lld", (long long)id);
    code = query_end(&query, code);
    return code < 0 ? code : 0;
}

int jobs_create(struct store *store, int64_t sweep_id, int64_t size, struct job_row *ret_row, struct err *err)
{
    struct connection *connection = NULL;
    int64_t id = 0;
    int code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (code)
        return code;
    if (!(code = insert(connection, sweep_id, size, &id, err)))
        code = load(connection, id, ret_row, err);
    return store_write_end(store, code, err);
}

static int is_same(const struct job_row *a, const struct job_row *b)
{
    return a->job_id == b->job_id && a->state == b->state && a->size == b->size && a->pending == b->pending &&
           a->running == b->running && a->completed == b->completed && a->failed == b->failed &&
           a->cancelled == b->cancelled && a->attempts == b->attempts && a->submitted_ms == b->submitted_ms &&
           a->ended_ms == b->ended_ms && a->cancelled_ms == b->cancelled_ms &&
           strcmp(a->reason, b->reason) == 0;
}

/* A retried submission is judged by the tasks that end from now on. */
static int write_row(struct connection *connection, const struct job_row *row, struct err *err)
{
    struct query query;
    int code =
        query_begin(&query, connection,
                    "UPDATE jobs SET tasks_ended = CASE WHEN state = 'refused' AND ?2 = 'submitting' "
                    "THEN (SELECT tasks_ended FROM totals) ELSE tasks_ended END, "
                    "job_id = ?1, state = ?2, size = ?, pending = ?, running = ?, "
                    "completed = ?, failed = ?, cancelled = ?, reason = ?, attempts = ?, submitted_ms = ?, "
                    "ended_ms = ?, cancelled_ms = ? WHERE id = ?",
                    err);
    if (code)
        return code;
    query_bind_id(&query, row->job_id);
    query_bind_text(&query, job_state_name(row->state));
    query_bind_int(&query, row->size);
    query_bind_int(&query, row->pending);
    query_bind_int(&query, row->running);
    query_bind_int(&query, row->completed);
    query_bind_int(&query, row->failed);
    query_bind_int(&query, row->cancelled);
    query_bind_text(&query, row->reason);
    query_bind_int(&query, row->attempts);
    query_bind_int(&query, row->submitted_ms);
    query_bind_id(&query, row->ended_ms);
    query_bind_id(&query, row->cancelled_ms);
    query_bind_int(&query, row->id);
    code = query_run(&query, err);
    return code ? code : touch_sweep(connection, row->sweep_id, err);
}

static int count_submission(struct connection *connection, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection, "UPDATE totals SET jobs_submitted = jobs_submitted + 1", err);
    return code ? code : query_run(&query, err);
}

int jobs_update(struct store *store, const struct job_row *row, struct err *err)
{
    struct connection *connection = NULL;
    struct job_row old = {0};
    int code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (code)
        return code;
    if (!(code = load(connection, row->id, &old, err)) && !is_same(&old, row))
        code = write_row(connection, row, err);
    if (!code && row->job_id && !old.job_id)
        code = count_submission(connection, err);
    return store_write_end(store, code, err);
}

/* -- Read ------------------------------------------------------------------------------------------------ */

/* Calls back for each row of a bound query, and ends it. */
static int list(struct query *query, int (*row)(void *context, const struct job_row *row), void *context,
                struct err *err)
{
    struct job_row job;
    int code;
    while ((code = query_next(query, err)) > 0) {
        read_row(query, &job);
        if (row(context, &job))
            break;
    }
    code = query_end(query, code);
    return code < 0 ? code : 0;
}

int jobs_list_live(struct store *store, int (*row)(void *context, const struct job_row *row), void *context,
                   struct err *err)
{
    struct query query;
    int code = query_open(&query, store,
                          "SELECT " JOB_COLUMNS JOB_FROM
                          "WHERE j.state IN ('submitting', 'pending', 'running') ORDER BY j.id",
                          err);
    if (code)
        return code;
    code = list(&query, row, context, err);
    return query_close(&query, code);
}

int jobs_list_all(struct store *store, const enum job_state *state, int64_t before, int limit,
                  int (*row)(void *context, const struct job_row *row), void *context, struct err *err)
{
    struct query query;
    int code = query_open(&query, store,
                          "SELECT " JOB_COLUMNS JOB_FROM
                          "WHERE (?1 IS NULL OR j.state = ?1) AND j.id < ?2 ORDER BY j.id DESC LIMIT ?3",
                          err);
    if (code)
        return code;
    query_bind_text(&query, state ? job_state_name(*state) : NULL);
    query_bind_int(&query, before > 0 ? before : INT64_MAX);
    query_bind_int(&query, limit);
    code = list(&query, row, context, err);
    return query_close(&query, code);
}

int jobs_list(struct store *store, int64_t sweep_id, int limit,
              int (*row)(void *context, const struct job_row *row), void *context, struct err *err)
{
    struct query query;
    int code = query_open(
        &query, store, "SELECT " JOB_COLUMNS JOB_FROM "WHERE j.sweep_id = ? ORDER BY j.id DESC LIMIT ?", err);
    if (code)
        return code;
    query_bind_int(&query, sweep_id);
    query_bind_int(&query, limit);
    code = list(&query, row, context, err);
    return query_close(&query, code);
}

#define CAN_RUN                                                                                              \
    "k.sweep_id = s.id AND k.state = 'queued' AND (k.not_before_ms <= ?2 OR k.not_before_ms > ?2 + ?5)"

int jobs_demand(struct store *store, const struct jobs_question *question,
                int (*row)(void *context, int64_t sweep_id, int64_t tasks), void *context, struct err *err)
{
    struct query query;
    int code =
        query_open(&query, store,
                   "SELECT s.id, s.tasks_done = 0 AND s.tasks_failed >= ?7, (SELECT count(*) FROM tasks k "
                   "WHERE k.sweep_id = s.id AND k.state = 'claimed' "
                   "AND (instr(k.worker, ?3) OR k.lease_until_ms < ?6)), "
                   "(SELECT count(*) FROM (SELECT 1 FROM tasks k WHERE " CAN_RUN " LIMIT ?1)), "
                   "CASE WHEN s.tasks_done = 0 AND s.tasks_failed >= ?7 THEN "
                   "(SELECT count(*) FROM tasks k WHERE " CAN_RUN " AND k.attempts > 0) END "
                   "FROM sweeps s WHERE s.state = 'running' ORDER BY s.priority DESC, s.id LIMIT ?4",
                   err);
    if (code)
        return code;
    query_bind_int(&query, question->tasks_max);
    query_bind_int(&query, clock_wall_ms());
    query_bind_text(&query, question->ours);
    query_bind_int(&query, question->limit);
    query_bind_int(&query, question->pause_ms_max);
    query_bind_int(&query, question->over_ms);
    query_bind_int(&query, HOPELESS_DOUBT);
    while ((code = query_next(&query, err)) > 0) {
        int64_t sweep_id = query_int(&query);
        int is_doubtful = query_int(&query) != 0, is_awaited = 0;
        int64_t tasks = query_int(&query), queued = query_int(&query), begun = query_int(&query);
        if (is_doubtful && (code = hopeless_is_awaited(query.connection, sweep_id, &is_awaited, err)))
            break;
        tasks += is_awaited ? begun : queued;
        if (row(context, sweep_id, tasks < question->tasks_max ? tasks : question->tasks_max))
            break;
    }
    return query_close(&query, code);
}

int jobs_count(struct store *store, struct jobs_counts *ret_counts, struct err *err)
{
    struct query query;
    *ret_counts = (struct jobs_counts){0};
    int code = query_open(&query, store,
                          "SELECT (SELECT jobs_submitted FROM totals), "
                          "coalesce(sum(pending), 0), coalesce(sum(running), 0) FROM jobs "
                          "WHERE state IN ('submitting', 'pending', 'running')",
                          err);
    if (code)
        return code;
    if ((code = query_next(&query, err)) > 0) {
        ret_counts->submitted = query_int(&query);
        ret_counts->pending = query_int(&query);
        ret_counts->running = query_int(&query);
    }
    return query_close(&query, code);
}

int jobs_count_ended_tasks(struct store *store, int64_t *ret_count, struct err *err)
{
    struct query query;
    int code = query_open(&query, store, "SELECT tasks_ended FROM totals", err);
    if (code)
        return code;
    code = query_run_int(&query, ret_count, err);
    return query_close(&query, code);
}
