/* Leases: how they are kept, lengthened and lost, whatever the clocks do. */
#include "store/queue.h"
#include "tests/unit/store/leases.h"
#include "tests/unit/store/sql.h"

#include <pthread.h>

#define LOCK_MS 2000
#define CLOCKS_MS 900 /* two clocks are read one after the other, on a busy machine long after */

/* The clock is set back by ten hours: a lease lasts no longer than its length all the same, and is not lost,
 * since its worker may live. */
static void test_lease_of_a_clock_that_was_ahead(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[3], wait_ms = 0;
    struct task_row task, other;
    struct task_lease lease, dead;
    fixture_add_revisions(fixture, 2, ids);
    (void)fixture_sweep(fixture, ids, 2, 0);
    lease_task(fixture, "living/1", LEASE_MS, &task, &lease);
    lease_task(fixture, "dead/1", LEASE_MS / 2, &other, &dead);
    (void)sql_run(fixture->path, "UPDATE tasks SET lease_until_ms = lease_until_ms + 36000000");
    FAILS(ERR_NOT_FOUND,
          tasks_claim(fixture->store, BY("c", LEASE_MS, &QUICK), NULL, &other, &wait_ms, &err));
    assert_in_range(wait_ms, 1, LEASE_MS / 2);
    OK(tasks_get(fixture->store, task.id, &task, &err));
    assert_int_equal(task.state, TASK_STATE_CLAIMED);
    assert_in_range(task.lease_until_ms, clock_wall_ms() + LEASE_MS / 2, clock_wall_ms() + LEASE_MS);
    (void)sql_run(fixture->path, "UPDATE tasks SET lease_until_ms = 1 WHERE worker = 'dead/1'");
    lease_task(fixture, "c", LEASE_MS, &other, &dead);
    assert_int_equal(other.failures, 1);
    OK(tasks_heartbeat(fixture->store, &lease, LEASE_MS, 1, &err));
    OK(record(fixture, &lease, &err));
}

static int lengthen(struct fixture *fixture, int64_t wall_ms, int64_t monotonic_ms, struct err *err)
{
    struct connection *connection = NULL;
    int code = store_write_begin(fixture->store, CONNECTION_DURABILITY_CRASH, &connection, err);
    return code ? code
                : store_write_end(fixture->store,
                                  queue_lengthen_leases(connection, wall_ms, monotonic_ms, err), err);
}

/* While the daemon is away nobody can report: whoever claims first when it is back takes nothing from the
 * others. */
static void test_leases_outlast_a_daemon_that_was_away(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[2], wait_ms = 0;
    struct task_row task, other;
    struct task_lease lease;
    fixture_add_revisions(fixture, 1, ids);
    (void)fixture_sweep(fixture, ids, 1, 0);
    lease_task(fixture, "living/1", LEASE_MS, &task, &lease);
    (void)sql_run(fixture->path, "UPDATE tasks SET lease_until_ms = lease_until_ms - 36000000");
    store_close(fixture->store);
    OK(store_open(fixture->path, &fixture->store, &err));
    FAILS(ERR_NOT_FOUND, tasks_claim(fixture->store, BY("c", 500, &QUICK), NULL, &other, &wait_ms, &err));
    assert_in_range(wait_ms, LEASE_MS / 2, LEASE_MS);
    OK(tasks_get(fixture->store, task.id, &other, &err));
    assert_int_equal(other.failures, 0);
    OK(record(fixture, &lease, &err));
}

/* The first transaction after a start fails, as on a full disk: the next one lengthens the leases. */
static void test_a_rollback_shortens_no_lease(void **state)
{
    struct fixture *fixture = *state;
    struct connection *connection = NULL;
    int64_t ids[2];
    struct task_row task, other;
    struct task_lease lease;
    fixture_add_revisions(fixture, 1, ids);
    (void)fixture_sweep(fixture, ids, 1, 0);
    lease_task(fixture, "living/1", LEASE_MS, &task, &lease);
    (void)sql_run(fixture->path, "UPDATE tasks SET lease_until_ms = lease_until_ms - 36000000");
    fixture_reopen(fixture);
    OK(store_write_begin(fixture->store, CONNECTION_DURABILITY_CRASH, &connection, &err));
    OK(queue_lengthen_leases(connection, clock_wall_ms(), clock_monotonic_ms(), &err));
    FAILS(ERR_NO_SPACE,
          store_write_end(fixture->store, err_set(&err, ERR_NO_SPACE, "the disk is full"), &err));
    FAILS(ERR_NOT_FOUND, tasks_claim(fixture->store, BY("c", 500, &QUICK), NULL, &other, NULL, &err));
    OK(tasks_get(fixture->store, task.id, &other, &err));
    assert_int_equal(other.failures, 0);
    OK(record(fixture, &lease, &err));
}

/* Who had died before the daemon went has no more time for that, however often it comes back. */
static void test_leases_of_the_dead_end(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[3];
    struct task_row dead, living, other;
    struct task_lease lease;
    fixture_add_revisions(fixture, 2, ids);
    (void)fixture_sweep(fixture, ids, 2, 0);
    lease_task(fixture, "dead/1", LEASE_MS, &dead, &lease);
    lease_task(fixture, "living/1", LEASE_MS, &living, &lease);
    (void)sql_run(
        fixture->path,
        "UPDATE tasks SET lease_until_ms = lease_until_ms - 7 * lease_ms / 8 WHERE worker = 'dead/1'");
    OK(tasks_get(fixture->store, dead.id, &dead, &err));
    for (int i = 0; i < 3; i++) {
        store_close(fixture->store);
        OK(store_open(fixture->path, &fixture->store, &err));
        FAILS(ERR_NOT_FOUND, tasks_claim(fixture->store, BY("c", 500, &QUICK), NULL, &other, NULL, &err));
        OK(tasks_heartbeat(fixture->store, &lease, LEASE_MS, 1, &err));
    }
    OK(tasks_get(fixture->store, dead.id, &other, &err));
    assert_true(other.lease_until_ms < dead.lease_until_ms + LEASE_MS / 2);
}

/* The machine sleeps for an hour, so the wall clock runs ahead of the other. What was over before is over. */
static void test_leases_outlast_a_machine_that_slept(void **state)
{
    struct fixture *fixture = *state;
    const int64_t now = clock_wall_ms(), hour_ms = 3600000;
    int64_t ids[2];
    struct task_row task, slept;
    struct task_lease lease;
    fixture_add_revisions(fixture, 1, ids);
    (void)fixture_sweep(fixture, ids, 1, 0);
    lease_task(fixture, "living/1", LEASE_MS, &task, &lease);
    OK(lengthen(fixture, now, 5000, &err));
    OK(tasks_get(fixture->store, task.id, &task, &err));
    OK(lengthen(fixture, now + hour_ms + 2000, 7000, &err));
    OK(tasks_get(fixture->store, task.id, &slept, &err));
    assert_int_equal(slept.lease_until_ms, task.lease_until_ms + hour_ms);
    OK(lengthen(fixture, now + 3 * hour_ms, 7000 + 2 * hour_ms - 2000, &err));
    OK(lengthen(fixture, now + 4 * hour_ms, 7000 + 2 * hour_ms - 1000, &err));
    OK(tasks_get(fixture->store, task.id, &task, &err));
    assert_true(task.lease_until_ms < now + 3 * hour_ms);
}

static void set_busy_timeout(struct fixture *fixture, int timeout_ms)
{
    struct connection *connection = NULL;
    OK(store_write_begin(fixture->store, CONNECTION_DURABILITY_CRASH, &connection, &err));
    assert_int_equal(sqlite3_busy_timeout(connection->db, timeout_ms), SQLITE_OK);
    OK(store_write_end(fixture->store, 0, &err));
}

/* While another program keeps the database locked nobody can report. */
static void test_leases_outlast_a_lock(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[2];
    struct task_row task, other;
    struct task_lease lease;
    fixture_add_revisions(fixture, 1, ids);
    (void)fixture_sweep(fixture, ids, 1, 0);
    lease_task(fixture, "living/1", LEASE_MS, &task, &lease);
    (void)sql_run(fixture->path, "UPDATE tasks SET lease_until_ms = lease_until_ms - lease_ms / 2");
    OK(tasks_get(fixture->store, task.id, &task, &err));
    set_busy_timeout(fixture, 1);
    sqlite3 *db = sql_open(fixture->path);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    const int64_t since_ms = clock_monotonic_ms();
    FAILS(ERR_TIMEOUT, tasks_heartbeat(fixture->store, &lease, LEASE_MS, 1, &err));
    const int64_t failed_ms = clock_monotonic_ms();
    clock_sleep_ms(LOCK_MS);
    FAILS(ERR_TIMEOUT, tasks_heartbeat(fixture->store, &lease, LEASE_MS, 1, &err));
    const int64_t locked_ms = clock_monotonic_ms() - failed_ms;
    (void)sqlite3_close(db);
    set_busy_timeout(fixture, CONNECTION_BUSY_MS);
    FAILS(ERR_NOT_FOUND, tasks_claim(fixture->store, BY("c", LEASE_MS, &QUICK), NULL, &other, NULL, &err));
    OK(tasks_get(fixture->store, task.id, &other, &err));
    assert_in_range(other.lease_until_ms, task.lease_until_ms + locked_ms - CLOCKS_MS,
                    task.lease_until_ms + (clock_monotonic_ms() - since_ms) + CLOCKS_MS);
    OK(store_check_lock(fixture->store, &err));
}

/* A lease that is over is taken over by another, and what the first hands in is refused. */
static void test_expired_lease_is_taken_over(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[2];
    struct task_row task;
    struct task_lease lost, lease;
    fixture_add_revisions(fixture, 1, ids);
    int64_t sweep = fixture_sweep(fixture, ids, 1, 0);
    lease_task(fixture, "a", 1, &task, &lost);
    clock_sleep_ms(5);
    lease_task(fixture, "b", LEASE_MS, &task, &lease);
    assert_int_equal(task.attempts, 2);
    assert_int_equal(task.failures, 1);
    FAILS(ERR_CONFLICT, record(fixture, &lost, &err));
    FAILS(ERR_CONFLICT, tasks_heartbeat(fixture->store, &lost, LEASE_MS, 1, &err));
    FAILS(ERR_CONFLICT, tasks_release(fixture->store, &lost, NULL, &err));
    struct err reason = {.code = ERR_NETWORK, .message = "gone"};
    FAILS(ERR_CONFLICT, tasks_fail(fixture->store, &lost, &reason, NULL, NULL, &err));
    OK(record(fixture, &lease, &err));
    OK(record(fixture, &lease, &err)); /* the answer was lost: the same again is fine, and changes nothing */
    FAILS(ERR_CONFLICT, record(fixture, &lost, &err));
    struct task_lease older = lease, other = lease; /* of the same worker before, and of another one */
    older.attempt--;
    (void)snprintf(other.worker, sizeof other.worker, "c");
    FAILS(ERR_CONFLICT, record(fixture, &older, &err));
    FAILS(ERR_CONFLICT, record(fixture, &other, &err));
    assert_int_equal(get_sweep(fixture, sweep).tasks[TASK_STATE_DONE], 1);
}

/* A lease that is over but that nobody took still counts; the same worker's older attempt does not. */
static void test_late_but_not_lost(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[3];
    struct task_row task;
    struct task_lease lease, older;
    fixture_add_revisions(fixture, 2, ids);
    (void)fixture_sweep(fixture, ids, 2, 0);
    lease_task(fixture, "a", 1, &task, &lease);
    clock_sleep_ms(5);
    OK(record(fixture, &lease, &err));
    lease_task(fixture, "a", 1, &task, &older);
    clock_sleep_ms(5);
    lease_task(fixture, "a", LEASE_MS, &task, &lease);
    assert_int_equal(older.task_id, lease.task_id);
    FAILS(ERR_CONFLICT, record(fixture, &older, &err));
    OK(record(fixture, &lease, &err));
}

/* Without progress a lease is lengthened once a 16th of it is over, and where it ends later than it may: of a
 * clock that was set back. */
static void check_renewal(struct fixture *fixture, const struct task_lease *lease, int64_t bytes)
{
    struct task_row before, after;
    OK(tasks_get(fixture->store, lease->task_id, &before, &err));
    assert_int_equal(before.lease_ms, 2 * LEASE_MS);
    for (int back = 0; back <= 1; back++) {
        char change[160];
        (void)snprintf(change, sizeof change,
                       "UPDATE tasks SET lease_until_ms = lease_until_ms %s WHERE id = %lld",
                       back ? "+ 3600000" : "- 7600", (long long)lease->task_id);
        (void)sql_run(fixture->path, change);
        uint64_t version = store_version(fixture->store);
        OK(tasks_heartbeat(fixture->store, lease, 2 * LEASE_MS, bytes, &err));
        assert_int_equal(store_version(fixture->store), version + 1);
        OK(tasks_get(fixture->store, lease->task_id, &after, &err));
        assert_in_range(after.lease_until_ms, before.lease_until_ms, clock_wall_ms() + 2 * LEASE_MS);
    }
}

/* Heartbeats keep a lease and show progress. */
static void test_heartbeat(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[2];
    struct task_row task;
    struct task_lease lease;
    fixture_add_revisions(fixture, 1, ids);
    int64_t sweep = fixture_sweep(fixture, ids, 1, 0);
    lease_task(fixture, "a", 1, &task, &lease);
    OK(tasks_heartbeat(fixture->store, &lease, LEASE_MS, 400, &err));
    OK(tasks_heartbeat(fixture->store, &lease, LEASE_MS, 700, &err));
    assert_int_equal(get_sweep(fixture, sweep).bytes_fetched, 700);
    /* Asked often, to learn of a cancelled task soon: what is fresh is not written again. */
    uint64_t version = store_version(fixture->store);
    OK(tasks_heartbeat(fixture->store, &lease, LEASE_MS, 700, &err));
    assert_int_equal(store_version(fixture->store), version);
    OK(tasks_heartbeat(fixture->store, &lease, 2 * LEASE_MS, 700, &err));
    assert_int_equal(store_version(fixture->store), version + 1);
    check_renewal(fixture, &lease, 700);
    clock_sleep_ms(5);
    FAILS(ERR_NOT_FOUND, tasks_claim(fixture->store, BY("b", LEASE_MS, NULL), NULL, &task, NULL, &err));
    FAILS(ERR_INVALID, tasks_heartbeat(fixture->store, &lease, LEASE_MS, -1, &err));
    /* What many tasks say must add up to a number that the sweep can have. */
    FAILS(ERR_INVALID, tasks_heartbeat(fixture->store, &lease, LEASE_MS, LIMIT_TASK_BYTES + 1, &err));
    assert_true(LIMIT_TASK_BYTES <= INT64_MAX / LIMIT_HUB_REFS);
    FAILS(ERR_INVALID, tasks_heartbeat(fixture->store, &lease, 0, 1, &err));
    OK(tasks_release(fixture->store, &lease, NULL, &err));
    lease_task(fixture, "b", LEASE_MS, &task, &lease);
    assert_int_equal(get_sweep(fixture, sweep).bytes_fetched, 0); /* a new attempt begins anew */
}

struct late {
    struct fixture *fixture;
    struct task_row task;
    int code;
};

static void *claim(void *context)
{
    struct late *late = context;
    struct err ignored = ERR_INIT;
    late->code =
        tasks_claim(late->fixture->store, BY("late/1", LEASE_MS, &QUICK), NULL, &late->task, NULL, &ignored);
    return NULL;
}

/* A claim that has to wait for a long write judges by the time when it goes on, as those do who have renewed
 * their leases meanwhile. (If the thread begins only after the write, nothing is shown.) */
static void test_a_claim_that_waited(void **state)
{
    struct fixture *fixture = *state;
    struct connection *connection = NULL;
    struct late late = {.fixture = fixture};
    int64_t ids[2];
    pthread_t thread;
    fixture_add_revisions(fixture, 1, ids);
    (void)fixture_sweep(fixture, ids, 1, 0);
    OK(store_write_begin(fixture->store, CONNECTION_DURABILITY_CRASH, &connection, &err));
    assert_int_equal(pthread_create(&thread, NULL, claim, &late), 0);
    clock_sleep_ms(50);
    const int64_t end_ms = clock_wall_ms();
    OK(store_write_end(fixture->store, 0, &err));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(late.code, 0);
    assert_true(late.task.claimed_ms >= end_ms);
    assert_true(late.task.lease_until_ms >= end_ms + LEASE_MS);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_lease_of_a_clock_that_was_ahead),
        CASE(test_leases_outlast_a_daemon_that_was_away),
        CASE(test_a_rollback_shortens_no_lease),
        CASE(test_leases_outlast_a_machine_that_slept),
        CASE(test_leases_outlast_a_lock),
        CASE(test_leases_of_the_dead_end),
        CASE(test_expired_lease_is_taken_over),
        CASE(test_late_but_not_lost),
        CASE(test_heartbeat),
        CASE(test_a_claim_that_waited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
