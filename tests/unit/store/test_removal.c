/* Removal: a model goes with all that is its own, and nothing that is another's. */
#include "tests/unit/store/fixture.h"

#include "store/connection.h"
#include "store/contents.h"
#include "store/deliveries.h"
#include "store/jobs.h"
#include "store/removal.h"
#include "store/watches.h"

#include <sqlite3.h>
#include <sys/wait.h>

#define MODEL "garden/neox-tiny"
#define OTHER "other/run"

/* One number that a statement gives, read beside the store. */
static int64_t ask(const struct fixture *fixture, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open(fixture->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return value;
}

static void run_sql(const struct fixture *fixture, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(fixture->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(db);
}

static const char *const TABLES[] = {"models",
                                     "revisions",
                                     "files",
                                     "contents",
                                     "revision_tensors",
                                     "statistics",
                                     "displacements",
                                     "series_links",
                                     "distributions",
                                     "columns_statistics",
                                     "samples",
                                     "perplexities",
                                     "revision_perplexities",
                                     "scored_files",
                                     "sweeps",
                                     "tasks",
                                     "task_events",
                                     "watches",
                                     "deliveries",
                                     "announcements",
                                     "jobs"};
#define TABLE_COUNT (sizeof TABLES / sizeof TABLES[0])

static void count_rows(const struct fixture *fixture, int64_t counts[TABLE_COUNT])
{
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        char sql[100];
        (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", TABLES[i]);
        counts[i] = ask(fixture, sql);
    }
}

static int64_t before(const int64_t counts[TABLE_COUNT], const char *table)
{
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        if (!strcmp(TABLES[i], table))
            return counts[i];
    }
    fail_msg("%s", table);
    return 0;
}

/* Records a task of the running sweep: a content with a distribution and columns, and a perplexity of weights
 * called so; against the content `reference_id` (0: none) of a revision. */
static int64_t measure(struct fixture *fixture, const char *name, int64_t reference_revision_id,
                       int64_t reference_id)
{
    struct task_row task;
    struct task_lease lease;
    struct content_row content;
    struct fixture_result *made = malloc(sizeof *made);
    uint64_t *counts = calloc(DISTRIBUTION_CODES, sizeof *counts);
    double values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    counts[7] = 512;
    struct distribution_row distribution = {
        .row_set = ROW_SET_ALL, .definition = 1, .code = "float16", .counts = counts};
    struct columns_row columns = {.definition = 1, .columns = 8, .mean = values, .bimodality = values};
    struct perplexity_row perplexity = {
        .mode = PERPLEXITY_MODE_TOKENS, .parameters = "{}", .precision = "float32", .backend = "cpu"};
    perplexity.definition = 1;
    fixture_claim(fixture, "local/1", &task);
    task_lease_of(&task, &lease);
    fixture_result(made, name, 1);
    made->tensor.distributions = &distribution;
    made->tensor.distribution_count = 1;
    made->tensor.columns = &columns;
    made->tensor.columns_count = 1;
    if (reference_id)
        fixture_displace(made, TASK_LINK_FIRST, reference_revision_id, reference_id, 2);
    fixture_digest(name, perplexity.weights_digest);
    fixture_digest("texts", perplexity.dataset_digest);
    (void)snprintf(made->result.weights_digest, sizeof made->result.weights_digest, "%s",
                   perplexity.weights_digest);
    made->result.perplexities = &perplexity;
    made->result.perplexity_count = 1;
    OK(tasks_record(fixture->store, &lease, &made->result, &err));
    OK(contents_find(fixture->store, &made->tensor.content, &content, &err));
    free(counts);
    free(made);
    return content.id;
}

static void watch(struct fixture *fixture)
{
    struct watch_setting setting = {.model_id = fixture->model_id,
                                    .timetable = {.every_minutes = 60},
                                    .request = "{}",
                                    .webhook_url = "http://127.0.0.1:9/",
                                    .webhook_secret = "0123456789abcdef"};
    OK(watches_put(fixture->store, &setting, NULL, &err));
}

/* Two models, the second with two of the three contents of the first; both measured, the first watched. */
static void plant(struct fixture *fixture, int64_t revisions[2][4])
{
    int64_t first = fixture->model_id, reference_id = 0;
    struct revision_file_row file = {.path = "model.safetensors", .size_bytes = 1024};
    watch(fixture);
    for (int model = 0; model < 2; model++) {
        if (model)
            OK(models_ensure(fixture->store, OTHER, MODEL_KIND_HUB, &fixture->model_id, &err));
        fixture_add_revisions(fixture, 3, revisions[model]);
        (void)fixture_sweep(fixture, revisions[model], 3, 0);
        for (int i = 0; i < 3; i++) {
            const char *own = model ? "b2" : "a2", *const names[] = {"shared0", "shared1", own};
            int64_t id = measure(fixture, names[i], revisions[model][0], i ? reference_id : 0);
            reference_id = i ? reference_id : id;
            fixture_digest(names[i], file.digest);
            OK(revisions_set_files(fixture->store, revisions[model][i], &file, 1, &err));
        }
    }
    fixture->model_id = first;
}

static void finish_all(struct fixture *fixture)
{
    int64_t id = 0;
    int is_gone = 0;
    char name[LIMIT_MODEL_NAME_BYTES + 1];
    struct err reason = ERR_INIT;
    while (removal_next(fixture->store, 0, &id, name, sizeof name, &reason) == 0) {
        assert_string_equal(name, MODEL);
        OK(removal_finish(fixture->store, id, NULL, &is_gone, &err));
        assert_true(is_gone);
    }
    assert_int_equal(reason.code, ERR_NOT_FOUND);
}

static int copy_series(void *context, const struct series_row *row)
{
    struct series_row *rows = context;
    rows[row->revision.step == REVISIONS_STEP_NONE ? 3 : row->revision.step] = *row;
    return 0;
}

static void read_series(struct fixture *fixture, int64_t model_id, struct series_row rows[4])
{
    struct series_query query = {.model_id = model_id,
                                 .tensor = TENSOR,
                                 .step_max = INT64_MAX,
                                 .is_stepless_included = 1,
                                 .limit = 10};
    memset(rows, 0, 4 * sizeof *rows);
    OK(series_read(fixture->store, &query, NULL, copy_series, rows, &err));
}

static void test_all_goes_and_what_is_shared_stays(void **state)
{
    struct fixture *fixture = *state;
    int64_t revisions[2][4], was[TABLE_COUNT], is[TABLE_COUNT];
    struct removal_counts dry, counts;
    struct model_row model;
    struct series_row *rows = calloc(8, sizeof *rows);
    plant(fixture, revisions);
    OK(models_find(fixture->store, OTHER, &model, &err));
    read_series(fixture, model.id, rows);
    count_rows(fixture, was);
    OK(removal_count(fixture->store, MODEL, &dry, &err));
    count_rows(fixture, is);
    assert_memory_equal(was, is, sizeof was);
    OK(removal_begin(fixture->store, MODEL, &counts, &err));
    assert_memory_equal(&dry, &counts, sizeof dry);
    assert_int_equal(counts.kept_contents, 2);
    assert_int_equal(counts.contents, 1);
    assert_int_equal(counts.deliveries, 1); /* of the end of its sweep */
    int64_t size = ask(fixture, "SELECT (SELECT sum(length(data)) FROM distributions) + "
                                "(SELECT sum(length(data)) FROM columns_statistics)");
    finish_all(fixture);
    count_rows(fixture, is);
    assert_int_equal(before(was, "revisions") - before(is, "revisions"), counts.revisions);
    assert_int_equal(before(was, "contents") - before(is, "contents"), counts.contents);
    assert_int_equal(before(was, "perplexities") - before(is, "perplexities"), counts.perplexities);
    assert_int_equal(before(was, "sweeps") - before(is, "sweeps"), counts.sweeps);
    assert_int_equal(before(was, "tasks") - before(is, "tasks"), counts.tasks);
    assert_int_equal(before(was, "watches") - before(is, "watches"), counts.is_watched);
    assert_int_equal(before(was, "deliveries") - before(is, "deliveries"), counts.deliveries);
    assert_int_equal(size - ask(fixture, "SELECT (SELECT sum(length(data)) FROM distributions) + "
                                         "(SELECT sum(length(data)) FROM columns_statistics)"),
                     counts.size_bytes);
    /* All is of the other model, which is as it was. */
    assert_int_equal(before(is, "models"), 1);
    assert_int_equal(before(is, "revisions"), 4);
    assert_int_equal(before(is, "contents"), 3);
    assert_int_equal(before(is, "perplexities"), 3);
    assert_int_equal(before(is, "distributions"), 3);
    assert_int_equal(before(is, "columns_statistics"), 3);
    assert_int_equal(before(is, "statistics"), 12);
    assert_int_equal(before(is, "displacements"), 4);
    assert_int_equal(before(is, "series_links"), 2);
    assert_int_equal(before(is, "files"), 3);
    assert_int_equal(before(is, "task_events"), 9);
    read_series(fixture, model.id, rows + 4);
    for (int i = 0; i < 4; i++) {
        const struct series_row *then = &rows[i], *now = &rows[i + 4];
        assert_int_equal(then->state, now->state);
        assert_int_equal(then->revision.id, now->revision.id);
        assert_int_equal(then->tensor.content.id, now->tensor.content.id);
        assert_string_equal(then->reference, now->reference);
        assert_memory_equal(then->has_statistics, now->has_statistics, sizeof then->has_statistics);
        assert_memory_equal(then->has_displacement, now->has_displacement, sizeof then->has_displacement);
        assert_int_equal(then->perplexity[PERPLEXITY_MODE_TOKENS].id,
                         now->perplexity[PERPLEXITY_MODE_TOKENS].id);
    }
    assert_true(rows[4].has_statistics[0] && rows[5].has_displacement[0]);
    free(rows);
    fixture_check_database(fixture);
}

static void test_what_refuses_it(void **state)
{
    struct fixture *fixture = *state;
    int64_t revisions[3], sweep = 0;
    struct removal_counts counts;
    FAILS(ERR_NOT_FOUND, removal_begin(fixture->store, "garden/none", &counts, &err));
    FAILS(ERR_NOT_FOUND, removal_count(fixture->store, "garden/none", &counts, &err));
    struct sweep_request request = {.model_id = fixture->model_id, .request = "{}"};
    fixture_add_revisions(fixture, 2, revisions);
    OK(sweeps_create(fixture->store, &request, &sweep, NULL, &err)); /* planning */
    FAILS(ERR_CONFLICT, removal_begin(fixture->store, MODEL, &counts, &err));
    FAILS(ERR_CONFLICT, removal_count(fixture->store, MODEL, &counts, &err));
    OK(sweeps_cancel(fixture->store, sweep, &err));
    sweep = fixture_sweep(fixture, revisions, 2, 0);
    FAILS(ERR_CONFLICT, removal_begin(fixture->store, MODEL, &counts, &err)); /* running */
    OK(sweeps_cancel(fixture->store, sweep, &err));
    OK(removal_begin(fixture->store, MODEL, &counts, &err));
    assert_int_equal(counts.sweeps, 2);
    assert_int_equal(counts.tasks, 2);
    FAILS(ERR_NOT_FOUND, removal_begin(fixture->store, MODEL, &counts, &err)); /* twice */
    finish_all(fixture);
    FAILS(ERR_NOT_FOUND, removal_begin(fixture->store, MODEL, &counts, &err));
}

static int never(void *context, const struct model_row *row)
{
    (void)context;
    fail_msg("%s is still shown", row->name);
    return 0;
}

static int no_sweep(void *context, const struct sweep_row *row)
{
    (void)context;
    fail_msg("sweep %lld is still shown", (long long)row->id);
    return 0;
}

/* From the mark on, long before the last row has gone; and a model of the same name is another one. */
static void test_nothing_shows_it(void **state)
{
    struct fixture *fixture = *state;
    int64_t revisions[3], sweep = 0, id = 0, old_id = fixture->model_id, again[3];
    struct removal_counts counts;
    struct model_row model;
    struct sweep_row row;
    struct watch_row watched;
    struct revision_row revision = {.step = 9, .name = "step9", .commit = "abc"};
    struct sweep_request request = {
        .model_id = fixture->model_id, .request = "{}", .idempotency_key = "a key"};
    struct buf text;
    uint64_t version = 0;
    buf_init(&text, 1000);
    watch(fixture);
    fixture_add_revisions(fixture, 2, revisions);
    OK(sweeps_create(fixture->store, &request, &sweep, NULL, &err));
    OK(sweeps_cancel(fixture->store, sweep, &err));
    OK(removal_begin(fixture->store, MODEL, &counts, &err));
    FAILS(ERR_NOT_FOUND, models_find(fixture->store, MODEL, &model, &err));
    FAILS(ERR_NOT_FOUND, models_get(fixture->store, old_id, &model, &err));
    FAILS(ERR_NOT_FOUND, models_version(fixture->store, MODEL, &id, &version, &err));
    FAILS(ERR_NOT_FOUND, models_version(fixture->store, "removed:1", &id, &version, &err));
    OK(models_list(fixture->store, "", 10, never, NULL, &err));
    FAILS(ERR_NOT_FOUND, sweeps_get(fixture->store, sweep, &row, &err));
    FAILS(ERR_NOT_FOUND, sweeps_get_request(fixture->store, sweep, &text, &err));
    OK(sweeps_list(fixture->store, 0, NULL, 0, 10, no_sweep, NULL, &err));
    OK(sweeps_list(fixture->store, 0, &(enum sweep_state){SWEEP_STATE_CANCELLED}, 0, 10, no_sweep, NULL,
                   &err));
    OK(sweeps_list(fixture->store, old_id, NULL, 0, 10, no_sweep, NULL, &err));
    OK(sweeps_list_ended(fixture->store, 0, 10, no_sweep, NULL, &err));
    FAILS(ERR_NOT_FOUND, watches_find(fixture->store, MODEL, &watched, &err));
    struct series_query query = {.model_id = old_id, .tensor = TENSOR, .step_max = INT64_MAX, .limit = 10};
    FAILS(ERR_NOT_FOUND, series_read(fixture->store, &query, NULL, copy_series, NULL, &err));
    /* A look that was under way adds nothing. */
    FAILS(ERR_NOT_FOUND, revisions_update(fixture->store, old_id, &revision, 1, 0, NULL, &err));
    OK(models_ensure(fixture->store, MODEL, MODEL_KIND_HUB, &fixture->model_id, &err));
    assert_int_not_equal(fixture->model_id, old_id);
    request.model_id = fixture->model_id;
    OK(sweeps_create(fixture->store, &request, &sweep, NULL, &err)); /* with the same key */
    OK(sweeps_cancel(fixture->store, sweep, &err));
    fixture_add_revisions(fixture, 2, again);
    finish_all(fixture);
    FAILS(ERR_NOT_FOUND, revisions_update(fixture->store, old_id, &revision, 1, 0, NULL, &err));
    OK(models_find(fixture->store, MODEL, &model, &err));
    assert_int_equal(model.revision_count, 2);
    buf_free(&text);
    fixture_check_database(fixture);
}

/* ETags and whoever holds a number would mean another row by it. */
static void test_numbers_are_not_used_twice(void **state)
{
    struct fixture *fixture = *state;
    int64_t revisions[3], again[3], content_id = 0;
    struct removal_counts counts;
    fixture_add_revisions(fixture, 2, revisions);
    (void)fixture_sweep(fixture, revisions, 1, 0);
    content_id = fixture_measure(fixture, "one", 1);
    int64_t model_id = fixture->model_id;
    OK(removal_begin(fixture->store, MODEL, &counts, &err));
    finish_all(fixture);
    fixture_reopen(fixture);
    OK(models_ensure(fixture->store, MODEL, MODEL_KIND_HUB, &fixture->model_id, &err));
    fixture_add_revisions(fixture, 2, again);
    (void)fixture_sweep(fixture, again, 1, 0);
    assert_true(fixture->model_id > model_id);
    for (int i = 0; i < 3; i++)
        assert_true(again[i] > revisions[2]);
    assert_true(fixture_measure(fixture, "two", 1) > content_id);
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
    assert_int_equal(ask(fixture, "SELECT count(*) FROM contents"), 0);
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
    assert_int_equal(ask(fixture, "SELECT count(*) FROM contents"), 3); /* nothing is left of the attempt */
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
    OK(removal_finish(fixture->store, id, NULL, &is_gone, &err));
    assert_false(is_gone);
    assert_int_equal(ask(fixture, "SELECT count(*) FROM jobs"), 1);
    assert_false(job.is_sweep_removed);
    OK(jobs_list_all(fixture->store, NULL, 0, 1, copy_job, &job, &err)); /* a number that names nothing */
    assert_true(job.is_sweep_removed && job.sweep_id == sweep);
    job.state = JOB_STATE_ENDED;
    OK(jobs_update(fixture->store, &job, &err));
    finish_all(fixture);
    assert_int_equal(ask(fixture, "SELECT count(*) FROM jobs"), 0);
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
        run_sql(fixture, sql);
        pid_t child = fork();
        if (child == 0) {
            struct err reason = ERR_INIT;
            int64_t id = 0;
            int is_gone = 0;
            char name[LIMIT_MODEL_NAME_BYTES + 1];
            if (!store_open(fixture->path, &fixture->store, &reason) &&
                !removal_next(fixture->store, 0, &id, name, sizeof name, &reason))
                _exit(removal_finish(fixture->store, id, NULL, &is_gone, &reason) ? 3 : 4);
            _exit(5);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(WEXITSTATUS(status), 3);
        run_sql(fixture, "DROP TRIGGER stop");
        OK(store_open(fixture->path, &fixture->store, &err));
        FAILS(ERR_NOT_FOUND, models_find(fixture->store, MODEL, &model, &err));
        OK(models_list(fixture->store, "", 10, never, NULL, &err));
        fixture_check_database(fixture);
        store_close(fixture->store);
        fixture->store = NULL;
    }
    OK(store_open(fixture->path, &fixture->store, &err));
    assert_true(ask(fixture, "SELECT count(*) FROM revisions") == 0);
    finish_all(fixture);
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        char sql[100];
        (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", TABLES[i]);
        assert_int_equal(ask(fixture, sql), 0);
    }
    fixture_check_database(fixture);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_all_goes_and_what_is_shared_stays),
        CASE(test_what_refuses_it),
        CASE(test_nothing_shows_it),
        CASE(test_numbers_are_not_used_twice),
        CASE(test_worker_of_a_removed_task),
        CASE(test_known_content_that_goes),
        CASE(test_waits_for_job_arrays),
        CASE(test_killed_between_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
