/*
 * The queue: claims, heartbeats, leases that are lost, and attempts that fail.
 */
#include "store/queue.h"
#include "daemon/base/clock.h"
#include "store/moves.h"
#include "store/query.h"
#include "store/rows_task.h"
#include "store/tasks.h"

#include <stdio.h>
#include <string.h>

#define LEASE_MS_MAX INT64_C(86400000) /* a day */
#define PAUSE_MS_MAX INT64_C(86400000)
#define REFUSED ERR_MISMATCH /* of a queued task: its last result was refused */
#define REFUSED_NAME "'mismatch'"

const struct tasks_policy tasks_policy_default = {
    .failures_max = 5,
    .interruptions_max = 50,
    .backoff_ms = 2000,
    .backoff_max_ms = 300000,
    .seed = 1,
};

static const struct tasks_policy *or_default(const struct tasks_policy *policy)
{
    return policy ? policy : &tasks_policy_default;
}

void task_lease_of(const struct task_row *row, struct task_lease *lease)
{
    *lease = (struct task_lease){.task_id = row->id, .attempt = row->attempts};
    memcpy(lease->worker, row->worker, sizeof lease->worker);
}

/* A well mixed number from three (the finaliser of splitmix64, Steele and others 2014). */
static uint64_t mix(uint64_t seed, uint64_t task, uint64_t failure)
{
    uint64_t z = seed + task * UINT64_C(0x9e3779b97f4a7c15) + failure * UINT64_C(0xd1b54a32d192ed03);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int64_t longest_pause(const struct tasks_policy *policy)
{
    return policy->backoff_max_ms < PAUSE_MS_MAX ? policy->backoff_max_ms : PAUSE_MS_MAX;
}

/* The pause after so many failures: doubles up to the longest, and 50 to 100 % of that. */
static int64_t backoff(const struct tasks_policy *policy, const struct task_row *task)
{
    int64_t pause = policy->backoff_ms > 0 ? policy->backoff_ms : 1;
    int64_t longest = longest_pause(policy);
    for (int64_t i = 1; i < task->failures && pause < longest; i++)
        pause *= 2;
    if (pause > longest)
        pause = longest > 0 ? longest : 1;
    uint64_t draw = mix(policy->seed, (uint64_t)task->id, (uint64_t)task->failures);
    return pause - pause / 2 + (int64_t)(draw % ((uint64_t)pause / 2 + 1));
}

static void set_error(struct task_row *task, int code, const char *message)
{
    (void)snprintf(task->error_code, sizeof task->error_code, "%s", err_name(code));
    (void)snprintf(task->error_message, sizeof task->error_message, "%s", message);
}

/* -- Giving up leases ----------------------------------------------------------------------------------- */

/* The lease of a claimed task is over. */
static int expire_task(struct connection *connection, struct task_row *task,
                       const struct tasks_policy *policy, struct err *err)
{
    task->failures++;
    set_error(task, ERR_TIMEOUT, "the worker did not report in time");
    if (task->failures >= policy->failures_max)
        return moves_task(connection, task, TASK_EVENT_EXHAUST, task->error_message, err);
    task->not_before_ms = 0;
    return moves_task(connection, task, TASK_EVENT_EXPIRE, task->error_message, err);
}

/* The worker of a claimed task stopped or died with its daemon. */
static int interrupt_task(struct connection *connection, struct task_row *task,
                          const struct tasks_policy *policy, const char *why, struct err *err)
{
    task->interruptions++;
    if (task->interruptions >= policy->interruptions_max) {
        set_error(task, ERR_INTERNAL, "the worker stopped or died too often under this task");
        return moves_task(connection, task, TASK_EVENT_EXHAUST, task->error_message, err);
    }
    task->not_before_ms = 0;
    return moves_task(connection, task, TASK_EVENT_INTERRUPT, why, err);
}

/* A lease that ends later than its length from now was given before the clock was set back. `lease_ms`, that
 * of the present call, keeps the index from listing leases in order; so the bound is the longest length in
 * use. */
static int cut_leases(struct connection *connection, int64_t now, int64_t lease_ms, struct err *err)
{
    struct query query;
    int rc = query_begin(&query, connection,
                         "UPDATE tasks SET lease_until_ms = ?1 + lease_ms WHERE state = 'claimed' "
                         "AND lease_until_ms > ?2 AND lease_until_ms > ?1 + lease_ms",
                         err);
    if (rc)
        return rc;
    query_bind_int(&query, now);
    query_bind_int(&query, now + lease_ms);
    return query_run(&query, err);
}

/* A task whose lease is over: 1, or 0 if there is none. */
static int find_expired(struct connection *connection, int64_t now, struct task_row *ret_task,
                        struct err *err)
{
    struct query query;
    int rc = query_begin(&query, connection,
                         "SELECT " ROWS_TASK ROWS_TASK_FROM
                         "WHERE k.state = 'claimed' AND k.lease_until_ms <= ? LIMIT 1",
                         err);
    if (rc)
        return rc;
    query_bind_int(&query, now);
    if ((rc = query_next(&query, err)) > 0)
        rows_read_task(&query, ret_task);
    query_end(&query);
    return rc;
}

static int expire_all(struct connection *connection, const struct tasks_policy *policy, int64_t *ret_count,
                      struct err *err)
{
    struct task_row task = {0};
    int64_t now = clock_wall_ms();
    int rc;
    *ret_count = 0;
    while ((rc = find_expired(connection, now, &task, err)) > 0) {
        if ((rc = expire_task(connection, &task, policy, err)))
            return rc;
        ++*ret_count;
    }
    return rc;
}

int tasks_expire(struct store *store, const struct tasks_policy *policy, int64_t *ret_count, struct err *err)
{
    struct connection *connection = NULL;
    int64_t count = 0;
    int rc = store_write_begin(store, CONNECTION_DURABILITY_CRASH, &connection, err);
    if (rc)
        return rc;
    rc = expire_all(connection, or_default(policy), &count, err);
    rc = store_write_end(store, rc, err);
    if (!rc && ret_count)
        *ret_count = count;
    return rc;
}

/* The next claimed task whose worker's name begins with `prefix`, after the task `after`. */
static int find_of_worker(struct connection *connection, const char *prefix, int64_t after,
                          struct task_row *ret_task, struct err *err)
{
    struct query query;
    int rc = query_begin(&query, connection,
                         "SELECT " ROWS_TASK ROWS_TASK_FROM "WHERE k.state = 'claimed' AND k.id > ?1 "
                         "AND substr(k.worker, 1, length(?2)) = ?2 ORDER BY k.id LIMIT 1",
                         err);
    if (rc)
        return rc;
    query_bind_int(&query, after);
    query_bind_text(&query, prefix);
    if ((rc = query_next(&query, err)) > 0)
        rows_read_task(&query, ret_task);
    query_end(&query);
    return rc;
}

int tasks_requeue_of_worker(struct store *store, const char *prefix, const struct tasks_policy *policy,
                            int64_t *ret_count, struct err *err)
{
    struct connection *connection = NULL;
    struct task_row task = {0};
    int64_t count = 0;
    int rc = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (rc)
        return rc;
    while ((rc = find_of_worker(connection, prefix, task.id, &task, err)) > 0) {
        if ((rc = interrupt_task(connection, &task, or_default(policy), "the daemon was started again", err)))
            break;
        count++;
    }
    rc = store_write_end(store, rc, err);
    if (!rc && ret_count)
        *ret_count = count;
    return rc;
}

/* -- Claim ---------------------------------------------------------------------------------------------- */

/* A revision that is being measured right now is passed over: its result will be there for all. */
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
static const char PAUSED[] = FIND_TASK "AND k.not_before_ms >= ?2 AND k.not_before_ms <= ?3 " NOT_SHARED
                                       "AND NOT (k.error_code = " REFUSED_NAME
                                       " AND substr(k.worker, 1, length(?4)) = ?4 AND k.not_before_ms "
                                       "BETWEEN ?3 - ?5 AND ?3) ORDER BY k.not_before_ms LIMIT 1";

struct search {
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

static int find_in_sweep(struct connection *connection, const char *sql, const struct search *search,
                         int64_t sweep_id, int64_t from_ms, int64_t to_ms, struct candidate *ret_candidate,
                         struct err *err)
{
    struct query query;
    int rc = query_begin(&query, connection, sql, err);
    if (rc)
        return rc;
    query_bind_int(&query, sweep_id);
    query_bind_int(&query, from_ms);
    query_bind_int(&query, to_ms);
    if (sql == PAUSED) {
        query_bind_text(&query, search->neighbours);
        query_bind_int(&query, TASKS_REFUSED_MS);
    }
    *ret_candidate = (struct candidate){.ordinal = INT64_MAX};
    if ((rc = query_next(&query, err)) > 0) {
        ret_candidate->id = query_int(&query);
        ret_candidate->ordinal = query_int(&query);
    }
    query_end(&query);
    return rc < 0 ? rc : 0;
}

/* The next task of one sweep, 1, or 0 if none can run now. Of a fresh and a paused one the earlier in step
 * order. */
static int next_in_sweep(struct connection *connection, int64_t sweep_id, const struct search *search,
                         int64_t *ret_id, struct err *err)
{
    struct candidate fresh, paused;
    int rc = find_in_sweep(connection, FRESH, search, sweep_id, 0, 0, &fresh, err);
    if (!rc)
        rc = find_in_sweep(connection, PAUSED, search, sweep_id, 1, search->now, &paused, err);
    if (!rc && !fresh.id && !paused.id)
        rc = find_in_sweep(connection, PAUSED, search, sweep_id, search->now + search->pause_ms_max + 1,
                           INT64_MAX, &paused, err);
    if (rc)
        return rc;
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
static int next_task(struct connection *connection, const struct search *search, int64_t *ret_id,
                     struct err *err)
{
    struct query query;
    int rc =
        query_begin(&query, connection,
                    "SELECT id FROM sweeps WHERE state = 'running' AND tasks_queued > 0 AND ?1 IN (0, id) "
                    "ORDER BY priority DESC, tasks_claimed, served, id",
                    err);
    if (rc)
        return rc;
    query_bind_int(&query, search->choice->sweep_id);
    while ((rc = query_next(&query, err)) > 0) {
        int64_t sweep_id = query_int(&query);
        if (is_excepted(search->choice, sweep_id))
            continue;
        if ((rc = next_in_sweep(connection, sweep_id, search, ret_id, err)))
            break;
    }
    query_end(&query);
    return rc;
}

/* Milliseconds until a pause or a lease ends, or -1. */
static int find_wait(struct connection *connection, int64_t only_sweep_id, int64_t now, int64_t *ret_wait_ms,
                     struct err *err)
{
    struct query query;
    int64_t next = 0;
    int rc = query_begin(
        &query, connection,
        "SELECT min(at) FROM (SELECT min(lease_until_ms) AS at FROM tasks WHERE state = 'claimed' "
        "UNION ALL SELECT (SELECT min(CASE WHEN k.not_before_ms > ?2 THEN k.not_before_ms "
        "WHEN k.error_code = " REFUSED_NAME " THEN k.not_before_ms + ?3 + 1 END) FROM tasks k "
        "WHERE k.sweep_id = s.id AND k.state = 'queued' AND k.not_before_ms >= ?2 - ?3) FROM sweeps s "
        "WHERE s.state = 'running' AND s.tasks_queued > 0 AND ?1 IN (0, s.id))",
        err);
    if (rc)
        return rc;
    query_bind_int(&query, only_sweep_id);
    query_bind_int(&query, now);
    query_bind_int(&query, TASKS_REFUSED_MS);
    if ((rc = query_run_int(&query, &next, err)) < 0)
        return rc;
    *ret_wait_ms = next == 0 ? -1 : next > now ? next - now : 0;
    return 0;
}

static int claim_task(struct connection *connection, int64_t id, const char *worker, int64_t lease_ms,
                      int64_t now, struct task_row *task, struct err *err)
{
    int rc = moves_load_task(connection, id, task, err);
    if (rc)
        return rc;
    task->attempts++;
    task->claimed_ms = now;
    task->lease_until_ms = now + lease_ms;
    task->lease_ms = lease_ms;
    task->bytes_fetched = 0;
    (void)snprintf(task->worker, sizeof task->worker, "%s", worker);
    return moves_task(connection, task, TASK_EVENT_CLAIM, NULL, err);
}

static int check_claim(const char *worker, int64_t lease_ms, struct err *err)
{
    if (!worker[0] || strlen(worker) >= STORE_WORKER_SIZE)
        return err_set(err, ERR_INVALID, "claim: a worker's name has 1 to %d bytes", STORE_WORKER_SIZE - 1);
    if (lease_ms < 1 || lease_ms > LEASE_MS_MAX)
        return err_set(err, ERR_INVALID, "claim: a lease is 1 ms to a day");
    return 0;
}

int tasks_claim(struct store *store, const char *worker, int64_t sweep_id, int64_t lease_ms,
                const struct tasks_policy *policy, struct task_row *ret_row, int64_t *ret_wait_ms,
                struct err *err)
{
    struct tasks_choice choice = {.sweep_id = sweep_id};
    return tasks_claim_chosen(store, worker, &choice, lease_ms, policy, ret_row, ret_wait_ms, err);
}

int tasks_claim_chosen(struct store *store, const char *worker, const struct tasks_choice *choice,
                       int64_t lease_ms, const struct tasks_policy *policy, struct task_row *ret_row,
                       int64_t *ret_wait_ms, struct err *err)
{
    struct connection *connection = NULL;
    struct task_row task = {0};
    struct search search = {
        .choice = choice, .now = clock_wall_ms(), .pause_ms_max = longest_pause(or_default(policy))};
    int64_t id = 0, expired = 0, wait_ms = -1, now = search.now;
    int rc = check_claim(worker, lease_ms, err);
    if (rc)
        return rc;
    search_for(&search, worker);
    if ((rc = store_write_begin(store, CONNECTION_DURABILITY_CRASH, &connection, err)))
        return rc;
    if ((rc = cut_leases(connection, now, lease_ms, err)) ||
        (rc = expire_all(connection, or_default(policy), &expired, err)))
        goto out;
    if ((rc = next_task(connection, &search, &id, err)) < 0)
        goto out;
    rc = id ? claim_task(connection, id, worker, lease_ms, now, &task, err)
            : find_wait(connection, choice->sweep_id, now, &wait_ms, err);
out:
    rc = store_write_end(store, rc, err);
    if (rc)
        return rc;
    if (!id) {
        if (ret_wait_ms)
            *ret_wait_ms = wait_ms;
        return err_set(err, ERR_NOT_FOUND, "no task can run now");
    }
    *ret_row = task;
    return 0;
}

/* -- A lease in use ------------------------------------------------------------------------------------- */

int queue_load_leased(struct connection *connection, const struct task_lease *lease,
                      struct task_row *ret_task, struct err *err)
{
    int rc = moves_load_task(connection, lease->task_id, ret_task, err);
    if (rc)
        return rc;
    int is_same = ret_task->attempts == lease->attempt && !strcmp(ret_task->worker, lease->worker);
    if (is_same && ret_task->state == TASK_STATE_CANCELLED)
        return err_set(err, ERR_CANCELLED, "task %lld was cancelled", (long long)lease->task_id);
    if (!is_same || ret_task->state != TASK_STATE_CLAIMED)
        return err_set(err, ERR_CONFLICT,
                       "task %lld: the lease of %s (attempt %lld) was lost: the task is %s",
                       (long long)lease->task_id, lease->worker, (long long)lease->attempt,
                       task_state_name(ret_task->state));
    return 0;
}

int tasks_heartbeat(struct store *store, const struct task_lease *lease, int64_t lease_ms,
                    int64_t bytes_fetched, struct err *err)
{
    struct connection *connection = NULL;
    struct task_row task = {0};
    int rc = check_claim(lease->worker, lease_ms, err);
    if (rc)
        return rc;
    if (bytes_fetched < 0)
        return err_set(err, ERR_INVALID, "heartbeat: a number of bytes is negative");
    if ((rc = store_write_begin(store, CONNECTION_DURABILITY_CRASH, &connection, err)))
        return rc;
    if (!(rc = queue_load_leased(connection, lease, &task, err))) {
        task.lease_until_ms = clock_wall_ms() + lease_ms;
        task.lease_ms = lease_ms;
        task.bytes_fetched = bytes_fetched;
        rc = moves_task(connection, &task, TASK_EVENT_HEARTBEAT, NULL, err);
    }
    return store_write_end(store, rc, err);
}

static int fail(struct store *store, const struct task_lease *lease, const struct err *reason, int may_pass,
                const struct tasks_policy *policy, enum task_state *ret_state, struct err *err)
{
    struct connection *connection = NULL;
    struct task_row task = {0};
    enum task_event event = TASK_EVENT_FAIL;
    int rc = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (rc)
        return rc;
    policy = or_default(policy);
    if ((rc = queue_load_leased(connection, lease, &task, err)))
        goto out;
    task.failures++;
    set_error(&task, reason->code, reason->message);
    if (may_pass)
        event = task.failures >= policy->failures_max ? TASK_EVENT_EXHAUST : TASK_EVENT_RETRY;
    if (event == TASK_EVENT_RETRY)
        task.not_before_ms = clock_wall_ms() + backoff(policy, &task);
    rc = moves_task(connection, &task, event, reason->message, err);
out:
    rc = store_write_end(store, rc, err);
    if (!rc && ret_state)
        *ret_state = task.state;
    return rc;
}

int tasks_fail(struct store *store, const struct task_lease *lease, const struct err *reason,
               const struct tasks_policy *policy, enum task_state *ret_state, struct err *err)
{
    return fail(store, lease, reason, err_is_transient(reason->code), policy, ret_state, err);
}

int tasks_refuse(struct store *store, const struct task_lease *lease, const struct err *reason,
                 const struct tasks_policy *policy, enum task_state *ret_state, struct err *err)
{
    struct err refused = *reason;
    refused.code = REFUSED;
    return fail(store, lease, &refused, 1, policy, ret_state, err);
}

int tasks_release(struct store *store, const struct task_lease *lease, const struct tasks_policy *policy,
                  struct err *err)
{
    struct connection *connection = NULL;
    struct task_row task = {0};
    int rc = store_write_begin(store, CONNECTION_DURABILITY_CRASH, &connection, err);
    if (rc)
        return rc;
    if (!(rc = queue_load_leased(connection, lease, &task, err)))
        rc = interrupt_task(connection, &task, or_default(policy), "given back by its worker", err);
    return store_write_end(store, rc, err);
}

int tasks_decline(struct store *store, const struct task_lease *lease, const char *why, struct err *err)
{
    struct connection *connection = NULL;
    struct task_row task = {0};
    int rc = store_write_begin(store, CONNECTION_DURABILITY_CRASH, &connection, err);
    if (rc)
        return rc;
    if (!(rc = queue_load_leased(connection, lease, &task, err))) {
        task.not_before_ms = 0;
        rc = moves_task(connection, &task, TASK_EVENT_INTERRUPT, why, err);
    }
    return store_write_end(store, rc, err);
}
