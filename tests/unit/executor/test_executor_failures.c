/* What the executor makes of failures: of a request, of Slurm, of its arrays, of the hub. */
#include "tests/unit/executor/fixture.h"

static void test_a_refused_request_fails_the_sweep(void **state)
{
    struct fixture *fixture = *state;
    fake_does(fixture->folder, "sbatch",
              "echo 'sbatch: error: invalid partition specified: nope' >&2; exit 1");
    run(fixture, 1);
    struct sweep_row sweep = sweep_of(fixture);
    assert_int_equal(sweep.state, SWEEP_STATE_FAILED);
    assert_string_equal(sweep.error_message, "slurm: sbatch: invalid partition specified: nope");
    assert_int_equal(newest(fixture).state, JOB_STATE_REFUSED);
    assert_string_equal(newest(fixture).reason, "sbatch: invalid partition specified: nope");
}

static void test_a_refused_request_where_others_work(void **state)
{
    struct fixture *fixture = *state;
    fixture->round.has_local_workers = 1;
    fixture->round.backoff_ms = 3600000;
    fake_does(fixture->folder, "sbatch",
              "echo 'sbatch: error: invalid partition specified: nope' >&2; exit 1");
    run(fixture, 1);
    run(fixture, 1); /* not before the pause is over */
    assert_int_equal(count_calls(fixture, "sbatch"), 1);
    assert_int_equal(sweep_of(fixture).state, SWEEP_STATE_RUNNING);
    fixture->round.not_before_ms = 0;
    run(fixture, 1);
    assert_int_equal(newest(fixture).attempts, 2); /* the same row */
    assert_int_equal(sweep_of(fixture).state, SWEEP_STATE_RUNNING);
}

static void test_a_controller_that_is_down_is_waited_for(void **state)
{
    struct fixture *fixture = *state;
    fake_does(fixture->folder, "sbatch",
              "echo 'sbatch: error: Unable to contact slurm controller' >&2; exit 1");
    for (int i = 0; i < 3 * EXECUTOR_FAILURES_MAX; i++)
        run(fixture, 1);
    assert_int_equal(sweep_of(fixture).state, SWEEP_STATE_RUNNING);
    assert_non_null(strstr(fixture->round.error, "Unable to contact"));
    fake_does(fixture->folder, "sbatch", "echo 17");
    run(fixture, 1);
    assert_int_equal(newest(fixture).job_id, 17);
    assert_string_equal(fixture->round.error, "");
}

static void test_blind_it_does_not_submit_more(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, 1);
    (void)count_calls(fixture, "sbatch");
    fake_does(fixture->folder, "squeue", "echo 'squeue: error: Socket timed out' >&2; exit 1");
    run(fixture, 1);
    assert_int_equal(count_calls(fixture, "sbatch"), 0);
    assert_int_equal(newest(fixture).state, JOB_STATE_PENDING);
    assert_non_null(strstr(fixture->round.error, "Socket timed out"));
}

static void test_useless_arrays_are_not_repeated_for_ever(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 2 * EXECUTOR_FAILURES_MAX; i++) {
        struct job_row job = newest(fixture);
        if (job.id)
            queue(fixture, &job, "FAILED FAILED FAILED FAILED", "NonZeroExitCode");
        run(fixture, 1);
    }
    struct sweep_row sweep = sweep_of(fixture);
    assert_int_equal(sweep.state, SWEEP_STATE_FAILED);
    assert_non_null(strstr(sweep.error_message, "5 failures in a row"));
    assert_non_null(strstr(sweep.error_message, "FAILED (NonZeroExitCode)"));
    assert_non_null(strstr(sweep.error_message, "slurm-output"));
    assert_int_equal(count_calls(fixture, "sbatch"), EXECUTOR_FAILURES_MAX);
}

static void test_arrays_that_got_something_done_may_be_many(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < REVISIONS; i++) { /* each reaches its time limit after one task */
        run(fixture, 1);
        struct job_row job = newest(fixture);
        finish_task(fixture);
        queue(fixture, &job, "TIMEOUT TIMEOUT TIMEOUT TIMEOUT", "TimeLimit");
    }
    run(fixture, 1);
    assert_int_equal(fixture->round.failures, 0);
    assert_int_equal(sweep_of(fixture).state, SWEEP_STATE_DONE);
    assert_int_equal(newest(fixture).state, JOB_STATE_ENDED);
    assert_int_equal(newest(fixture).failed, 4);
}

static void test_held_elements_are_taken_away(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, 1);
    struct job_row job = newest(fixture);
    queue(fixture, &job, "PENDING PENDING", "launch failed requeued held");
    run(fixture, 1);
    assert_int_equal(count_calls(fixture, "scancel"), 1);
    assert_int_equal(fixture->round.failures, 1);
    assert_non_null(strstr(fixture->round.error, "launch failed requeued held"));
}

/* sbatch did not hear whether it was done: the array is looked for before another is submitted. */
static void test_an_answer_that_was_not_heard(void **state)
{
    struct fixture *fixture = *state;
    fake_does(
        fixture->folder, "sbatch",
        "echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2; "
        "exit 1");
    run(fixture, 1);
    struct job_row job = newest(fixture);
    assert_int_equal(job.state, JOB_STATE_SUBMITTING);
    assert_non_null(strstr(job.reason, "Socket timed out"));
    (void)count_calls(fixture, "sbatch");
    run(fixture, 1); /* not in the queue yet */
    assert_int_equal(count_calls(fixture, "sbatch"), 0);
    queue(fixture, &job, "RUNNING RUNNING RUNNING RUNNING", "None");
    run(fixture, 1);
    assert_int_equal(count_calls(fixture, "sbatch"), 0);
    assert_int_equal(newest(fixture).job_id, 17);
    assert_int_equal(newest(fixture).id, job.id);
    assert_int_equal(fixture->round.failures, 0);
}

static void test_an_answer_that_is_not_understood(void **state)
{
    struct fixture *fixture = *state;
    fake_does(fixture->folder, "sbatch", "echo 'Welcome! Your job is 17.'"); /* submitted all the same */
    run(fixture, 1);
    struct job_row job = newest(fixture);
    assert_int_equal(job.state, JOB_STATE_SUBMITTING);
    assert_non_null(strstr(job.reason, "Welcome"));
    queue(fixture, &job, "RUNNING RUNNING RUNNING RUNNING", "None");
    run(fixture, 1);
    assert_int_equal(count_calls(fixture, "sbatch"), 1);
    assert_int_equal(newest(fixture).job_id, 17);
}

/* Workers that wait for the hub until their time is over are not to blame, and are not replaced before it is
 * back; a folder does not wait. */
static void test_a_hub_that_is_down(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, 1);
    assert_int_equal(count_calls(fixture, "sbatch"), 1);
    fixture->round.is_hub_down = 1;
    for (int i = 0; i < 2 * EXECUTOR_FAILURES_MAX; i++) {
        struct job_row job = newest(fixture);
        queue(fixture, &job, "TIMEOUT TIMEOUT TIMEOUT TIMEOUT", "TimeLimit");
        run(fixture, 1);
    }
    assert_int_equal(fixture->round.failures, 0);
    assert_int_equal(sweep_of(fixture).state, SWEEP_STATE_RUNNING);
    assert_int_equal(count_calls(fixture, "sbatch"), 0);
    int64_t of_hub = fixture->model_id;
    struct revision_row row = {.name = "step0", .commit = "0123456789012345678901234567890123456789"};
    OK(models_ensure(fixture->store, "file:/run", MODEL_KIND_FOLDER, &fixture->model_id, &err));
    OK(revisions_update(fixture->store, fixture->model_id, &row, 1, 1, NULL, &err));
    fixture->revisions[0] = row.id;
    (void)add_sweep(fixture, 1);
    fixture->model_id = of_hub;
    fake_does(fixture->folder, "squeue", "");
    run(fixture, 1);
    assert_int_equal(count_calls(fixture, "sbatch"), 1);
    fixture->round.is_hub_down = 0;
    run(fixture, 1);
    assert_int_equal(count_calls(fixture, "sbatch"), 1);
}

/* What waits in Slurm's queue keeps its place when the hub is away for a moment, but does not come to nodes
 * only to wait there for hours. */
static void test_a_short_outage_costs_no_place_in_the_queue(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, 1);
    struct job_row job = newest(fixture);
    queue(fixture, &job, "RUNNING PENDING PENDING PENDING", "Priority");
    run(fixture, 1);
    assert_int_equal(count_calls(fixture, "sbatch"), 1);
    fixture->round.is_hub_down = 1;
    run(fixture, 1);
    assert_int_equal(count_calls(fixture, "scancel"), 0);
    assert_int_equal(newest(fixture).pending, 3);
    assert_int_equal(count_calls(fixture, "sbatch"), 0);
    fixture->round.hub_down_ms -= EXECUTOR_PATIENCE_MS;
    run(fixture, 1);
    char *calls = fake_calls(fixture->folder, "scancel");
    assert_string_equal(calls, "--quiet\n17\n--state=PENDING\n.\n");
    free(calls);
    assert_int_equal(count_calls(fixture, "sbatch"), 0);
    fixture->round.is_hub_down = 0;
    run(fixture, 0);
    assert_true(fixture->round.hub_down_ms == 0);
    assert_int_equal(count_calls(fixture, "sbatch"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_refused_request_fails_the_sweep),
        CASE(test_a_refused_request_where_others_work),
        CASE(test_a_controller_that_is_down_is_waited_for),
        CASE(test_blind_it_does_not_submit_more),
        CASE(test_useless_arrays_are_not_repeated_for_ever),
        CASE(test_arrays_that_got_something_done_may_be_many),
        CASE(test_held_elements_are_taken_away),
        CASE(test_an_answer_that_was_not_heard),
        CASE(test_an_answer_that_is_not_understood),
        CASE(test_a_hub_that_is_down),
        CASE(test_a_short_outage_costs_no_place_in_the_queue),
    };
    (void)signal(SIGPIPE, SIG_IGN); /* as the daemon does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
