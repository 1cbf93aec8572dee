/* Rounds of the executor: what is submitted, watched, replaced and cancelled. */
#include "daemon/base/clock.h"
#include "tests/unit/executor/fixture.h"

static void test_submits_once(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, 1);
    struct job_row job = newest(fixture);
    assert_int_equal(job.job_id, 17);
    assert_int_equal(job.state, JOB_STATE_PENDING);
    assert_int_equal(job.size, 4); /* six tasks, four workers at most */
    char *calls = fake_calls(fixture->folder, "sbatch");
    assert_non_null(strstr(calls, "--array=0-3%4\n"));
    free(calls);
    queue(fixture, &job, "RUNNING RUNNING PENDING PENDING", "Resources");
    run(fixture, 1);
    run(fixture, 0);
    assert_int_equal(count_calls(fixture, "sbatch"), 0);
    job = newest(fixture);
    assert_int_equal(job.state, JOB_STATE_RUNNING);
    assert_int_equal(job.running, 2);
    assert_int_equal(job.pending, 2);
    assert_string_equal(job.reason, "Resources");
}

/* Every array is looked for by name in one call, which has room for so many: no round makes more. */
static void test_arrays_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    struct job_row job = {0};
    for (int i = 0; i < SLURM_ARRAYS_MAX - 1; i++) {
        OK(jobs_create(fixture->store, fixture->sweep, 1, &job, &err));
        job.job_id = 1000 + i; /* running, and of no more use */
        job.state = JOB_STATE_RUNNING;
        OK(jobs_update(fixture->store, &job, &err));
    }
    for (int i = 0; i < 3; i++)
        (void)add_sweep(fixture, 1);
    fixture->round.slurm.workers_max = 1000;
    run(fixture, 0);
    assert_int_equal(count_calls(fixture, "sbatch"), 1);
}

static void test_a_killed_element_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, 1);
    struct job_row job = newest(fixture);
    queue(fixture, &job, "RUNNING RUNNING RUNNING CANCELLED", "None");
    run(fixture, 1);
    assert_int_equal(newest(fixture).size, 1);
    assert_int_equal(fixture->round.failures, 0);
}

/* Whoever claims next takes over what a dead worker had; without a job there may be nobody. Just after a
 * start all are silent. */
static void test_the_tasks_of_the_dead_need_jobs(void **state)
{
    struct fixture *fixture = *state;
    struct task_row task;
    for (int i = 0; i < REVISIONS; i++)
        OK(tasks_claim(fixture->store, &(struct tasks_claimant){"by-hand/0", 60000, NULL}, NULL, &task, NULL,
                       &err));
    for (int i = 0; i < 2; i++) {
        struct task_lease lease = {.task_id = i + 1, .attempt = 1, .worker = "by-hand/0"};
        OK(tasks_heartbeat(fixture->store, &lease, 1, 0, &err));
    }
    clock_sleep_ms(5);
    OK(executor_round_run(&fixture->round, 1, &err));
    assert_int_equal(count_calls(fixture, "sbatch"), 0);
    fixture->round.first_ms -= EXECUTOR_SETTLE_MS;
    OK(executor_round_run(&fixture->round, 1, &err));
    assert_int_equal(count_calls(fixture, "sbatch"), 1);
    assert_int_equal(newest(fixture).size, 2);
}

static void test_requeued_elements_are_waited_for(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, 1);
    struct job_row job = newest(fixture);
    (void)count_calls(fixture, "sbatch");
    queue(fixture, &job, "RUNNING PENDING REQUEUED COMPLETING", "BeginTime");
    run(fixture, 1);
    assert_int_equal(count_calls(fixture, "sbatch"), 0);
    assert_int_equal(newest(fixture).pending, 2);
}

static void test_a_restart_submits_nothing_twice(void **state)
{
    struct fixture *fixture = *state;
    struct job_row job;
    /* Killed between the row and the answer of sbatch, which had submitted. */
    OK(jobs_create(fixture->store, fixture->sweep, 4, &job, &err));
    store_close(fixture->store);
    open_store(fixture);
    run(fixture, 1); /* not in the queue yet: waits for it */
    assert_int_equal(count_calls(fixture, "sbatch"), 0);
    queue(fixture, &job, "PENDING PENDING PENDING PENDING", "Priority");
    run(fixture, 1);
    assert_int_equal(count_calls(fixture, "sbatch"), 0);
    assert_int_equal(newest(fixture).job_id, 17);
    assert_int_equal(newest(fixture).id, job.id);
}

static void test_a_lost_submission_is_made_again(void **state)
{
    struct fixture *fixture = *state;
    struct job_row job;
    OK(jobs_create(fixture->store, fixture->sweep, 4, &job, &err));
    job.submitted_ms -= 3600000;
    OK(jobs_update(fixture->store, &job, &err));
    run(fixture, 1);
    assert_int_equal(count_calls(fixture, "sbatch"), 1);
    assert_true(newest(fixture).id > job.id);
}

/* Nothing waits until the clock is there again. */
static void test_a_clock_that_was_set_back(void **state)
{
    struct fixture *fixture = *state;
    struct job_row job;
    OK(jobs_create(fixture->store, fixture->sweep, 4, &job, &err));
    job.submitted_ms += 3600000;
    OK(jobs_update(fixture->store, &job, &err));
    run(fixture, 1); /* its submission is lost */
    assert_int_equal(count_calls(fixture, "sbatch"), 1);
    job = newest(fixture);
    OK(sweeps_cancel(fixture->store, fixture->sweep, &err));
    run(fixture, 0);
    assert_int_equal(count_calls(fixture, "scancel"), 1);
    job = newest(fixture);
    job.cancelled_ms += 3600000;
    OK(jobs_update(fixture->store, &job, &err));
    run(fixture, 0); /* it is still there, and asked again */
    assert_int_equal(count_calls(fixture, "scancel"), 1);
}

static void test_a_cancelled_sweep_cancels_its_jobs(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, 1);
    struct job_row job = newest(fixture);
    OK(sweeps_cancel(fixture->store, fixture->sweep, &err));
    run(fixture, 0);
    char *calls = fake_calls(fixture->folder, "scancel");
    assert_string_equal(calls, "--quiet\n17\n.\n");
    free(calls);
    run(fixture, 0);
    assert_int_equal(count_calls(fixture, "scancel"), 0);
    queue(fixture, &job, "CANCELLED CANCELLED CANCELLED CANCELLED", "None");
    run(fixture, 1);
    assert_int_equal(newest(fixture).state, JOB_STATE_ENDED);
    assert_int_equal(newest(fixture).cancelled, 4);
    assert_string_equal(fixture->round.error, "");
}

static void test_what_waits_at_the_end_of_work_is_cancelled(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, 1);
    struct job_row job = newest(fixture);
    for (int i = 0; i < REVISIONS; i++)
        finish_task(fixture);
    queue(fixture, &job, "RUNNING RUNNING PENDING PENDING", "Resources");
    run(fixture, 1);
    char *calls = fake_calls(fixture->folder, "scancel");
    assert_string_equal(calls, "--quiet\n17\n--state=PENDING\n.\n");
    free(calls);
    assert_int_equal(newest(fixture).running, 2);
    assert_int_equal(newest(fixture).pending, 0);
    assert_int_equal(newest(fixture).cancelled, 2); /* which Slurm may soon know nothing of */
    (void)count_calls(fixture, "sbatch");
    /* Those that run are there for the next sweep. */
    fixture->sweep = add_sweep(fixture, 2);
    run(fixture, 0);
    assert_int_equal(count_calls(fixture, "sbatch"), 0);
}

static int take_last(void *context, const struct job_row *row)
{
    *(struct job_row *)context = *row;
    return 0;
}

static void test_gone_from_the_queue(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, 1);
    finish_task(fixture);
    struct job_row job = newest(fixture);
    fake_does(fixture->folder, "squeue", "");
    fake_does(fixture->folder, "sacct", "echo 'COMPLETED|0:0'; echo 'OUT_OF_MEMORY|0:125'");
    run(fixture, 1);
    struct job_row after = {0};
    OK(jobs_list(fixture->store, fixture->sweep, 1, take, &after, &err));
    assert_true(after.id > job.id); /* replaced */
    OK(jobs_list(fixture->store, fixture->sweep, 2, take_last, &after, &err));
    assert_int_equal(after.id, job.id);
    assert_int_equal(after.completed, 1);
    assert_int_equal(after.failed, 1);
    assert_int_equal(count_calls(fixture, "sacct"), 1);
}

static void test_stopping(void **state)
{
    struct fixture *fixture = *state;
    atomic_bool cancel = true;
    fixture->round.slurm.cancel = &cancel;
    fake_does(fixture->folder, "sbatch", "sleep 600");
    FAILS(ERR_CANCELLED, "cancelled", executor_round_run(&fixture->round, 1, &err));
    assert_int_equal(newest(fixture).state, JOB_STATE_SUBMITTING); /* its name will tell */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_submits_once),
        CASE(test_the_tasks_of_the_dead_need_jobs),
        CASE(test_arrays_are_bounded),
        CASE(test_a_killed_element_is_replaced),
        CASE(test_requeued_elements_are_waited_for),
        CASE(test_a_restart_submits_nothing_twice),
        CASE(test_a_lost_submission_is_made_again),
        CASE(test_a_clock_that_was_set_back),
        CASE(test_a_cancelled_sweep_cancels_its_jobs),
        CASE(test_what_waits_at_the_end_of_work_is_cancelled),
        CASE(test_gone_from_the_queue),
        CASE(test_stopping),
    };
    (void)signal(SIGPIPE, SIG_IGN); /* as the daemon does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
