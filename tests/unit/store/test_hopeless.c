/* Sweeps in which nothing can succeed: a few tasks that fail alike spare the others. */
#include "store/hopeless.h"
#include "store/jobs.h"
#include "store/watches.h"
#include "tests/unit/store/leases.h"
#include "tests/unit/store/sql.h"

#define COUNT 20

static const char MISTYPED[] = "no tensor is named embed_uot.weight; did you mean \"embed_out.weight\"?";

static int64_t begin(struct fixture *fixture)
{
    int64_t ids[COUNT + 1];
    fixture_add_revisions(fixture, COUNT, ids);
    return fixture_sweep(fixture, ids, COUNT, 0);
}

/* Claims the next task; its ordinal. */
static int64_t claim(struct fixture *fixture, const char *worker, struct task_lease *lease)
{
    struct task_row task;
    lease_task(fixture, worker, LEASE_MS, &task, lease);
    return task.ordinal;
}

static void fail_with(struct fixture *fixture, const struct task_lease *lease, enum err_code code,
                      const char *message)
{
    struct err reason = ERR_INIT;
    struct task_row task;
    OK(tasks_get(fixture->store, lease->task_id, &task, &err));
    (void)err_set(&reason, code, "revision %s: %s", task.revision, message);
    const struct tasks_policy once = {.failures_max = 1, .interruptions_max = 1};
    OK(tasks_fail(fixture->store, lease, &reason, &once, NULL, &err));
}

/* Claims the next `count` tasks, each of which fails. */
static void fail_next(struct fixture *fixture, int count, enum err_code code, const char *message)
{
    struct task_lease lease;
    for (int i = 0; i < count; i++) {
        (void)claim(fixture, "a", &lease);
        fail_with(fixture, &lease, code, message);
    }
}

static int keep_detail(void *context, const struct task_event_row *row)
{
    (void)snprintf(context, TASKS_DETAIL_SIZE, "%s: %s", row->event, row->detail);
    return 0;
}

static int find_last(void *context, const struct task_row *row)
{
    *(int64_t *)context = row->id;
    return 0;
}

/* The first three in step order, then the middles of what is left, so that all of the run is heard. */
static void test_what_fails_alike_ends(void **state)
{
    static const int64_t expected[TASKS_ALIKE_MAX] = {0, 1, 2, 11, 7, 16, 5, 14};
    struct fixture *fixture = *state;
    struct task_lease lease;
    const enum task_state cancelled = TASK_STATE_CANCELLED;
    int64_t sweep = begin(fixture), untried = 0;
    for (int i = 0; i < TASKS_ALIKE_MAX; i++) {
        assert_int_equal(get_sweep(fixture, sweep).state, SWEEP_STATE_RUNNING);
        assert_int_equal(claim(fixture, "a", &lease), expected[i]);
        fail_with(fixture, &lease, ERR_NOT_FOUND, MISTYPED);
    }
    struct sweep_row row = get_sweep(fixture, sweep);
    assert_int_equal(row.state, SWEEP_STATE_FAILED);
    assert_int_equal(row.tasks[TASK_STATE_FAILED], TASKS_ALIKE_MAX);
    assert_int_equal(row.tasks[TASK_STATE_CANCELLED], COUNT - TASKS_ALIKE_MAX);
    assert_string_equal(row.error_code, "not_found");
    assert_string_equal(
        row.error_message,
        "8 of 20 revisions failed, and 12 were not tried, since the first 8 had failed alike (to try others, "
        "name them with --from or --revision); the first, step0: no tensor is named embed_uot.weight; did "
        "you mean \"embed_out.weight\"?");
    OK(tasks_list(
        fixture->store,
        &(struct tasks_query){.sweep_id = sweep, .state = &cancelled, .after_ordinal = -1, .limit = COUNT},
        find_last, &untried, &err));
    char detail[TASKS_DETAIL_SIZE] = "";
    OK(tasks_list_events(fixture->store, untried, 0, 10, keep_detail, detail, &err));
    assert_string_equal(detail, "cancel: not tried: 8 others had failed alike");
    fixture_check_database(fixture);
}

static int see_demand(void *context, int64_t sweep_id, int64_t tasks)
{
    (void)sweep_id;
    *(int64_t *)context = tasks;
    return 0;
}

/* How many workers Slurm would be asked for. */
static int64_t demand(struct fixture *fixture)
{
    const struct jobs_question question = {
        .ours = "slurm", .pause_ms_max = 60000, .tasks_max = 100, .limit = 10};
    int64_t tasks = -1;
    OK(jobs_demand(fixture->store, &question, see_demand, &tasks, &err));
    return tasks;
}

static void check_nothing_to_claim(struct fixture *fixture)
{
    struct task_row task;
    int64_t wait_ms = 0;
    FAILS(ERR_NOT_FOUND, tasks_claim(fixture->store, BY("e", LEASE_MS, NULL), NULL, &task, &wait_ms, &err));
    assert_true(wait_ms > 0); /* until the first lease may be over */
}

/* What is begun decides: what fails does so sooner than what is measured, so eight may have failed before the
 * first one is done, or was interrupted. Until then nothing else is begun. */
static void test_what_is_begun_decides(void **state)
{
    static const char reason[] = "perplexity: mamba is not scored";
    const struct tasks_policy patient = {
        .failures_max = 5, .interruptions_max = 5, .backoff_ms = 60000, .backoff_max_ms = 60000};
    const struct err passing = {.code = ERR_NETWORK, .message = "connection reset"};
    struct fixture *fixture = *state;
    struct task_lease first, second;
    int64_t sweep = begin(fixture);
    (void)claim(fixture, "slurm", &first);
    (void)claim(fixture, "c", &second);
    assert_int_equal(demand(fixture), COUNT - 1);
    fail_next(fixture, TASKS_ALIKE_MAX, ERR_UNSUPPORTED, reason);
    assert_int_equal(demand(fixture), 1); /* further workers would find nothing, and end as useless */
    assert_int_equal(get_sweep(fixture, sweep).tasks[TASK_STATE_QUEUED], COUNT - TASKS_ALIKE_MAX - 2);
    check_nothing_to_claim(fixture);
    OK(tasks_release(fixture->store, &second, NULL, &err)); /* another takes that one over */
    assert_int_equal(demand(fixture), 2);
    assert_int_equal(claim(fixture, "d", &second), 1);
    check_nothing_to_claim(fixture);
    OK(record(fixture, &first, &err));
    OK(tasks_release(fixture->store, &second, NULL, &err));
    fail_next(fixture, 2, ERR_UNSUPPORTED, reason);
    struct sweep_row row = get_sweep(fixture, sweep);
    assert_int_equal(row.state, SWEEP_STATE_RUNNING);
    assert_int_equal(row.tasks[TASK_STATE_QUEUED], COUNT - TASKS_ALIKE_MAX - 3);
    OK(sweeps_cancel(fixture->store, sweep, &err));

    sweep = begin(fixture);
    (void)claim(fixture, "b", &first);
    fail_next(fixture, TASKS_ALIKE_MAX, ERR_UNSUPPORTED, reason);
    OK(tasks_fail(fixture->store, &first, &passing, &patient, NULL, &err)); /* which has to pass */
    check_nothing_to_claim(fixture);
    assert_int_equal(demand(fixture), 0);
    (void)sql_run(fixture->path, "UPDATE tasks SET not_before_ms = 1 WHERE not_before_ms > 0");
    assert_int_equal(demand(fixture), 1);
    assert_int_equal(claim(fixture, "d", &first), 0);
    check_nothing_to_claim(fixture);
    fail_with(fixture, &first, ERR_UNSUPPORTED, reason);
    row = get_sweep(fixture, sweep);
    assert_int_equal(row.state, SWEEP_STATE_FAILED);
    assert_int_equal(row.tasks[TASK_STATE_DONE], 0);
    assert_non_null(strstr(row.error_message, "9 of 20 revisions failed, and 11 were not tried, "));
}

static void check_goes_on(struct fixture *fixture, int64_t sweep, int64_t left)
{
    struct sweep_row row = get_sweep(fixture, sweep);
    assert_int_equal(row.state, SWEEP_STATE_RUNNING);
    assert_int_equal(row.tasks[TASK_STATE_QUEUED], left);
    OK(sweeps_cancel(fixture->store, sweep, &err));
}

/* Each of these may succeed further on. */
static void test_what_may_yet_succeed(void **state)
{
    struct fixture *fixture = *state;
    struct task_lease lease;
    static const enum err_code passing[] = {ERR_NETWORK, ERR_TIMEOUT, ERR_NO_MEMORY,
                                            ERR_GATED,   ERR_DEVICE,  ERR_MISMATCH};
    int64_t sweep;
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++) {
        sweep = begin(fixture);
        fail_next(fixture, TASKS_ALIKE_MAX + 1, passing[i], "the same");
        check_goes_on(fixture, sweep, COUNT - TASKS_ALIKE_MAX - 1);
    }
    for (int i = 0; i < 2; i++) { /* one is of another kind, or says something else */
        sweep = begin(fixture);
        fail_next(fixture, 4, ERR_NOT_FOUND, MISTYPED);
        fail_next(fixture, 1, i ? ERR_NOT_FOUND : ERR_FORMAT, i ? "config.json: not found" : MISTYPED);
        fail_next(fixture, 5, ERR_NOT_FOUND, MISTYPED);
        check_goes_on(fixture, sweep, COUNT - 10);
    }
    sweep = begin(fixture); /* one is measured */
    fail_next(fixture, 5, ERR_NOT_FOUND, MISTYPED);
    (void)claim(fixture, "a", &lease);
    OK(record(fixture, &lease, &err));
    assert_int_equal(claim(fixture, "b", &lease), 3); /* again in step order */
    fail_with(fixture, &lease, ERR_NOT_FOUND, MISTYPED);
    fail_next(fixture, 5, ERR_NOT_FOUND, MISTYPED);
    check_goes_on(fixture, sweep, COUNT - 12);
}

/* Claims the next task, of which the statistics are kept. */
static void record_part(struct fixture *fixture, struct task_lease *lease)
{
    struct fixture_result *made = malloc(sizeof *made);
    char detail[TASKS_DETAIL_SIZE] = "";
    (void)claim(fixture, "a", lease);
    fixture_result(made, "part", 1);
    made->result.is_part = 1;
    OK(tasks_record(fixture->store, lease, &made->result, &err));
    OK(tasks_list_events(fixture->store, lease->task_id, 0, 10, keep_detail, detail, &err));
    assert_string_equal(detail, "part: ");
    free(made);
}

/* Statistics are kept where the perplexity fails: such a sweep is not in vain, nor while that revision waits
 * to be tried again. */
static void test_what_records_a_part(void **state)
{
    static const char missing[] = "perplexity: data set no/such: not found";
    const struct tasks_policy patient = {
        .failures_max = 5, .interruptions_max = 5, .backoff_ms = 60000, .backoff_max_ms = 60000};
    const struct err passing = {.code = ERR_NETWORK, .message = "perplexity: connection reset"};
    struct fixture *fixture = *state;
    struct task_lease lease;
    int64_t sweep = begin(fixture);
    record_part(fixture, &lease);
    fail_with(fixture, &lease, ERR_NOT_FOUND, missing);
    fail_next(fixture, TASKS_ALIKE_MAX, ERR_NOT_FOUND, missing);
    check_goes_on(fixture, sweep, COUNT - TASKS_ALIKE_MAX - 1);
    sweep = begin(fixture);
    record_part(fixture, &lease);
    OK(tasks_fail(fixture->store, &lease, &passing, &patient, NULL, &err));
    fail_next(fixture, TASKS_ALIKE_MAX, ERR_NOT_FOUND, "config.json: not found");
    check_goes_on(fixture, sweep, COUNT - TASKS_ALIKE_MAX);
}

static int count_step(void *context)
{
    ++*(int64_t *)context;
    return 0;
}

/* How many instructions of SQLite the question costs that is put before each claim. */
static int64_t count_steps(struct fixture *fixture, int64_t sweep)
{
    struct connection *connection = NULL;
    int64_t steps = 0;
    int is_awaited = 1;
    OK(store_read_begin(fixture->store, &connection, &err));
    sqlite3_progress_handler(connection->db, 1, count_step, &steps);
    OK(hopeless_is_awaited(connection, sweep, &is_awaited, &err));
    sqlite3_progress_handler(connection->db, 0, NULL, NULL);
    store_read_end(fixture->store, connection);
    assert_int_equal(is_awaited, 0);
    return steps;
}

/* Of a long sweep that goes on while all fail, what failed is not read before each claim. */
static void test_a_long_sweep_is_not_read_for_each_claim(void **state)
{
    enum { LONG = 6000 };
    struct fixture *fixture = *state;
    struct task_lease lease;
    int64_t *ids = calloc(LONG + 1, sizeof *ids);
    assert_non_null(ids);
    fixture_add_revisions(fixture, LONG, ids);
    int64_t sweep = fixture_sweep(fixture, ids, LONG, 0);
    record_part(fixture, &lease);
    fail_with(fixture, &lease, ERR_NOT_FOUND, MISTYPED);
    (void)sql_run(fixture->path, "UPDATE tasks SET state = 'failed', attempts = 1, error_code = 'not_found', "
                                 "error_message = 'alike' WHERE state = 'queued' AND ordinal < 4000");
    (void)sql_run(fixture->path, "UPDATE sweeps SET tasks_failed = 4000, tasks_queued = 2000");
    const int64_t of_a_part = count_steps(fixture, sweep);
    assert_in_range(of_a_part, 1, 200);
    (void)sql_run(fixture->path, "DELETE FROM task_events"); /* the last one failed otherwise */
    (void)sql_run(fixture->path,
                  "UPDATE tasks SET state = 'failed', attempts = 1, error_code = 'not_found', "
                  "error_message = iif(ordinal = 5500, 'other', 'alike') WHERE ordinal < 5501");
    (void)sql_run(fixture->path, "UPDATE sweeps SET tasks_failed = 5501, tasks_queued = 499");
    assert_in_range(count_steps(fixture, sweep), 1, 200);
    free(ids);
}

static int count_due(void *context, const struct revision_row *row, int refusals)
{
    (void)row;
    (void)refusals;
    ++*(int *)context;
    return 0;
}

static void check_watch(struct fixture *fixture, int expected_due, int64_t expected_untried)
{
    const struct watch_query measured = {.statistics = WATCH_WANT_MEASURED};
    struct watch_row watch;
    struct watch_untried untried;
    int due = 0;
    OK(watches_find(fixture->store, "garden/neox-tiny", &watch, &err));
    OK(watches_list_due_revisions(fixture->store, &watch, &measured, count_due, &due, &err));
    assert_int_equal(due, expected_due);
    OK(watches_count_untried(fixture->store, &watch, &untried, &err));
    assert_int_equal(untried.count, expected_untried);
}

/* A watch tries what is left no more, until what decided it is another: its request, a revision, the program.
 */
static void test_what_a_watch_has_due(void **state)
{
    struct fixture *fixture = *state;
    struct watch_setting setting = {.model_id = fixture->model_id,
                                    .timetable = {.every_minutes = 15},
                                    .request = "{\"model\":\"garden/neox-tiny\"}",
                                    .webhook_url = ""};
    const struct watch_run run = {.started_ms = 1, .report = "{}", .sweep_request = setting.request};
    struct task_plan plans[COUNT] = {{0}};
    struct watch_row watch;
    struct watch_untried untried;
    struct revision_row moved;
    struct task_lease lease;
    int64_t ids[COUNT + 1], sweep = 0;
    fixture_add_revisions(fixture, COUNT, ids);
    OK(watches_put(fixture->store, &setting, NULL, &err));
    OK(watches_find(fixture->store, "garden/neox-tiny", &watch, &err));
    check_watch(fixture, COUNT + 1, 0);
    OK(watches_record_run(fixture->store, &watch, &run, &sweep, &err));
    for (int i = 0; i < COUNT; i++)
        plans[i] = (struct task_plan){.revision_id = ids[i], .ordinal = i};
    OK(tasks_plan(fixture->store, sweep, plans, COUNT, &err));
    OK(sweeps_start(fixture->store, sweep, &err));
    fail_next(fixture, TASKS_ALIKE_MAX, ERR_NOT_FOUND, MISTYPED);
    check_watch(fixture, 1, COUNT - TASKS_ALIKE_MAX); /* main, which was not swept */
    OK(watches_count_untried(fixture->store, &watch, &untried, &err));
    assert_int_equal(untried.sweep_id, sweep);
    assert_non_null(strstr(untried.reason, MISTYPED));

    fixture_revision(&moved, COUNT - 1, "moved");
    OK(revisions_update(fixture->store, fixture->model_id, &moved, 1, 0, NULL, &err));
    check_watch(fixture, 2, COUNT - TASKS_ALIKE_MAX - 1);
    (void)fixture_sweep(fixture, &ids[COUNT - 2], 1, 0); /* somebody has that one tried */
    (void)claim(fixture, "a", &lease);
    OK(record(fixture, &lease, &err));
    check_watch(fixture, 2, COUNT - TASKS_ALIKE_MAX - 2);

    (void)sql_run(fixture->path, "UPDATE sweeps SET hopeless_version = '0.0.1' WHERE hopeless_version <> ''");
    check_watch(fixture, COUNT, 0);
    (void)sql_run(fixture->path,
                  "UPDATE sweeps SET hopeless_version = '" BIFURCATED_VERSION "' WHERE watch_id IS NOT NULL");
    check_watch(fixture, 2, COUNT - TASKS_ALIKE_MAX - 2);
    setting.request = "{\"metrics\":[\"statistics\"],\"model\":\"garden/neox-tiny\"}";
    OK(watches_put(fixture->store, &setting, NULL, &err));
    check_watch(fixture, COUNT, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_long_sweep_is_not_read_for_each_claim, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_what_fails_alike_ends, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_what_is_begun_decides, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_what_may_yet_succeed, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_what_records_a_part, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_what_a_watch_has_due, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
