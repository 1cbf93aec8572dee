/*
 * The queue: heartbeats, leases that are lost, and attempts that fail.
 */
#include "store/queue.h"
#include "daemon/base/clock.h"
#include "store/hopeless.h"
#include "store/moves.h"
#include "store/query.h"
#include "store/rows_task.h"
#include "store/tasks.h"

#include <stdio.h>
#include <string.h>

#define PAUSE_MS_MAX INT64_C(86400000)
#define AWAY_MS_MIN 1000 /* more than a clock is corrected by between two claims */

const struct tasks_policy tasks_policy_default = {
    .failures_max = 5,
    .interruptions_max = 50,
    .backoff_ms = 2000,
    .backoff_max_ms = 300000,
    .seed = 1,
};

const struct tasks_policy *queue_policy(const struct tasks_policy *policy)
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

int64_t queue_longest_pause(const struct tasks_policy *policy)
{
    return policy->backoff_max_ms < PAUSE_MS_MAX ? policy->backoff_max_ms : PAUSE_MS_MAX;
}

/* The pause after so many failures: doubles up to the longest, and 50 to 100 % of that. */
static int64_t backoff(const struct tasks_policy *policy, const struct task_row *task)
{
    int64_t pause = policy->backoff_ms > 0 ? policy->backoff_ms : 1;
    int64_t longest = queue_longest_pause(policy);
    for (int64_t i = 1; i < task->failures && pause < longest; i++)
        pause *= 2;
    if (pause > longest)
        pause = longest > 0 ? longest : 1;
    uint64_t draw = mix(policy->seed, (uint64_t)task->id, (uint64_t)task->failures);
    return pause - pause / 2 + (int64_t)(draw % ((uint64_t)pause / 2 + 1));
}

/* Messages are always shown with the task's revision, so they need not begin with it. */
static void set_error(struct task_row *task, int code, const char *message)
{
    char prefix[sizeof task->revision + 16];
    int length = snprintf(prefix, sizeof prefix, "revision %s: ", task->revision);
    if (strncmp(message, prefix, (size_t)length) == 0)
        message += length;
    (void)snprintf(task->error_code, sizeof task->error_code, "%s", err_name(code));
    (void)snprintf(task->error_message, sizeof task->error_message, "%s", message);
}

/* The attempt counts against the task. */
static void count_failure(struct task_row *task, int code, const char *message)
{
    task->failures++;
    set_error(task, code, message);
    if (err_may_be_of_the_device(code))
        memcpy(task->suspect, task->error_code, sizeof task->suspect);
}

/* -- Giving up leases ----------------------------------------------------------------------------------- */

/* The lease of a claimed task is over. */
static int expire_task(struct connection *connection, struct task_row *task,
                       const struct tasks_policy *policy, struct err *err)
{
    count_failure(task, ERR_TIMEOUT, "the worker did not report in time");
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

/* A lease that ends later than its length from now was given before the clock was set back. `lease_ms`, the
 * length that the caller gives, is a bound that the index can search by; a shorter lease may be cut by a
 * later call. */
int queue_cut_leases(struct connection *connection, int64_t now, int64_t lease_ms, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection,
                           "UPDATE tasks SET lease_until_ms = ?1 + lease_ms WHERE state = 'claimed' "
                           "AND lease_until_ms > ?2 AND lease_until_ms > ?1 + lease_ms",
                           err);
    if (code)
        return code;
    query_bind_int(&query, now);
    query_bind_int(&query, now + lease_ms);
    return query_run(&query, err);
}

/* When a holder of a lease last reported; 0 if nobody has one. */
static int find_last_report(struct connection *connection, int64_t *ret_at_ms, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection,
                           "SELECT max(lease_until_ms - lease_ms) FROM tasks WHERE state = 'claimed'", err);
    if (!code)
        code = query_run_int(&query, ret_at_ms, err);
    return code < 0 ? code : 0;
}

int queue_lengthen_leases(struct connection *connection, int64_t wall_ms, int64_t monotonic_ms,
                          struct err *err)
{
    struct query query;
    int64_t before_ms = connection->boot_ms, last_ms = 0;
    int code = before_ms ? 0 : find_last_report(connection, &last_ms, err);
    if (code)
        return code;
    connection->boot_ms = wall_ms - monotonic_ms;
    int64_t away_ms = before_ms ? connection->boot_ms - before_ms : wall_ms - last_ms;
    if (away_ms < AWAY_MS_MIN)
        return 0;
    code = query_begin(&query, connection,
                       "UPDATE tasks SET lease_until_ms = min(lease_until_ms + ?1, ?2 + lease_ms) "
                       "WHERE state = 'claimed' AND lease_until_ms < ?2 + lease_ms",
                       err);
    if (code)
        return code;
    query_bind_int(&query, away_ms);
    query_bind_int(&query, wall_ms);
    return query_run(&query, err);
}

/* A task whose lease is over: 1, or 0 if there is none. */
static int find_expired(struct connection *connection, int64_t now, struct task_row *ret_task,
                        struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection,
                           "SELECT " ROWS_TASK ROWS_TASK_FROM
                           "WHERE k.state = 'claimed' AND k.lease_until_ms <= ? LIMIT 1",
                           err);
    if (code)
        return code;
    query_bind_int(&query, now);
    if ((code = query_next(&query, err)) > 0)
        rows_read_task(&query, ret_task);
    return query_end(&query, code);
}

int queue_expire_all(struct connection *connection, const struct tasks_policy *policy, struct err *err)
{
    struct task_row task = {0};
    int64_t now = clock_wall_ms();
    int code;
    while ((code = find_expired(connection, now, &task, err)) > 0) {
        if ((code = expire_task(connection, &task, policy, err)))
            return code;
    }
    return code;
}

/* A claimed task of the worker, or of one below a name that ends with '/': 1, or 0 if there is none. */
static int find_of_worker(struct connection *connection, const char *worker, struct task_row *ret_task,
                          struct err *err)
{
    struct query query;
    int code =
        query_begin(&query, connection,
                    "SELECT " ROWS_TASK " FROM tasks k INDEXED BY tasks_lease "
                    "JOIN revisions r ON r.id = k.revision_id WHERE k.state = 'claimed' "
                    "AND CASE WHEN ?1 LIKE '%/' THEN substr(k.worker, 1, length(?1)) ELSE k.worker END = ?1 "
                    "LIMIT 1",
                    err);
    if (code)
        return code;
    query_bind_text(&query, worker);
    if ((code = query_next(&query, err)) > 0)
        rows_read_task(&query, ret_task);
    return query_end(&query, code);
}

int tasks_requeue_of_worker(struct store *store, const char *worker, const char *why,
                            const struct tasks_policy *policy, int64_t *ret_count, struct err *err)
{
    struct connection *connection = NULL;
    struct task_row task = {0};
    int64_t count = 0;
    int code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (code)
        return code;
    while ((code = find_of_worker(connection, worker, &task, err)) > 0) {
        if ((code = interrupt_task(connection, &task, queue_policy(policy), why, err)))
            break;
        count++;
    }
    code = store_write_end(store, code, err);
    if (!code && ret_count)
        *ret_count = count;
    return code;
}

/* -- A lease in use ------------------------------------------------------------------------------------- */

int queue_check_lease(const char *worker, int64_t lease_ms, struct err *err)
{
    if (!worker[0] || strlen(worker) >= STORE_WORKER_SIZE)
        return err_set(err, ERR_INVALID, "claim: a worker's name has 1 to %d bytes", STORE_WORKER_SIZE - 1);
    if (lease_ms < 1 || lease_ms > QUEUE_LEASE_MS_MAX)
        return err_set(err, ERR_INVALID, "claim: a lease is 1 ms to a day");
    return 0;
}

int queue_load_leased(struct connection *connection, const struct task_lease *lease,
                      struct task_row *ret_task, struct err *err)
{
    int code = moves_load_task(connection, lease->task_id, ret_task, err);
    if (code == ERR_NOT_FOUND)
        return err_set(err, ERR_CANCELLED, "task %lld is gone with its sweep", (long long)lease->task_id);
    if (code)
        return code;
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

/* Whether the lease was renewed a moment ago and nothing was fetched since: then there is nothing to write.
 * Heartbeats are frequent so that a lost lease is noticed soon. */
static int is_fresh(struct store *store, const struct task_lease *lease, int64_t lease_ms,
                    int64_t bytes_fetched, int *ret_is_fresh, struct err *err)
{
    struct connection *connection = NULL;
    struct task_row task = {0};
    int code = store_read_begin(store, &connection, err);
    if (code)
        return code;
    code = queue_load_leased(connection, lease, &task, err);
    store_read_end(store, connection);
    int64_t left_ms = task.lease_until_ms - clock_wall_ms();
    *ret_is_fresh = task.bytes_fetched == bytes_fetched && task.lease_ms == lease_ms && left_ms <= lease_ms &&
                    left_ms >= lease_ms - lease_ms / 16;
    return code;
}

int tasks_heartbeat(struct store *store, const struct task_lease *lease, int64_t lease_ms,
                    int64_t bytes_fetched, struct err *err)
{
    struct connection *connection = NULL;
    struct task_row task = {0};
    int fresh = 0, code = queue_check_lease(lease->worker, lease_ms, err);
    if (code)
        return code;
    if (bytes_fetched < 0 || bytes_fetched > LIMIT_TASK_BYTES)
        return err_set(err, ERR_INVALID, "heartbeat: the number of bytes is out of bounds");
    if ((code = is_fresh(store, lease, lease_ms, bytes_fetched, &fresh, err)) || fresh)
        return code;
    if ((code = store_write_begin(store, CONNECTION_DURABILITY_CRASH, &connection, err)))
        return code;
    if (!(code = queue_lengthen_leases(connection, clock_wall_ms(), clock_monotonic_ms(), err)) &&
        !(code = queue_load_leased(connection, lease, &task, err))) {
        task.lease_until_ms = clock_wall_ms() + lease_ms;
        task.lease_ms = lease_ms;
        task.bytes_fetched = bytes_fetched;
        code = moves_task(connection, &task, TASK_EVENT_HEARTBEAT, NULL, err);
    }
    return store_write_end(store, code, err);
}

static int fail(struct store *store, const struct task_lease *lease, const struct err *reason, int may_pass,
                const struct tasks_policy *policy, enum task_state *ret_state, struct err *err)
{
    struct connection *connection = NULL;
    struct task_row task = {0};
    enum task_event event = TASK_EVENT_FAIL;
    int code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (code)
        return code;
    policy = queue_policy(policy);
    if ((code = queue_load_leased(connection, lease, &task, err)))
        goto out;
    count_failure(&task, reason->code, reason->message);
    if (may_pass)
        event = task.failures >= policy->failures_max ? TASK_EVENT_EXHAUST : TASK_EVENT_RETRY;
    if (event == TASK_EVENT_RETRY)
        task.not_before_ms = clock_wall_ms() + backoff(policy, &task);
    code = moves_task(connection, &task, event, task.error_message, err);
    if (!code && event == TASK_EVENT_FAIL)
        code = hopeless_check(connection, &task, err);
out:
    code = store_write_end(store, code, err);
    if (!code && ret_state)
        *ret_state = task.state;
    return code;
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
    refused.code = TASKS_REFUSED;
    return fail(store, lease, &refused, 1, policy, ret_state, err);
}

int tasks_release(struct store *store, const struct task_lease *lease, const struct tasks_policy *policy,
                  struct err *err)
{
    struct connection *connection = NULL;
    struct task_row task = {0};
    int code = store_write_begin(store, CONNECTION_DURABILITY_CRASH, &connection, err);
    if (code)
        return code;
    if (!(code = queue_load_leased(connection, lease, &task, err)))
        code = interrupt_task(connection, &task, queue_policy(policy), "given back by its worker", err);
    return store_write_end(store, code, err);
}

/* Queues it for other workers at once; its error is `reason` (or NULL) until then. */
static int leave(struct store *store, const struct task_lease *lease, const struct err *reason,
                 const char *why, struct err *err)
{
    struct connection *connection = NULL;
    struct task_row task = {0};
    int code = store_write_begin(store, CONNECTION_DURABILITY_CRASH, &connection, err);
    if (code)
        return code;
    if (!(code = queue_load_leased(connection, lease, &task, err))) {
        task.not_before_ms = 0;
        if (reason)
            set_error(&task, reason->code, reason->message);
        code = moves_task(connection, &task, TASK_EVENT_INTERRUPT, reason ? task.error_message : why, err);
    }
    return store_write_end(store, code, err);
}

int tasks_leave(struct store *store, const struct task_lease *lease, const struct err *reason,
                struct err *err)
{
    return leave(store, lease, reason, NULL, err);
}

int tasks_decline(struct store *store, const struct task_lease *lease, const char *why, struct err *err)
{
    return leave(store, lease, NULL, why, err);
}
