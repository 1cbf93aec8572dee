/* The queue: what workers get next, refused results, and what is given back. */
#include "tests/unit/store/leases.h"
#include "tests/unit/store/sql.h"

#define TASKS 64
#define WORKERS 4

/* One claim of a worker that has the revisions in near[0..*count). */
static int64_t claim_near(struct fixture *fixture, const char *worker, int64_t *near, size_t *count)
{
    struct task_row task;
    struct tasks_choice choice = {.near = near, .near_count = *count, .does_spread = 1};
    OK(tasks_claim(fixture->store, BY(worker, LEASE_MS, &QUICK), &choice, &task, NULL, &err));
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

/* Also at the end of a sweep with more tasks than are looked at for one claim. */
static void test_workers_keep_apart_to_the_end(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[9], near[2][1];
    size_t known[2] = {0};
    char sql[512];
    fixture_add_revisions(fixture, 8, ids);
    (void)fixture_sweep(fixture, ids, 8, 0);
    (void)snprintf(sql, sizeof sql,
                   "UPDATE tasks SET ordinal = ordinal + %d;"
                   "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %d - 1) "
                   "INSERT INTO revisions (model_id, name, commit_sha, step, first_seen_ms) "
                   "SELECT 1, 'early' || i, i, i, 1 FROM n;"
                   "INSERT INTO tasks (sweep_id, revision_id, ordinal, state) "
                   "SELECT 1, id, step, 'done' FROM revisions WHERE name GLOB 'early*'",
                   TASKS_SPREAD_MAX, TASKS_SPREAD_MAX);
    (void)sql_run(fixture->path, sql);
    assert_int_equal(claim_near(fixture, "a/1", near[0], &known[0]), TASKS_SPREAD_MAX);
    assert_int_equal(claim_near(fixture, "b/1", near[1], &known[1]), TASKS_SPREAD_MAX + 4);
    assert_int_equal(claim_near(fixture, "a/1", near[0], &known[0]), TASKS_SPREAD_MAX + 1);
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

/* A refused result counts as an attempt, whatever the reason's code; others come before the worker that made
 * it. */
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
    FAILS(ERR_NOT_FOUND,
          tasks_claim(fixture->store, BY("node1/0", LEASE_MS, &QUICK), NULL, &task, &wait_ms, &err));
    assert_in_range(wait_ms, TASKS_REFUSED_MS / 2, TASKS_REFUSED_MS + 4);
    FAILS(ERR_NOT_FOUND,
          tasks_claim(fixture->store, BY("node1/7", LEASE_MS, &QUICK), NULL, &task, NULL, &err));
    lease_task(fixture, "node10/0", LEASE_MS, &task, &lease);
    assert_int_equal(task.attempts, 2);
    assert_string_equal(task.error_code, "mismatch");
    OK(tasks_refuse(fixture->store, &lease, &reason, &QUICK, &after, &err));
    /* alone at last, it gets it back */
    (void)sql_run(fixture->path,
                  "UPDATE tasks SET worker = 'node1/0', not_before_ms = not_before_ms - 60005");
    lease_task(fixture, "node1/0", LEASE_MS, &task, &lease);
    OK(tasks_refuse(fixture->store, &lease, &reason, &QUICK, &after, &err));
    assert_int_equal(after, TASK_STATE_FAILED);
    struct sweep_row row = get_sweep(fixture, sweep);
    assert_int_equal(row.state, SWEEP_STATE_FAILED);
    assert_non_null(strstr(row.error_message, reason.message));
}

/* A pause that is longer than any may be was given before the clock was set back: the task need not wait for
 * it. */
static void test_pause_of_a_clock_that_was_ahead(void **state)
{
    struct fixture *fixture = *state;
    static const struct tasks_policy HOURS = {
        .failures_max = 3, .interruptions_max = 3, .backoff_ms = 7200000, .backoff_max_ms = 7200000};
    static const struct tasks_policy MINUTES = {
        .failures_max = 3, .interruptions_max = 3, .backoff_ms = 60000, .backoff_max_ms = 300000};
    int64_t ids[2];
    struct task_row task;
    struct task_lease lease;
    struct err reason = {.code = ERR_NETWORK, .message = "reset"};
    fixture_add_revisions(fixture, 1, ids);
    (void)fixture_sweep(fixture, ids, 1, 0);
    OK(tasks_claim(fixture->store, BY("a", LEASE_MS, &HOURS), NULL, &task, NULL, &err));
    task_lease_of(&task, &lease);
    OK(tasks_fail(fixture->store, &lease, &reason, &HOURS, NULL, &err)); /* an hour at least */
    FAILS(ERR_NOT_FOUND, tasks_claim(fixture->store, BY("a", LEASE_MS, &HOURS), NULL, &task, NULL, &err));
    OK(tasks_claim(fixture->store, BY("a", LEASE_MS, &MINUTES), NULL, &task, NULL, &err));
    assert_int_equal(task.attempts, 2);
}

/* Leases that end again and again, and restarts again and again, fail the task at last. */
static void test_exhaustion(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[3], count = 0;
    struct task_row task;
    struct task_lease lease;
    fixture_add_revisions(fixture, 2, ids);
    int64_t sweep = fixture_sweep(fixture, ids, 2, 0);
    for (int i = 0; i < 3; i++) {
        lease_task(fixture, "a", 1, &task, &lease);
        assert_int_equal(task.ordinal, 0);
        clock_sleep_ms(5);
    }
    /* who asks ends leases, also if there is nothing for him */
    FAILS(ERR_NOT_FOUND, tasks_claim(fixture->store, BY("b", 1, &QUICK),
                                     &(struct tasks_choice){.sweep_id = sweep + 1}, &task, NULL, &err));
    OK(tasks_get(fixture->store, task.id, &task, &err));
    assert_int_equal(task.state, TASK_STATE_FAILED);
    assert_string_equal(task.error_code, "timeout");
    for (int i = 0; i < 3; i++) {
        lease_task(fixture, "host:1/0", LEASE_MS, &task, &lease);
        assert_int_equal(task.ordinal, 1);
        assert_int_equal(task.failures, 0);
        OK(tasks_requeue_of_worker(fixture->store, "host:1/", "stopped", &QUICK, &count, &err));
        assert_int_equal(count, 1);
    }
    assert_int_equal(get_sweep(fixture, sweep).state, SWEEP_STATE_FAILED);
    assert_int_equal(get_sweep(fixture, sweep).tasks[TASK_STATE_FAILED], 2);
}

/* At its start a daemon puts back its own tasks and no others. */
static void test_requeue_of_worker(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[4], count = 0;
    struct task_row task;
    struct task_lease lease, remote;
    fixture_add_revisions(fixture, 3, ids);
    (void)fixture_sweep(fixture, ids, 3, 0);
    lease_task(fixture, "local/1", LEASE_MS, &task, &lease);
    lease_task(fixture, "local/2", LEASE_MS, &task, &lease);
    lease_task(fixture, "remote/local/1", LEASE_MS, &task, &remote);
    fixture_reopen(fixture);
    OK(tasks_requeue_of_worker(fixture->store, "local/", "stopped", NULL, &count, &err));
    assert_int_equal(count, 2);
    FAILS(ERR_CONFLICT, record(fixture, &lease, &err));
    OK(record(fixture, &remote, &err));
    lease_task(fixture, "local/1", LEASE_MS, &task, &lease);
    assert_int_equal(task.ordinal, 0);
    assert_int_equal(task.attempts, 2);
    assert_int_equal(task.interruptions, 1);
}

/* A remote worker gives back what it has itself, not what one has whose name only begins alike. */
static void test_requeue_of_one_worker(void **state)
{
    static const char *const names[] = {"w/1", "w/10", "w/1/0", "ww/1"};
    struct fixture *fixture = *state;
    int64_t ids[5], count = 0;
    struct task_row task;
    struct task_lease leases[4];
    fixture_add_revisions(fixture, 4, ids);
    (void)fixture_sweep(fixture, ids, 4, 0);
    for (size_t i = 0; i < 4; i++)
        lease_task(fixture, names[i], LEASE_MS, &task, &leases[i]);
    OK(tasks_requeue_of_worker(fixture->store, "w", "did not hear of it", NULL, &count, &err));
    assert_int_equal(count, 0);
    OK(tasks_requeue_of_worker(fixture->store, "w/1", "did not hear of it", NULL, &count, &err));
    assert_int_equal(count, 1);
    FAILS(ERR_CONFLICT, record(fixture, &leases[0], &err));
    OK(record(fixture, &leases[1], &err));
    OK(tasks_requeue_of_worker(fixture->store, "w/", "all stopped", NULL, &count, &err));
    assert_int_equal(count, 1);
    FAILS(ERR_CONFLICT, record(fixture, &leases[2], &err));
    OK(record(fixture, &leases[3], &err));
}

static int were_with_others(struct fixture *fixture, int64_t sweep, const char *name, int64_t before_ms)
{
    int were = -1;
    OK(tasks_were_with_others(fixture->store, sweep, name, before_ms, &were, &err));
    return were;
}

/* A worker may not read a repository, which is nobody's failure as long as another may. */
static void test_left_to_others(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[3];
    struct task_row task, left;
    struct task_lease lease, other;
    struct err reason = ERR_INIT;
    fixture_add_revisions(fixture, 2, ids);
    int64_t sweep = fixture_sweep(fixture, ids, 2, 0), later = clock_wall_ms() + 60000;
    FAILS(ERR_NOT_FOUND, tasks_find_left(fixture->store, sweep, &left, &err));
    assert_int_equal(were_with_others(fixture, sweep, "w", later), 0);
    lease_task(fixture, "w/1", LEASE_MS, &task, &lease);
    (void)err_set(&reason, ERR_GATED, "revision %s: it is gated", task.revision);
    OK(tasks_leave(fixture->store, &lease, &reason, &err));
    FAILS(ERR_CONFLICT, tasks_leave(fixture->store, &lease, &reason, &err));
    OK(tasks_find_left(fixture->store, sweep, &left, &err));
    assert_int_equal(left.id, task.id);
    assert_int_equal(left.state, TASK_STATE_QUEUED);
    assert_int_equal(left.failures + left.interruptions + left.not_before_ms, 0);
    assert_string_equal(left.error_code, "gated");
    assert_string_equal(left.error_message, "it is gated");
    assert_int_equal(were_with_others(fixture, sweep, "w", later), 0);
    assert_int_equal(were_with_others(fixture, sweep, "w", task.claimed_ms), 0);
    assert_int_equal(were_with_others(fixture, sweep, "w/1", later), 1);
    assert_int_equal(were_with_others(fixture, sweep, "ww", later), 1);
    assert_int_equal(were_with_others(fixture, sweep + 1, "ww", later), 0);
    lease_task(fixture, "v/0", LEASE_MS, &task, &other);
    assert_int_equal(task.id, left.id);
    FAILS(ERR_NOT_FOUND, tasks_find_left(fixture->store, sweep, &left, &err));
    OK(record(fixture, &other, &err));
    OK(tasks_get(fixture->store, task.id, &task, &err));
    assert_string_equal(task.error_code, "");
}

/* How the second task of a sweep, whose first one somebody has, could be chosen, each alone. */
static const struct way {
    size_t count; /* of the sweep's tasks */
    const char *sql;
    int does_spread, is_near;
} ways[] = {
    {2, "", 0, 0},                                                          /* in step order */
    {2, "", 1, 0},                                                          /* apart from others */
    {2, "", 0, 1},                                                          /* behind what the worker has */
    {2, "UPDATE tasks SET not_before_ms = 1 WHERE state = 'queued'", 0, 0}, /* its pause is over */
    {10,
     "UPDATE tasks SET state = 'failed', error_code = 'format' WHERE state = 'queued' AND ordinal > 1;"
     "UPDATE tasks SET attempts = 1 WHERE state = 'queued';"
     "UPDATE sweeps SET tasks_failed = 8, tasks_queued = 1 WHERE tasks_queued = 9",
     0, 0}, /* begun before eight failed alike */
};

/* A revision that is being measured is in no way begun for another sweep, too. */
static void test_shared_revision_is_passed_over_in_each_way(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[11];
    fixture_add_revisions(fixture, 10, ids);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct task_row task;
        struct task_lease lease;
        const struct tasks_choice choice = {
            .does_spread = ways[i].does_spread, .near = ids, .near_count = (size_t)ways[i].is_near};
        (void)fixture_sweep(fixture, &ids[1], 1, 0);
        lease_task(fixture, "a/1", LEASE_MS, &task, &lease);
        const int64_t sweep = fixture_sweep(fixture, ids, ways[i].count, 0);
        OK(tasks_claim(fixture->store, BY("b/1", LEASE_MS, NULL), NULL, &task, NULL, &err));
        assert_int_equal(task.revision_id, ids[0]);
        (void)sql_run(fixture->path, ways[i].sql);
        const struct tasks_claimant *neighbour = BY("b/2", LEASE_MS, NULL);
        FAILS(ERR_NOT_FOUND, tasks_claim(fixture->store, neighbour, &choice, &task, NULL, &err));
        OK(record(fixture, &lease, &err));
        OK(tasks_claim(fixture->store, neighbour, &choice, &task, NULL, &err));
        assert_int_equal(task.revision_id, ids[1]);
        OK(sweeps_cancel(fixture->store, sweep, &err));
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_shared_revision_is_passed_over_in_each_way),
        CASE(test_workers_keep_apart),
        CASE(test_workers_keep_apart_to_the_end),
        CASE(test_worker_alone_goes_in_order),
        CASE(test_refused_results),
        CASE(test_pause_of_a_clock_that_was_ahead),
        CASE(test_exhaustion),
        CASE(test_requeue_of_worker),
        CASE(test_requeue_of_one_worker),
        CASE(test_left_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
