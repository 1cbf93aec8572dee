/* What workers get next: leases of a clock that was set back, refused results, and keeping apart. */
#include "tests/unit/store/fixture.h"

#include <sqlite3.h>

static const struct tasks_policy QUICK = {
    .failures_max = 3, .interruptions_max = 3, .backoff_ms = 1, .backoff_max_ms = 4, .seed = 7};

static void lease_task(struct fixture *fixture, const char *worker, int64_t lease_ms, struct task_row *task,
                       struct task_lease *lease)
{
    OK(tasks_claim(fixture->store, worker, 0, lease_ms, &QUICK, task, NULL, &err));
    task_lease_of(task, lease);
}

static int record(struct fixture *fixture, const struct task_lease *lease, struct err *err)
{
    struct fixture_result *made = malloc(sizeof *made);
    char name[64];
    (void)snprintf(name, sizeof name, "task %lld", (long long)lease->task_id);
    fixture_result(made, name, 1);
    int rc = tasks_record(fixture->store, lease, &made->result, err);
    free(made);
    return rc;
}

static struct sweep_row get_sweep(struct fixture *fixture, int64_t id)
{
    struct sweep_row sweep;
    OK(sweeps_get(fixture->store, id, &sweep, &err));
    return sweep;
}

static void run_sql(const struct fixture *fixture, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(fixture->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(db);
}

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
    lease_task(fixture, "dead/1", 500, &other, &dead);
    run_sql(fixture, "UPDATE tasks SET lease_until_ms = lease_until_ms + 36000000");
    FAILS(ERR_NOT_FOUND, tasks_claim(fixture->store, "c", 0, 500, &QUICK, &other, &wait_ms, &err));
    assert_in_range(wait_ms, 1, 500);
    OK(tasks_get(fixture->store, task.id, &task, &err));
    assert_int_equal(task.state, TASK_STATE_CLAIMED);
    assert_in_range(task.lease_until_ms, clock_wall_ms() + LEASE_MS / 2, clock_wall_ms() + LEASE_MS);
    clock_sleep_ms(510);
    lease_task(fixture, "c", 500, &other, &dead);
    assert_int_equal(other.failures, 1);
    OK(tasks_heartbeat(fixture->store, &lease, LEASE_MS, 1, &err));
    OK(record(fixture, &lease, &err));
}

/* A refused result counts as an attempt, whatever the reason's code; others come before the worker that made
 * it. */
#define TASKS 64
#define WORKERS 4

/* One claim of a worker that has the revisions in near[0..*count). */
static int64_t claim_near(struct fixture *fixture, const char *worker, int64_t *near, size_t *count)
{
    struct task_row task;
    struct tasks_choice choice = {.near = near, .near_count = *count, .does_spread = 1};
    OK(tasks_claim_chosen(fixture->store, worker, &choice, LEASE_MS, &QUICK, &task, NULL, &err));
    near[0] = task.revision_id;
    *count = 1;
    return task.ordinal;
}

/* Workers that share a sweep walk along it apart from each other: few begin where they lack the revision
 * before. */
static void test_workers_keep_apart(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[TASKS + 1], last[WORKERS], near[WORKERS][1];
    size_t known[WORKERS] = {0};
    int is_claimed[TASKS] = {0}, jumps = 0;
    fixture_add_revisions(fixture, TASKS, ids);
    (void)fixture_sweep(fixture, ids, TASKS, 0);
    for (int i = 0; i < TASKS; i++) {
        int w = i % WORKERS;
        char name[16];
        (void)snprintf(name, sizeof name, "w%d/1", w);
        int64_t ordinal = claim_near(fixture, name, near[w], &known[w]);
        assert_in_range(ordinal, 0, TASKS - 1);
        assert_false(is_claimed[ordinal]);
        is_claimed[ordinal] = 1;
        jumps += i >= WORKERS && ordinal != last[w] + 1;
        last[w] = ordinal;
        if (i == 0)
            assert_int_equal(ordinal, 0);
        if (i == 1)
            assert_int_equal(ordinal, 32);
    }
    assert_in_range(jumps, 0, 2 * WORKERS);
}

/* Alone, and where others are done, a worker goes in step order; what failed waits its turn. */
static void test_worker_alone_goes_in_order(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[9], near[1];
    size_t known = 0;
    fixture_add_revisions(fixture, 8, ids);
    (void)fixture_sweep(fixture, ids, 8, 0);
    for (int64_t i = 0; i < 8; i++)
        assert_int_equal(claim_near(fixture, "w/1", near, &known), i);
}

static void test_refused_results(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[2], wait_ms = 0;
    struct task_row task;
    struct task_lease lease;
    enum task_state after;
    struct err reason = {.code = ERR_INVALID, .message = "another digest than the file's"};
    fixture_add_revisions(fixture, 1, ids);
    int64_t sweep = fixture_sweep(fixture, ids, 1, 0);
    lease_task(fixture, "node1/0", LEASE_MS, &task, &lease);
    OK(tasks_refuse(fixture->store, &lease, &reason, &QUICK, &after, &err));
    assert_int_equal(after, TASK_STATE_QUEUED);
    clock_sleep_ms(5);
    FAILS(ERR_NOT_FOUND, tasks_claim(fixture->store, "node1/0", 0, LEASE_MS, &QUICK, &task, &wait_ms, &err));
    assert_in_range(wait_ms, TASKS_REFUSED_MS / 2, TASKS_REFUSED_MS + 4);
    FAILS(ERR_NOT_FOUND, tasks_claim(fixture->store, "node1/7", 0, LEASE_MS, &QUICK, &task, NULL, &err));
    lease_task(fixture, "node10/0", LEASE_MS, &task, &lease);
    assert_int_equal(task.attempts, 2);
    assert_string_equal(task.error_code, "mismatch");
    OK(tasks_refuse(fixture->store, &lease, &reason, &QUICK, &after, &err));
    /* alone at last, it gets it back */
    run_sql(fixture, "UPDATE tasks SET worker = 'node1/0', not_before_ms = not_before_ms - 60001");
    lease_task(fixture, "node1/0", LEASE_MS, &task, &lease);
    OK(tasks_refuse(fixture->store, &lease, &reason, &QUICK, &after, &err));
    assert_int_equal(after, TASK_STATE_FAILED);
    struct sweep_row row = get_sweep(fixture, sweep);
    assert_int_equal(row.state, SWEEP_STATE_FAILED);
    assert_non_null(strstr(row.error_message, reason.message));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_workers_keep_apart, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_worker_alone_goes_in_order, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_lease_of_a_clock_that_was_ahead, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_refused_results, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
