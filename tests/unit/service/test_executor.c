/* Rounds of the executor against programs that say what Slurm says in each case. */
#include "tests/unit/slurm/fake.h"

#include "daemon/base/clock.h"
#include "daemon/executor.h"
#include "daemon/executor_round.h"
#include "store/jobs.h"
#include "store/models.h"
#include "store/revisions.h"
#include "store/sweeps.h"
#include "store/tasks.h"

#include <stdbool.h>

#define REVISIONS 6

struct fixture {
    void *folder;
    struct store *store;
    int64_t sweep;
    int64_t revisions[REVISIONS];
    int64_t model_id;
    struct executor_round round;
};

static int64_t add_sweep(struct fixture *fixture, int count)
{
    struct sweep_request request = {.model_id = fixture->model_id, .request = "{}"};
    struct task_plan plans[REVISIONS] = {0};
    int64_t id = 0;
    for (int i = 0; i < count; i++)
        plans[i] = (struct task_plan){.revision_id = fixture->revisions[i], .ordinal = i};
    OK(sweeps_create(fixture->store, &request, &id, NULL, &err));
    OK(tasks_plan(fixture->store, id, plans, (size_t)count, &err));
    OK(sweeps_start(fixture->store, id, &err));
    return id;
}

static void open_store(struct fixture *fixture)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/" STORE_FILE_NAME, (char *)fixture->folder);
    OK(store_open(path, &fixture->store, &err));
    fixture->round = (struct executor_round){.store = fixture->store, .backoff_ms = 0};
    fake_options(fixture->folder, &fixture->round.slurm);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct revision_row rows[REVISIONS] = {0};
    if (fixture_make_folder(&fixture->folder))
        return -1;
    open_store(fixture);
    OK(models_ensure(fixture->store, "a/b", MODEL_KIND_HUB, &fixture->model_id, &err));
    for (int i = 0; i < REVISIONS; i++) {
        rows[i].step = i;
        (void)snprintf(rows[i].name, sizeof rows[i].name, "step%d", i);
        (void)snprintf(rows[i].commit, sizeof rows[i].commit, "%040d", i);
    }
    OK(revisions_update(fixture->store, fixture->model_id, rows, REVISIONS, 1, NULL, &err));
    for (int i = 0; i < REVISIONS; i++)
        fixture->revisions[i] = rows[i].id;
    fixture->sweep = add_sweep(fixture, REVISIONS);
    fake_does(fixture->folder, "sbatch", "echo 17");
    fake_does(fixture->folder, "squeue", "");
    fake_does(fixture->folder, "scancel", "");
    fake_does(fixture->folder, "sacct", "echo disabled >&2; exit 1");
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->store);
    (void)fixture_remove_folder(&fixture->folder);
    free(fixture);
    return 0;
}

static int take(void *context, const struct job_row *row)
{
    *(struct job_row *)context = *row;
    return 1;
}

static struct job_row newest(struct fixture *fixture)
{
    struct job_row job = {0};
    OK(jobs_list(fixture->store, fixture->sweep, 1, take, &job, &err));
    return job;
}

static struct sweep_row sweep_of(struct fixture *fixture)
{
    struct sweep_row row;
    OK(sweeps_get(fixture->store, fixture->sweep, &row, &err));
    return row;
}

/* squeue lists this array, one word a state. */
static void queue(struct fixture *fixture, const struct job_row *job, const char *states, const char *reason)
{
    char text[1024];
    (void)snprintf(text, sizeof text, "for s in %s; do echo \"17|$s|bifurcated-%.8s-%lld|%s\"; done", states,
                   store_instance(fixture->store), (long long)job->id, reason);
    fake_does(fixture->folder, "squeue", text);
}

static int count_calls(struct fixture *fixture, const char *program)
{
    char *calls = fake_calls(fixture->folder, program);
    int count = 0;
    for (const char *p = strstr(calls, "\n.\n"); p; p = strstr(p + 1, "\n.\n"))
        count++;
    count += strncmp(calls, ".\n", 2) == 0;
    free(calls);
    return count;
}

static void run(struct fixture *fixture, int watches)
{
    OK(executor_round_run(&fixture->round, watches, &err));
}

static void finish_task(struct fixture *fixture)
{
    struct task_row task;
    struct task_lease lease;
    struct task_result result = {0};
    OK(tasks_claim(fixture->store, "slurm-17_0@n1/0", 0, 60000, NULL, &task, NULL, &err));
    task_lease_of(&task, &lease);
    OK(tasks_record(fixture->store, &lease, &result, &err));
}

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
    (void)count_calls(fixture, "sbatch");
    /* Those that run are there for the next sweep. */
    fixture->sweep = add_sweep(fixture, 2);
    run(fixture, 0);
    assert_int_equal(count_calls(fixture, "sbatch"), 0);
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
    assert_int_equal(count_calls(fixture, "sacct"), 1);
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

static void test_stopping(void **state)
{
    struct fixture *fixture = *state;
    atomic_bool cancel = true;
    fixture->round.slurm.cancel = &cancel;
    fake_does(fixture->folder, "sbatch", "sleep 600");
    FAILS(ERR_CANCELLED, "cancelled", executor_round_run(&fixture->round, 1, &err));
    assert_int_equal(newest(fixture).state, JOB_STATE_SUBMITTING); /* its name will tell */
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

/* Nodes reach a daemon that listens on every address by its host's name, and as it speaks. */
static void test_the_address_of_the_daemon(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *url, *begin, *end; /* the host's name is between them; NULL: the address is the URL */
    } cases[] = {{"http://0.0.0.0:7143", "http://", ":7143"},
                 {"https://0.0.0.0:7143", "https://", ":7143"},
                 {"https://[::]:80", "https://", ":80"},
                 {"https://10.0.0.1:7143", NULL, NULL}};
    char host[128] = "";
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    OK(sweeps_cancel(fixture->store, fixture->sweep, &err)); /* nothing to submit */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct options options;
        struct executor *executor = NULL;
        struct buf json;
        char address[256], expected[512];
        enum options_action action;
        char words[][20] = {"bifurcated", "--slurm-workers-max", "1", "--slurm-folder"};
        char *arguments[] = {words[0], words[1], words[2], words[3], fixture->folder, NULL};
        OK(options_load(5, arguments, &options, &action, &err));
        buf_init(&json, MIB);
        OK(executor_new(&options, fixture->store, NULL, &executor, &err));
        OK(executor_start(executor, cases[i].url, &err));
        executor_stop(executor);
        OK(executor_append_status(executor, &json, &err));
        (void)snprintf(address, sizeof address, "%s%s%s", cases[i].begin ? cases[i].begin : cases[i].url,
                       cases[i].begin ? host : "", cases[i].begin ? cases[i].end : "");
        (void)snprintf(expected, sizeof expected, "\"connect\":\"%s\"", address);
        assert_non_null(strstr(buf_text(&json), expected));
        buf_free(&json);
        executor_free(executor);
        options_free(&options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_submits_once),
        CASE(test_arrays_are_bounded),
        CASE(test_a_killed_element_is_replaced),
        CASE(test_requeued_elements_are_waited_for),
        CASE(test_a_restart_submits_nothing_twice),
        CASE(test_a_lost_submission_is_made_again),
        CASE(test_a_clock_that_was_set_back),
        CASE(test_an_answer_that_was_not_heard),
        CASE(test_an_answer_that_is_not_understood),
        CASE(test_a_refused_request_fails_the_sweep),
        CASE(test_a_refused_request_where_others_work),
        CASE(test_a_controller_that_is_down_is_waited_for),
        CASE(test_blind_it_does_not_submit_more),
        CASE(test_useless_arrays_are_not_repeated_for_ever),
        CASE(test_a_hub_that_is_down),
        CASE(test_a_short_outage_costs_no_place_in_the_queue),
        CASE(test_arrays_that_got_something_done_may_be_many),
        CASE(test_a_cancelled_sweep_cancels_its_jobs),
        CASE(test_what_waits_at_the_end_of_work_is_cancelled),
        CASE(test_gone_from_the_queue),
        CASE(test_held_elements_are_taken_away),
        CASE(test_stopping),
        CASE(test_the_address_of_the_daemon),
    };
    (void)signal(SIGPIPE, SIG_IGN); /* as the daemon does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
