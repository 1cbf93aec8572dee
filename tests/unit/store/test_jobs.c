/* Jobs: rows that outlive a restart, changes that followers of the sweep see, and what the queue needs. */
#include "tests/unit/store/fixture.h"

#include "store/jobs.h"

struct seen {
    struct job_row rows[8];
    int count;
    int64_t sweeps[8], tasks[8];
};

static int see(void *context, const struct job_row *row)
{
    struct seen *seen = context;
    seen->rows[seen->count++] = *row;
    return 0;
}

static int see_demand(void *context, int64_t sweep_id, int64_t tasks)
{
    struct seen *seen = context;
    seen->sweeps[seen->count] = sweep_id;
    seen->tasks[seen->count++] = tasks;
    return 0;
}

static uint64_t sweep_version(struct fixture *fixture, int64_t id)
{
    struct sweep_row row;
    OK(sweeps_get(fixture->store, id, &row, &err));
    return row.version;
}

static void test_a_row_lives(void **state)
{
    struct fixture *fixture = *state;
    struct job_row job;
    struct seen seen = {0};
    int64_t revisions[3];
    fixture_add_revisions(fixture, 2, revisions);
    int64_t sweep = fixture_sweep(fixture, revisions, 2, 0);
    (void)fixture_measure(fixture, "one", 1);
    uint64_t version = sweep_version(fixture, sweep);
    OK(jobs_create(fixture->store, sweep, 2, &job, &err));
    assert_int_equal(job.state, JOB_STATE_SUBMITTING);
    assert_int_equal(job.tasks_ended, 1);
    assert_true(sweep_version(fixture, sweep) > version);

    job.job_id = 4711;
    job.state = JOB_STATE_RUNNING;
    job.running = 2;
    (void)snprintf(job.reason, sizeof job.reason, "Priority");
    version = sweep_version(fixture, sweep);
    OK(jobs_update(fixture->store, &job, &err));
    assert_true(sweep_version(fixture, sweep) > version);
    version = sweep_version(fixture, sweep);
    OK(jobs_update(fixture->store, &job, &err)); /* nothing new: nobody is woken */
    assert_int_equal(sweep_version(fixture, sweep), version);

    fixture_reopen(fixture);
    OK(jobs_list_live(fixture->store, see, &seen, &err));
    assert_int_equal(seen.count, 1);
    assert_memory_equal(&seen.rows[0], &job, offsetof(struct job_row, reason));
    assert_string_equal(seen.rows[0].reason, "Priority");
    assert_int_equal(seen.rows[0].sweep_state, SWEEP_STATE_RUNNING);

    struct jobs_counts counts;
    OK(jobs_count(fixture->store, &counts, &err));
    assert_int_equal(counts.submitted, 1);
    assert_int_equal(counts.running, 2);
    job.state = JOB_STATE_ENDED;
    job.running = 0;
    job.completed = 2;
    OK(jobs_update(fixture->store, &job, &err));
    seen.count = 0;
    OK(jobs_list_live(fixture->store, see, &seen, &err));
    assert_int_equal(seen.count, 0);
    OK(jobs_count(fixture->store, &counts, &err));
    assert_int_equal(counts.submitted, 1);
    assert_int_equal(counts.running, 0);
}

/* What retention deletes stays counted: an array that did nothing cannot seem to have done something. */
static void test_totals_outlive_their_sweeps(void **state)
{
    struct fixture *fixture = *state;
    int64_t revisions[2], before = 0, after = 0, pruned = 0;
    struct job_row job;
    struct jobs_counts counts;
    fixture_add_revisions(fixture, 1, revisions);
    for (int i = 0; i < 2; i++) { /* a sweep with the newest task of a revision would stay */
        int64_t sweep = fixture_sweep(fixture, revisions, 1, 0);
        (void)fixture_measure(fixture, "one", 1);
        OK(jobs_create(fixture->store, sweep, 2, &job, &err));
        job.job_id = 4711 + i;
        job.state = i ? JOB_STATE_RUNNING : JOB_STATE_ENDED;
        OK(jobs_update(fixture->store, &job, &err));
        OK(jobs_update(fixture->store, &job, &err));
    }
    OK(jobs_count_ended_tasks(fixture->store, &before, &err));
    assert_int_equal(before, 2);
    OK(sweeps_prune(fixture->store, INT64_MAX, &(int64_t){0}, 10, &pruned, &(int){0}, &err));
    assert_int_equal(pruned, 1);
    OK(jobs_count_ended_tasks(fixture->store, &after, &err));
    assert_int_equal(after, before);
    OK(jobs_count(fixture->store, &counts, &err));
    assert_int_equal(counts.submitted, 2);
}

/* What others did between two attempts is not the work of the second. */
static void test_a_refused_row_is_submitted_again(void **state)
{
    struct fixture *fixture = *state;
    int64_t revisions[3], ended = 0;
    struct job_row job;
    struct seen seen = {0};
    fixture_add_revisions(fixture, 2, revisions);
    int64_t sweep = fixture_sweep(fixture, revisions, 2, 0);
    OK(jobs_create(fixture->store, sweep, 2, &job, &err));
    job.state = JOB_STATE_REFUSED;
    OK(jobs_update(fixture->store, &job, &err));
    (void)fixture_measure(fixture, "one", 1);
    job.state = JOB_STATE_SUBMITTING;
    job.attempts++;
    OK(jobs_update(fixture->store, &job, &err));
    (void)fixture_measure(fixture, "two", 1);
    job.state = JOB_STATE_PENDING;
    job.job_id = 4711;
    OK(jobs_update(fixture->store, &job, &err)); /* tasks that end from the submission on count for it */
    OK(jobs_list_live(fixture->store, see, &seen, &err));
    assert_int_equal(seen.rows[0].tasks_ended, 1);
    OK(jobs_count_ended_tasks(fixture->store, &ended, &err));
    assert_int_equal(ended, 2);
}

static void test_of_a_sweep(void **state)
{
    struct fixture *fixture = *state;
    struct job_row jobs[3];
    struct seen seen = {0};
    int64_t revisions[2];
    fixture_add_revisions(fixture, 1, revisions);
    int64_t first = fixture_sweep(fixture, revisions, 1, 0), second = fixture_sweep(fixture, revisions, 1, 0);
    OK(jobs_create(fixture->store, first, 1, &jobs[0], &err));
    OK(jobs_create(fixture->store, second, 1, &jobs[1], &err));
    OK(jobs_create(fixture->store, first, 1, &jobs[2], &err));
    OK(jobs_list(fixture->store, first, 10, see, &seen, &err));
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.rows[0].id, jobs[2].id);
    assert_int_equal(seen.rows[1].id, jobs[0].id);
    seen.count = 0;
    OK(jobs_list(fixture->store, first, 1, see, &seen, &err));
    assert_int_equal(seen.count, 1);
    seen.count = 0;
    OK(jobs_list_all(fixture->store, NULL, 0, 10, see, &seen, &err)); /* of all sweeps */
    assert_int_equal(seen.count, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(seen.rows[i].id, jobs[2 - i].id);
    seen.count = 0;
    OK(jobs_list_all(fixture->store, NULL, jobs[2].id, 1, see, &seen, &err));
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.rows[0].id, jobs[1].id);
    jobs[1].state = JOB_STATE_ENDED;
    jobs[1].ended_ms = 5;
    OK(jobs_update(fixture->store, &jobs[1], &err));
    enum job_state wanted = JOB_STATE_ENDED;
    seen.count = 0;
    OK(jobs_list_all(fixture->store, &wanted, 0, 10, see, &seen, &err));
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.rows[0].id, jobs[1].id);
    seen.count = 0;
    OK(jobs_list_all(fixture->store, &wanted, jobs[1].id, 10, see, &seen, &err));
    assert_int_equal(seen.count, 0);
    FAILS(ERR_NOT_FOUND, jobs_create(fixture->store, 99, 1, &jobs[0], &err));
    jobs[0].id = 99;
    FAILS(ERR_NOT_FOUND, jobs_update(fixture->store, &jobs[0], &err));
}

static void test_demand(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0};
    struct task_row task;
    struct task_lease lease;
    struct err reason = {.code = ERR_NETWORK, .message = "broke off"};
    struct tasks_policy policy = {
        .failures_max = 5, .interruptions_max = 5, .backoff_ms = 3600000, .backoff_max_ms = 3600000};
    const struct jobs_question question = {
        .ours = "slurm-", .pause_ms_max = 3600000, .tasks_max = 100, .limit = 10};
    struct jobs_question other = question;
    int64_t revisions[5];
    fixture_add_revisions(fixture, 4, revisions);
    int64_t low = fixture_sweep(fixture, revisions, 1, 0), high = fixture_sweep(fixture, revisions, 4, 5);
    OK(jobs_demand(fixture->store, &question, see_demand, &seen, &err));
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.sweeps[0], high);
    assert_int_equal(seen.tasks[0], 4);
    assert_int_equal(seen.sweeps[1], low);
    assert_int_equal(seen.tasks[1], 1);

    /* A task that this daemon measures needs no job, one that a job measures does; one in a pause does not.
     */
    fixture_claim(fixture, "local/1", &task);
    fixture_claim(fixture, "slurm-12_0@n1/0", &task);
    fixture_claim(fixture, "slurm-12_1@n1/0", &task);
    task_lease_of(&task, &lease);
    OK(tasks_fail(fixture->store, &lease, &reason, &policy, NULL, &err));
    seen.count = 0;
    OK(jobs_demand(fixture->store, &question, see_demand, &seen, &err));
    assert_int_equal(seen.sweeps[0], high);
    assert_int_equal(seen.tasks[0], 2);
    /* But for one that is longer than any may be: the clock was set back meanwhile. */
    seen.count = 0;
    other.pause_ms_max = 1000;
    OK(jobs_demand(fixture->store, &other, see_demand, &seen, &err));
    assert_int_equal(seen.tasks[0], 3);
    /* One of somebody who has gone needs a job, too: nobody else may ever ask for it. */
    seen.count = 0;
    other = question;
    other.over_ms = clock_wall_ms();
    OK(jobs_demand(fixture->store, &other, see_demand, &seen, &err));
    assert_int_equal(seen.tasks[0], 2);
    seen.count = 0;
    other.over_ms += 2 * LEASE_MS;
    OK(jobs_demand(fixture->store, &other, see_demand, &seen, &err));
    assert_int_equal(seen.tasks[0], 3);
    seen.count = 0;
    other = (struct jobs_question){.ours = "slurm-", .pause_ms_max = 3600000, .tasks_max = 1, .limit = 1};
    OK(jobs_demand(fixture->store, &other, see_demand, &seen, &err));
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.tasks[0], 1);
    OK(sweeps_cancel(fixture->store, high, &err));
    seen.count = 0;
    OK(jobs_demand(fixture->store, &question, see_demand, &seen, &err));
    assert_int_equal(seen.count, 1);
}

static void test_giving_up(void **state)
{
    struct fixture *fixture = *state;
    struct task_row task;
    struct task_lease lease;
    struct sweep_row sweep;
    struct err reason = {.code = ERR_INVALID, .message = "slurm: sbatch: invalid partition"};
    int64_t revisions[3];
    fixture_add_revisions(fixture, 2, revisions);
    int64_t id = fixture_sweep(fixture, revisions, 2, 0);
    fixture_claim(fixture, "by-hand/0", &task);
    FAILS(ERR_CONFLICT, sweeps_give_up(fixture->store, id, &reason, &err));
    task_lease_of(&task, &lease);
    OK(tasks_release(fixture->store, &lease, NULL, &err));
    OK(sweeps_give_up(fixture->store, id, &reason, &err));
    OK(sweeps_get(fixture->store, id, &sweep, &err));
    assert_int_equal(sweep.state, SWEEP_STATE_FAILED);
    assert_string_equal(sweep.error_code, "invalid");
    assert_string_equal(sweep.error_message, reason.message);
    assert_int_equal(sweep.tasks[TASK_STATE_CANCELLED], 2);
    assert_int_equal(sweep.tasks[TASK_STATE_QUEUED], 0);
    FAILS(ERR_CONFLICT, sweeps_give_up(fixture->store, id, &reason, &err));
    FAILS(ERR_NOT_FOUND, sweeps_give_up(fixture->store, 99, &reason, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_row_lives, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_totals_outlive_their_sweeps, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_a_refused_row_is_submitted_again, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_of_a_sweep, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_demand, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_giving_up, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
