/*
 * Claims: which task a worker gets next.
 */
#include "daemon/base/clock.h"
#include "store/hopeless.h"
#include "store/moves.h"
#include "store/query.h"
#include "store/queue.h"
#include "store/rows_task.h"
#include "store/tasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A revision that is being measured is skipped: its result will serve all sweeps. */
#define NOT_SHARED                                                                                           \
    "AND NOT EXISTS (SELECT 1 FROM tasks o WHERE o.revision_id = k.revision_id AND o.state = 'claimed') "

/* Each finds one task of sweep ?1 between two times: the first that never failed (0, 0), the one whose pause
 * has been over for longest (1, now), and one whose pause is longer than any may be: the clock was set back.
 */
#define FIND_TASK                                                                                            \
    "SELECT k.id, k.ordinal FROM tasks k INDEXED BY tasks_queue WHERE k.sweep_id = ?1 AND k.state = "        \
    "'queued' "

static const char FRESH[] =
    FIND_TASK "AND k.not_before_ms = ?2 AND ?2 = ?3 " NOT_SHARED "ORDER BY k.ordinal LIMIT 1";
static const char BEGUN[] = FIND_TASK "AND k.not_before_ms = ?2 AND ?2 = ?3 AND k.attempts > 0 " NOT_SHARED
                                      "ORDER BY k.ordinal LIMIT 1"; /* and interrupted */
static const char PAUSED[] = FIND_TASK "AND k.not_before_ms >= ?2 AND k.not_before_ms <= ?3 " NOT_SHARED
                                       "AND NOT (k.error_code = " QUEUE_REFUSED_NAME
                                       " AND substr(k.worker, 1, length(?4)) = ?4 AND k.not_before_ms "
                                       "BETWEEN ?3 - ?5 AND ?3) ORDER BY k.not_before_ms LIMIT 1";

/* The one behind revision ?2, if it never failed and the worker still has that revision or had it to the end.
 */
static const char BEHIND[] =
    "SELECT k.id, k.ordinal FROM tasks k INDEXED BY tasks_previous WHERE k.previous_revision_id = ?2 AND "
    "k.sweep_id = ?1 AND k.state = 'queued' AND k.not_before_ms = ?3 " NOT_SHARED
    "AND EXISTS (SELECT 1 FROM tasks p WHERE p.sweep_id = ?1 AND p.revision_id = ?2 AND p.state IN "
    "('claimed', 'done') AND substr(p.worker, 1, length(?4)) = ?4) LIMIT 1";

#define FIRST_FRESH                                                                                          \
    "(SELECT min(q.ordinal) FROM tasks q INDEXED BY tasks_queue WHERE q.sweep_id = ?1 "                      \
    "AND q.state = 'queued' AND q.not_before_ms = 0)"

/* In step order, from the one before the first that never failed: whether somebody is at it, and whether it
 * can be claimed and never failed. */
static const char ROW[] =
    "SELECT k.id, k.ordinal, k.state = 'claimed', k.state = 'queued' AND k.not_before_ms = 0 " NOT_SHARED
    "FROM tasks k INDEXED BY tasks_order WHERE k.sweep_id = ?1 AND k.ordinal >= coalesce("
    "(SELECT max(b.ordinal) FROM tasks b WHERE b.sweep_id = ?1 AND b.ordinal < " FIRST_FRESH "), " FIRST_FRESH
    ") ORDER BY k.ordinal LIMIT ?2";

struct search {
    struct connection *connection;
    const struct tasks_choice *choice;
    char neighbours[STORE_WORKER_SIZE]; /* what the names of all slots of the claiming worker begin with */
    int64_t now, pause_ms_max;
};

static void search_for(struct search *search, const char *worker)
{
    const char *slash = strrchr(worker, '/');
    size_t length = slash ? (size_t)(slash - worker) + 1 : strlen(worker);
    (void)snprintf(search->neighbours, sizeof search->neighbours, "%.*s", (int)length, worker);
}

struct candidate {
    int64_t id; /* 0: none */
    int64_t ordinal;
};

static int find_in_sweep(const struct search *search, const char *sql, int64_t sweep_id, int64_t from_ms,
                         int64_t to_ms, struct candidate *ret_candidate, struct err *err)
{
    struct query query;
    int code = query_begin(&query, search->connection, sql, err);
    if (code)
        return code;
    query_bind_int(&query, sweep_id);
    query_bind_int(&query, from_ms);
    query_bind_int(&query, to_ms);
    if (sql == PAUSED || sql == BEHIND)
        query_bind_text(&query, search->neighbours);
    if (sql == PAUSED)
        query_bind_int(&query, TASKS_REFUSED_MS);
    *ret_candidate = (struct candidate){.ordinal = INT64_MAX};
    if ((code = query_next(&query, err)) > 0) {
        ret_candidate->id = query_int(&query);
        ret_candidate->ordinal = query_int(&query);
    }
    code = query_end(&query, code);
    return code < 0 ? code : 0;
}

/* A run of tasks that can be claimed. */
struct run {
    size_t begin, length;
    int is_walked; /* a worker has the task before it, and will continue into this run */
};

/* How many tasks of the run a worker that starts in it can go on to. */
static size_t room_of(const struct run *run)
{
    return run->is_walked ? (run->length + 1) / 2 : run->length;
}

/* Reads a sweep's tasks in step order; the run with most room, and the tasks that can be claimed, in order.
 */
static int read_runs(const struct search *search, int64_t sweep_id, struct candidate *tasks,
                     struct run *ret_best, struct err *err)
{
    struct query query;
    struct run run = {0};
    size_t count = 0;
    int was_claimed = 0;
    int code = query_begin(&query, search->connection, ROW, err);
    if (code)
        return code;
    query_bind_int(&query, sweep_id);
    query_bind_int(&query, TASKS_SPREAD_MAX);
    *ret_best = (struct run){0};
    while ((code = query_next(&query, err)) > 0) {
        struct candidate task = {.id = query_int(&query)};
        task.ordinal = query_int(&query);
        int is_claimed = query_int(&query) != 0;
        if (query_int(&query)) {
            if (run.length == 0)
                run = (struct run){.begin = count, .is_walked = was_claimed};
            tasks[count++] = task;
            run.length++;
        } else {
            run.length = 0;
        }
        was_claimed = is_claimed;
        if (run.length && room_of(&run) > room_of(ret_best))
            *ret_best = run;
    }
    return query_end(&query, code);
}

/* The task that is farthest from those of other workers, or (`is_doubtful`) from those that failed, too. */
static int find_apart(const struct search *search, int64_t sweep_id, int is_doubtful,
                      struct candidate *ret_candidate, struct err *err)
{
    struct run run;
    struct candidate *tasks = calloc(TASKS_SPREAD_MAX, sizeof *tasks);
    if (!tasks)
        return err_set(err, ERR_NO_MEMORY, "claim: out of memory");
    int code = read_runs(search, sweep_id, tasks, &run, err);
    if (!code && run.length)
        *ret_candidate = tasks[run.begin + (run.is_walked || is_doubtful ? run.length / 2 : 0)];
    free(tasks);
    return code;
}

/* The worker's best choice among the tasks that never failed. */
static int find_fresh(const struct search *search, int64_t sweep_id, int is_doubtful,
                      struct candidate *ret_candidate, struct err *err)
{
    const struct tasks_choice *choice = search->choice;
    int code = 0;
    *ret_candidate = (struct candidate){.ordinal = INT64_MAX};
    for (size_t i = 0; !code && !ret_candidate->id && i < choice->near_count && !is_doubtful; i++)
        code = find_in_sweep(search, BEHIND, sweep_id, choice->near[i], 0, ret_candidate, err);
    if (!code && !ret_candidate->id && (choice->does_spread || is_doubtful))
        code = find_apart(search, sweep_id, is_doubtful, ret_candidate, err);
    if (!code && !ret_candidate->id)
        code = find_in_sweep(search, FRESH, sweep_id, 0, 0, ret_candidate, err);
    return code;
}

/* The next task of one sweep, 1, or 0 if none can run now. Of a fresh and a paused one the earlier in step
 * order. */
static int next_in_sweep(const struct search *search, int64_t sweep_id, int is_doubtful, int64_t *ret_id,
                         struct err *err)
{
    struct candidate fresh = {.ordinal = INT64_MAX}, paused = fresh;
    int is_awaited = 0;
    int code = is_doubtful ? hopeless_is_awaited(search->connection, sweep_id, &is_awaited, err) : 0;
    if (!code)
        code = is_awaited ? find_in_sweep(search, BEGUN, sweep_id, 0, 0, &fresh, err)
                          : find_fresh(search, sweep_id, is_doubtful, &fresh, err);
    if (!code)
        code = find_in_sweep(search, PAUSED, sweep_id, 1, search->now, &paused, err);
    if (!code && !fresh.id && !paused.id)
        code = find_in_sweep(search, PAUSED, sweep_id, search->now + search->pause_ms_max + 1, INT64_MAX,
                             &paused, err);
    if (code)
        return code;
    *ret_id = paused.ordinal < fresh.ordinal ? paused.id : fresh.id;
    return *ret_id != 0;
}

static int is_excepted(const struct tasks_choice *choice, int64_t sweep_id)
{
    for (size_t i = 0; i < choice->except_count; i++) {
        if (choice->except[i] == sweep_id)
            return 1;
    }
    return 0;
}

/* The next task of all sweeps (or of one), 1, or 0 if none can run now. */
static int next_task(const struct search *search, int64_t *ret_id, struct err *err)
{
    struct query query;
    int code =
        query_begin(&query, search->connection,
                    "SELECT id, tasks_done = 0 AND tasks_failed >= ?3 FROM sweeps INDEXED BY sweeps_queue "
                    "WHERE state = 'running' AND tasks_queued > 0 "
                    "AND ?1 IN (0, id) "
                    "AND (?2 = 0 OR (SELECT m.name GLOB 'file:*' FROM models m WHERE m.id = model_id)) "
                    "ORDER BY priority DESC, tasks_claimed, served, id",
                    err);
    if (code)
        return code;
    query_bind_int(&query, search->choice->sweep_id);
    query_bind_int(&query, search->choice->only_folders);
    query_bind_int(&query, HOPELESS_DOUBT);
    while ((code = query_next(&query, err)) > 0) {
        int64_t sweep_id = query_int(&query);
        int is_doubtful = query_int(&query) != 0;
        if (is_excepted(search->choice, sweep_id))
            continue;
        if ((code = next_in_sweep(search, sweep_id, is_doubtful, ret_id, err)))
            break;
    }
    return query_end(&query, code);
}

/* Milliseconds until a pause or a lease ends, or -1. */
static int find_wait(struct connection *connection, int64_t only_sweep_id, int64_t now, int64_t *ret_wait_ms,
                     struct err *err)
{
    struct query query;
    int64_t next = 0;
    int code = query_begin(
        &query, connection,
        "SELECT min(at) FROM (SELECT min(lease_until_ms) AS at FROM tasks WHERE state = 'claimed' "
        "UNION ALL SELECT (SELECT min(CASE WHEN k.not_before_ms > ?2 THEN k.not_before_ms "
        "WHEN k.error_code = " QUEUE_REFUSED_NAME " THEN k.not_before_ms + ?3 + 1 END) FROM tasks k "
        "WHERE k.sweep_id = s.id AND k.state = 'queued' AND k.not_before_ms >= ?2 - ?3) FROM sweeps s "
        "WHERE s.state = 'running' AND s.tasks_queued > 0 AND ?1 IN (0, s.id))",
        err);
    if (code)
        return code;
    query_bind_int(&query, only_sweep_id);
    query_bind_int(&query, now);
    query_bind_int(&query, TASKS_REFUSED_MS);
    if ((code = query_run_int(&query, &next, err)) < 0)
        return code;
    *ret_wait_ms = next == 0 ? -1 : next > now ? next - now : 0;
    return 0;
}

static int claim_task(struct connection *connection, int64_t id, const struct tasks_claimant *claimant,
                      int64_t now, struct task_row *task, struct err *err)
{
    int code = moves_load_task(connection, id, task, err);
    if (code)
        return code;
    task->attempts++;
    task->claimed_ms = now;
    task->lease_until_ms = now + claimant->lease_ms;
    task->lease_ms = claimant->lease_ms;
    task->bytes_fetched = 0;
    (void)snprintf(task->worker, sizeof task->worker, "%s", claimant->worker);
    return moves_task(connection, task, TASK_EVENT_CLAIM, NULL, err);
}

int tasks_claim(struct store *store, const struct tasks_claimant *claimant, const struct tasks_choice *choice,
                struct task_row *ret_row, int64_t *ret_wait_ms, struct err *err)
{
    static const struct tasks_choice any = {0};
    struct connection *connection = NULL;
    struct task_row task = {0};
    const struct tasks_policy *policy = queue_policy(claimant->policy);
    struct search search = {.choice = choice ? choice : &any, .pause_ms_max = queue_longest_pause(policy)};
    int64_t id = 0, wait_ms = -1;
    int code = queue_check_lease(claimant->worker, claimant->lease_ms, err);
    if (code)
        return code;
    search_for(&search, claimant->worker);
    if ((code = store_write_begin(store, CONNECTION_DURABILITY_CRASH, &connection, err)))
        return code;
    /* Not before: who waited for a long write would take leases for over that were renewed meanwhile. */
    const int64_t now = search.now = clock_wall_ms();
    search.connection = connection;
    if ((code = queue_lengthen_leases(connection, now, clock_monotonic_ms(), err)) ||
        (code = queue_cut_leases(connection, now, claimant->lease_ms, err)) ||
        (code = queue_expire_all(connection, policy, err)))
        goto out;
    if ((code = next_task(&search, &id, err)) < 0)
        goto out;
    code = id ? claim_task(connection, id, claimant, now, &task, err)
              : find_wait(connection, search.choice->sweep_id, now, &wait_ms, err);
out:
    code = store_write_end(store, code, err);
    if (code)
        return code;
    if (!id) {
        if (ret_wait_ms)
            *ret_wait_ms = wait_ms;
        return err_set(err, ERR_NOT_FOUND, "no task can run now");
    }
    *ret_row = task;
    return 0;
}
