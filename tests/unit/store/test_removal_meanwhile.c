/* Removal while others are at work: workers, job arrays, and a process that is killed in the midst of it. */
#include "tests/unit/store/removal_scene.h"

#include "store/jobs.h"

#include <sys/wait.h>

/* Who has just asked for the model's number asks for what is not there any more: it is not begun unseen. */
static void test_asked_for_while_it_goes(void **state)
{
    struct fixture *fixture = *state;
    struct removal_counts counts;
    struct sweep_request request = {.model_id = fixture->model_id, .request = "{}"};
    struct watch_setting setting = {.model_id = fixture->model_id,
                                    .timetable = {.every_minutes = 60},
                                    .request = "{}",
                                    .webhook_url = ""};
    int64_t id = 0;
    OK(removal_begin(fixture->store, MODEL, &counts, &err));
    for (int i = 0; i < 2; i++) {
        FAILS(ERR_NOT_FOUND, sweeps_create(fixture->store, &request, &id, NULL, &err));
        FAILS(ERR_NOT_FOUND, watches_put(fixture->store, &setting, NULL, &err));
        finish_all(fixture); /* marked, then gone */
    }
    assert_int_equal(sql_ask(fixture->path, "SELECT count(*) FROM sweeps"), 0);
    assert_int_equal(sql_ask(fixture->path, "SELECT count(*) FROM watches"), 0);
}

/* Its worker learns that nobody wants the task any more. */
static void test_worker_of_a_removed_task(void **state)
{
    struct fixture *fixture = *state;
    int64_t revisions[3];
    struct removal_counts counts;
    struct task_row task;
    struct task_lease lease;
    struct fixture_result *made = malloc(sizeof *made);
    struct err reason = ERR_INIT;
    fixture_add_revisions(fixture, 2, revisions);
    int64_t sweep = fixture_sweep(fixture, revisions, 1, 0);
    fixture_claim(fixture, "far/1", &task);
    task_lease_of(&task, &lease);
    fixture_result(made, "one", 1);
    OK(sweeps_cancel(fixture->store, sweep, &err));
    OK(removal_begin(fixture->store, MODEL, &counts, &err));
    FAILS(ERR_CANCELLED, tasks_record(fixture->store, &lease, &made->result, &err));
    finish_all(fixture);
    FAILS(ERR_CANCELLED, tasks_heartbeat(fixture->store, &lease, LEASE_MS, 0, &err));
    FAILS(ERR_CANCELLED, tasks_record(fixture->store, &lease, &made->result, &err));
    (void)err_set(&reason, ERR_NETWORK, "too late");
    FAILS(ERR_CANCELLED, tasks_fail(fixture->store, &lease, &reason, NULL, NULL, &err));
    FAILS(ERR_CANCELLED, tasks_release(fixture->store, &lease, NULL, &err));
    assert_int_equal(sql_ask(fixture->path, "SELECT count(*) FROM contents"), 0);
    free(made);
}

/* Of a content that is known a result has no numbers. When they went meanwhile, it is no result. */
static void test_known_content_that_goes(void **state)
{
    struct fixture *fixture = *state;
    int64_t revisions[2][4];
    struct removal_counts counts;
    struct task_row task;
    struct task_lease lease;
    struct fixture_result *made = malloc(sizeof *made);
    plant(fixture, revisions);
    OK(models_ensure(fixture->store, OTHER, MODEL_KIND_HUB, &fixture->model_id, &err));
    (void)fixture_sweep(fixture, &revisions[1][3], 1, 0);
    fixture_claim(fixture, "local/1", &task);
    task_lease_of(&task, &lease);
    fixture_result(made, "a2", 1);
    struct content_row reference = made->tensor.content, found;
    made->tensor.statistics_count = 0;
    OK(removal_begin(fixture->store, MODEL, &counts, &err));
    finish_all(fixture);
    FAILS(ERR_CANCELLED, tasks_record(fixture->store, &lease, &made->result, &err));
    assert_int_equal(sql_ask(fixture->path, "SELECT count(*) FROM contents"),
                     3); /* nothing is left of the attempt */
    /* As a reference: a number that it had is not trusted, its digest is. */
    reference.id = 1000;
    fixture_result(made, "new", 1);
    fixture_displace(made, TASK_LINK_FIRST, revisions[1][0], reference.id, 2);
    made->displacements[0].reference = &reference;
    made->displacements[0].count = 0;
    FAILS(ERR_CANCELLED, tasks_record(fixture->store, &lease, &made->result, &err));
    made->displacements[0].count = 2;
    OK(tasks_record(fixture->store, &lease, &made->result, &err));
    OK(contents_find(fixture->store, &reference, &found, &err));
    free(made);
    fixture_check_database(fixture);
}

static int copy_job(void *context, const struct job_row *row)
{
    *(struct job_row *)context = *row;
    return 0;
}

/* A job array that may still hold nodes is known by its row alone. */
static void test_waits_for_job_arrays(void **state)
{
    struct fixture *fixture = *state;
    int64_t revisions[3], id = 0;
    struct removal_counts counts;
    struct job_row job;
    char name[LIMIT_MODEL_NAME_BYTES + 1];
    int is_gone = 1;
    fixture_add_revisions(fixture, 2, revisions);
    int64_t sweep = fixture_sweep(fixture, revisions, 2, 0);
    OK(jobs_create(fixture->store, sweep, 1, &job, &err));
    OK(sweeps_cancel(fixture->store, sweep, &err));
    OK(removal_begin(fixture->store, MODEL, &counts, &err));
    OK(removal_next(fixture->store, 0, &id, name, sizeof name, &err));
    OK(removal_finish(fixture->store, id, NULL, NULL, &is_gone, &err));
    assert_false(is_gone);
    int parts = 1;
    is_gone = 1;
    OK(removal_finish(fixture->store, id, NULL, &parts, &is_gone, &err));
    assert_true(!is_gone && parts == 1); /* one that waits takes no part from others */
    assert_int_equal(sql_ask(fixture->path, "SELECT count(*) FROM jobs"), 1);
    assert_false(job.is_sweep_removed);
    OK(jobs_list_all(fixture->store, NULL, 0, 1, copy_job, &job, &err)); /* a number that names nothing */
    assert_true(job.is_sweep_removed && job.sweep_id == sweep);
    job.state = JOB_STATE_ENDED;
    OK(jobs_update(fixture->store, &job, &err));
    finish_all(fixture);
    assert_int_equal(sql_ask(fixture->path, "SELECT count(*) FROM jobs"), 0);
}

/* A few parts at a time, as the planner lets plans in between: each call takes no more, and goes on where the
 * last one was. */
static void test_goes_on_part_by_part(void **state)
{
    struct fixture *fixture = *state;
    enum { REVISIONS = 45, AT_MOST = 20 };
    static const char COUNT[] = "SELECT (SELECT count(*) FROM contents) + (SELECT count(*) FROM revisions)";
    int64_t ids[REVISIONS + 1], id = 0;
    struct removal_counts counts;
    char name[LIMIT_MODEL_NAME_BYTES + 1];
    int calls = 0;
    fixture_add_revisions(fixture, REVISIONS, ids);
    (void)fixture_sweep(fixture, ids, REVISIONS, 0);
    for (int i = 0; i < REVISIONS; i++) {
        (void)snprintf(name, sizeof name, "content %d", i);
        (void)measure(fixture, name, 0, 0);
    }
    OK(removal_begin(fixture->store, MODEL, &counts, &err));
    OK(removal_next(fixture->store, 0, &id, name, sizeof name, &err));
    for (int is_gone = 0; !is_gone; calls++) {
        int64_t before_call = sql_ask(fixture->path, COUNT);
        int parts = 1;
        assert_in_range(calls, 0, 20);
        OK(removal_finish(fixture->store, id, NULL, &parts, &is_gone, &err));
        assert_int_equal(parts, is_gone ? 1 : 0);
        assert_in_range(before_call - sql_ask(fixture->path, COUNT), 0, AT_MOST);
    }
    /* The sweep, three parts of contents, three of revisions, of perplexities, and the model's row. */
    assert_in_range(calls, 9, 20);
    FAILS(ERR_NOT_FOUND, removal_next(fixture->store, 0, &id, name, sizeof name, &err));
    assert_int_equal(sql_ask(fixture->path, COUNT), 0);
    fixture_check_database(fixture);
}

/* Killed after the mark and after each part: nothing shows the model, and the next process ends it. */
static void test_killed_between_parts(void **state)
{
    struct fixture *fixture = *state;
    enum { REVISIONS = 45 }; /* three parts of contents */
    int64_t ids[REVISIONS + 1];
    struct removal_counts counts;
    struct model_row model;
    fixture_add_revisions(fixture, REVISIONS, ids);
    (void)fixture_sweep(fixture, ids, REVISIONS, 0);
    for (int i = 0; i < REVISIONS; i++) {
        char name[20];
        (void)snprintf(name, sizeof name, "content %d", i);
        (void)measure(fixture, name, 0, 0);
    }
    OK(removal_begin(fixture->store, MODEL, &counts, &err));
    assert_int_equal(counts.contents, REVISIONS);
    store_close(fixture->store);
    fixture->store = NULL;
    /* In the child, the triggers of a part end the process before it is committed. */
    static const char *const places[] = {"contents WHEN (SELECT count(*) FROM contents) = 40",
                                         "contents WHEN (SELECT count(*) FROM contents) = 13",
                                         "perplexities WHEN (SELECT count(*) FROM perplexities) = 7",
                                         "revisions WHEN (SELECT count(*) FROM revisions) = 5", "models"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char sql[200];
        (void)snprintf(sql, sizeof sql,
                       "CREATE TRIGGER stop BEFORE DELETE ON %s BEGIN SELECT raise(ABORT, 'killed'); END",
                       places[i]);
        (void)sql_run(fixture->path, sql);
        pid_t child = fork();
        if (child == 0) {
            struct err reason = ERR_INIT;
            int64_t id = 0;
            int is_gone = 0;
            char name[LIMIT_MODEL_NAME_BYTES + 1];
            if (!store_open(fixture->path, &fixture->store, &reason) &&
                !removal_next(fixture->store, 0, &id, name, sizeof name, &reason))
                _exit(removal_finish(fixture->store, id, NULL, NULL, &is_gone, &reason) ? 3 : 4);
            _exit(5);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(WEXITSTATUS(status), 3);
        (void)sql_run(fixture->path, "DROP TRIGGER stop");
        OK(store_open(fixture->path, &fixture->store, &err));
        FAILS(ERR_NOT_FOUND, models_find(fixture->store, MODEL, &model, &err));
        OK(models_list(fixture->store, "", 10, never, NULL, &err));
        fixture_check_database(fixture);
        store_close(fixture->store);
        fixture->store = NULL;
    }
    OK(store_open(fixture->path, &fixture->store, &err));
    assert_true(sql_ask(fixture->path, "SELECT count(*) FROM revisions") == 0);
    finish_all(fixture);
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        char sql[100];
        (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", TABLES[i]);
        assert_int_equal(sql_ask(fixture->path, sql), 0);
    }
    fixture_check_database(fixture);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_asked_for_while_it_goes), CASE(test_worker_of_a_removed_task),
        CASE(test_known_content_that_goes), CASE(test_waits_for_job_arrays),
        CASE(test_goes_on_part_by_part),    CASE(test_killed_between_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
