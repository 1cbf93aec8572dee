/* Sweeps: idempotency keys, listing, planning, and their ends. */
#include "tests/unit/store/fixture.h"
#include "tests/unit/store/sql.h"

#include "store/jobs.h"

static int64_t create(struct fixture *fixture, const char *key, int priority)
{
    int64_t id = 0;
    struct sweep_request request = {
        .model_id = fixture->model_id, .request = "{\"a\":1}", .idempotency_key = key, .priority = priority};
    OK(sweeps_create(fixture->store, &request, &id, NULL, &err));
    return id;
}

/* The same key with the same request is the same sweep; with another request it is refused. */
static void test_idempotency(void **state)
{
    struct fixture *fixture = *state;
    struct sweep_request request = {
        .model_id = fixture->model_id, .request = "{\"a\":1}", .idempotency_key = "night 1"};
    int64_t first = 0, second = 0;
    int is_new = 0;
    OK(sweeps_create(fixture->store, &request, &first, &is_new, &err));
    assert_true(is_new);
    OK(sweeps_create(fixture->store, &request, &second, &is_new, &err));
    assert_false(is_new);
    assert_int_equal(first, second);
    fixture_reopen(fixture);
    OK(sweeps_create(fixture->store, &request, &second, &is_new, &err));
    assert_int_equal(first, second);
    request.priority = 1;
    FAILS(ERR_CONFLICT, sweeps_create(fixture->store, &request, &second, &is_new, &err));
    request.priority = 0;
    OK(models_ensure(fixture->store, "garden/other", MODEL_KIND_HUB, &request.model_id, &err));
    FAILS(ERR_CONFLICT, sweeps_create(fixture->store, &request, &second, &is_new, &err));
    request.model_id = fixture->model_id;
    request.request = "{\"a\":2}";
    FAILS(ERR_CONFLICT, sweeps_create(fixture->store, &request, &second, &is_new, &err));
    request.idempotency_key = NULL;
    OK(sweeps_create(fixture->store, &request, &second, &is_new, &err));
    assert_true(is_new);
    assert_true(second > first);
    request.idempotency_key = "";
    FAILS(ERR_INVALID, sweeps_create(fixture->store, &request, &second, &is_new, &err));
    request.idempotency_key = NULL;
    request.priority = SWEEPS_PRIORITY_MAX + 1;
    FAILS(ERR_INVALID, sweeps_create(fixture->store, &request, &second, &is_new, &err));
    request.priority = 0;
    request.model_id = 4711;
    FAILS(ERR_NOT_FOUND, sweeps_create(fixture->store, &request, &second, &is_new, &err));
}

/* What a row says to measure, whatever its request has beside that. */
static void test_metrics(void **state)
{
    static const char *const CASES[][2] = {
        {"{\"metrics\":[\"perplexity\",\"statistics\"]}", "[\"perplexity\",\"statistics\"]"},
        {"{\"revisions\": {\"metrics\": 1}, \"metrics\": [ \"perplexity\" ] }", "[\"perplexity\"]"},
        {"{\"metrics\":[]}", "[\"statistics\"]"},
        {"{\"metrics\":null}", "[\"statistics\"]"},
        {"{}", "[\"statistics\"]"},
        {"damaged", "[\"statistics\"]"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct sweep_request request = {.model_id = fixture->model_id, .request = CASES[i][0]};
        struct sweep_row row;
        int64_t id = 0;
        OK(sweeps_create(fixture->store, &request, &id, NULL, &err));
        OK(sweeps_get(fixture->store, id, &row, &err));
        assert_string_equal(row.metrics, CASES[i][1]);
    }
}

/* The planner gets the highest priority first, then the oldest. */
static void test_next_planning(void **state)
{
    struct fixture *fixture = *state;
    struct sweep_row row;
    FAILS(ERR_NOT_FOUND, sweeps_next_planning(fixture->store, 0, NULL, 0, &row, &err));
    int64_t first = create(fixture, NULL, 0), second = create(fixture, NULL, 0),
            urgent = create(fixture, NULL, 3);
    const int64_t expected[] = {urgent, first, second};
    for (int i = 0; i < 3; i++) {
        OK(sweeps_next_planning(fixture->store, 0, NULL, 0, &row, &err));
        assert_int_equal(row.id, expected[i]);
        assert_int_equal(row.state, SWEEP_STATE_PLANNING);
        assert_string_equal(row.model, "garden/neox-tiny");
        OK(sweeps_start(fixture->store, row.id, &err)); /* without tasks: done at once */
        OK(sweeps_get(fixture->store, row.id, &row, &err));
        assert_int_equal(row.state, SWEEP_STATE_DONE);
        assert_true(row.finished_ms > 0);
    }
    /* While the hub is down, that of a folder. */
    struct sweep_request request = {.request = "{}"};
    int64_t folder = 0;
    (void)create(fixture, NULL, 3);
    FAILS(ERR_NOT_FOUND, sweeps_next_planning(fixture->store, 1, NULL, 0, &row, &err));
    OK(models_ensure(fixture->store, "file:/runs/a", MODEL_KIND_FOLDER, &request.model_id, &err));
    OK(sweeps_create(fixture->store, &request, &folder, NULL, &err));
    OK(sweeps_next_planning(fixture->store, 1, NULL, 0, &row, &err));
    assert_int_equal(row.id, folder);
}

/* A failed plan fails the sweep, with the reason; a finished one is neither failed nor cancelled. */
static void test_failed_plan(void **state)
{
    struct fixture *fixture = *state;
    struct sweep_row row;
    struct err reason = {.code = ERR_NOT_FOUND, .message = "model no/such is not on the hub: check the name"};
    int64_t ids[3], id = create(fixture, NULL, 0);
    fixture_add_revisions(fixture, 2, ids);
    struct task_plan plan = {.revision_id = ids[0]};
    OK(tasks_plan(fixture->store, id, &plan, 1, &err));
    OK(sweeps_fail(fixture->store, id, &reason, &err));
    OK(sweeps_get(fixture->store, id, &row, &err));
    assert_int_equal(row.state, SWEEP_STATE_FAILED);
    assert_string_equal(row.error_code, "not_found");
    assert_string_equal(row.error_message, reason.message);
    assert_int_equal(row.tasks[TASK_STATE_CANCELLED], 1);
    FAILS(ERR_CONFLICT, sweeps_fail(fixture->store, id, &reason, &err));
    FAILS(ERR_CONFLICT, sweeps_start(fixture->store, id, &err));
    FAILS(ERR_CONFLICT, sweeps_cancel(fixture->store, id, &err));
    FAILS(ERR_NOT_FOUND, sweeps_start(fixture->store, 77, &err));
    id = create(fixture, NULL, 0);
    OK(sweeps_cancel(fixture->store, id, &err));
    FAILS(ERR_CONFLICT, sweeps_start(fixture->store, id, &err));
    /* A running sweep does not fail by its plan. */
    id = fixture_sweep(fixture, ids, 1, 0);
    FAILS(ERR_CONFLICT, sweeps_fail(fixture->store, id, &reason, &err));
}

struct list {
    int count;
    int64_t ids[64];
};

static int collect(void *context, const struct sweep_row *row)
{
    struct list *list = context;
    list->ids[list->count++] = row->id;
    return list->count == 64;
}

static void test_list(void **state)
{
    struct fixture *fixture = *state;
    int64_t other = 0, ids[5];
    enum sweep_state planning = SWEEP_STATE_PLANNING, done = SWEEP_STATE_DONE;
    struct list list = {0};
    OK(models_ensure(fixture->store, "other/model", MODEL_KIND_HUB, &other, &err));
    for (int i = 0; i < 5; i++)
        ids[i] = create(fixture, NULL, 0);
    struct sweep_request request = {.model_id = other, .request = "{}"};
    int64_t foreign = 0;
    OK(sweeps_create(fixture->store, &request, &foreign, NULL, &err));
    OK(sweeps_start(fixture->store, ids[2], &err));
    OK(sweeps_list(fixture->store, &(struct sweeps_query){.limit = 10}, collect, &list, &err));
    assert_int_equal(list.count, 6);
    assert_int_equal(list.ids[0], foreign);
    assert_int_equal(list.ids[5], ids[0]);
    list.count = 0;
    OK(sweeps_list(fixture->store,
                   &(struct sweeps_query){.model_id = fixture->model_id, .before = ids[3], .limit = 2},
                   collect, &list, &err));
    assert_int_equal(list.count, 2);
    assert_int_equal(list.ids[0], ids[2]);
    list.count = 0;
    OK(sweeps_list(fixture->store, &(struct sweeps_query){.state = &planning, .limit = 10}, collect, &list,
                   &err));
    assert_int_equal(list.count, 5);
    list.count = 0;
    OK(sweeps_list(fixture->store,
                   &(struct sweeps_query){.model_id = fixture->model_id, .state = &done, .limit = 10},
                   collect, &list, &err));
    assert_int_equal(list.count, 1);
    assert_int_equal(list.ids[0], ids[2]);
    int64_t counts[SWEEP_STATE_COUNT];
    OK(sweeps_count(fixture->store, counts, &err));
    assert_int_equal(counts[SWEEP_STATE_PLANNING], 5);
    assert_int_equal(counts[SWEEP_STATE_DONE], 1);
    assert_int_equal(counts[SWEEP_STATE_FAILED], 0);
}

static void test_request_text(void **state)
{
    struct fixture *fixture = *state;
    struct buf buf;
    int64_t id = create(fixture, NULL, 0);
    buf_init(&buf, 100);
    OK(sweeps_get_request(fixture->store, id, &buf, &err));
    assert_string_equal(buf_text(&buf), "{\"a\":1}");
    FAILS(ERR_NOT_FOUND, sweeps_get_request(fixture->store, 99, &buf, &err));
    buf_free(&buf);
    buf_init(&buf, 3);
    FAILS(ERR_LIMIT, sweeps_get_request(fixture->store, id, &buf, &err));
    buf_free(&buf);
}

/* Old sweeps go, but not the one that the series shows the state of. */
static void test_prune(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[3], count = 0;
    struct sweep_row row;
    struct task_row task;
    struct list list = {0};
    fixture_add_revisions(fixture, 2, ids);
    int64_t old = fixture_sweep(fixture, ids, 2, 0);
    (void)fixture_measure(fixture, "a", 1);
    (void)fixture_measure(fixture, "b", 1);
    int64_t half = fixture_sweep(fixture, ids, 1, 0);
    (void)fixture_measure(fixture, "a", 1);
    int64_t running = fixture_sweep(fixture, ids, 2, 0);
    int64_t later = clock_wall_ms() + 1000;
    OK(sweeps_prune(fixture->store, 0, &(int64_t){0}, 100, &count, &(int){0}, &err));
    assert_int_equal(count, 0);
    OK(sweeps_prune(fixture->store, later, &(int64_t){0}, 100, &count, &(int){0}, &err));
    assert_int_equal(count, 2); /* the running one has newer tasks of both revisions */
    FAILS(ERR_NOT_FOUND, sweeps_get(fixture->store, old, &row, &err));
    FAILS(ERR_NOT_FOUND, sweeps_get(fixture->store, half, &row, &err));
    FAILS(ERR_NOT_FOUND, tasks_get(fixture->store, 1, &task, &err));
    OK(sweeps_get(fixture->store, running, &row, &err));
    OK(sweeps_cancel(fixture->store, running, &err));
    OK(sweeps_prune(fixture->store, later, &(int64_t){0}, 100, &count, &(int){0}, &err));
    assert_int_equal(count, 0);
    FAILS(ERR_INVALID, sweeps_prune(fixture->store, later, &(int64_t){0}, 0, &count, &(int){0}, &err));
    OK(sweeps_list(fixture->store, &(struct sweeps_query){.limit = 10}, collect, &list, &err));
    assert_int_equal(list.count, 1);
    fixture_check_database(fixture);
}

/* Writers wait while sweeps are deleted: of large ones few go at once, and all go in the end. */
static void test_prune_in_parts(void **state)
{
    struct fixture *fixture = *state;
    static const int parts[] = {2, 1, 2, 0};
    int64_t after = 0, count = 0;
    char sql[128];
    (void)snprintf(sql, sizeof sql, "UPDATE sweeps SET tasks_done = %d * CASE id WHEN 3 THEN 20 ELSE 1 END",
                   SWEEPS_PRUNE_TASKS / 2);
    for (int i = 0; i < 5; i++)
        OK(sweeps_cancel(fixture->store, create(fixture, NULL, 0), &err));
    (void)sql_run(fixture->path, sql);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        int is_over = 0;
        OK(sweeps_prune(fixture->store, clock_wall_ms() + 1000, &after, 100, &count, &is_over, &err));
        assert_int_equal(count, parts[i]);
        assert_int_equal(is_over, parts[i] == 0);
    }
}

/* So do the tasks of one, which its end may come between. */
static void test_prune_one_in_parts(void **state)
{
    struct fixture *fixture = *state;
    int64_t after = 0, count = 0;
    struct sweep_row row;
    int64_t id = create(fixture, NULL, 0);
    OK(sweeps_cancel(fixture->store, id, &err));
    (void)sql_run(fixture->path,
                  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) "
                  "INSERT INTO revisions (model_id, name, commit_sha, step, first_seen_ms) "
                  "SELECT 1, 'step' || i, i, i, 1 FROM n;"
                  "INSERT INTO tasks (sweep_id, revision_id, ordinal, state) "
                  "SELECT 1, id, id, 'cancelled' FROM revisions;"
                  "INSERT INTO sweeps (id, model_id, state, request, priority, created_ms) "
                  "VALUES (2, 1, 'running', '{}', 0, 1);"
                  "INSERT INTO tasks (sweep_id, revision_id, ordinal, state) "
                  "SELECT 2, id, id, 'queued' FROM revisions;"
                  "UPDATE sweeps SET tasks_cancelled = 2500 WHERE id = 1");
    uint64_t version = store_version(fixture->store);
    for (int i = 1; i <= 3; i++) {
        int is_over = 1;
        OK(sweeps_prune(fixture->store, clock_wall_ms() + 1000, &after, 100, &count, &is_over, &err));
        assert_true(count == (i == 3) && !is_over);
        assert_int_equal(store_version(fixture->store) - version, i); /* transactions */
    }
    FAILS(ERR_NOT_FOUND, sweeps_get(fixture->store, id, &row, &err));
    fixture_check_database(fixture);
}

/* However they end, and in whatever order: each is found once, also after the last one was deleted. */
static void test_ends(void **state)
{
    struct fixture *fixture = *state;
    struct err reason = {.code = ERR_NOT_FOUND, .message = "no such model"};
    struct list list = {0};
    struct sweep_row row;
    int64_t first = create(fixture, NULL, 0), second = create(fixture, NULL, 0), third = 0, last = 7, count;
    OK(sweeps_read_logged(fixture->store, &last, &err));
    assert_int_equal(last, 0);
    OK(sweeps_list_ended(fixture->store, 0, 10, collect, &list, &err));
    assert_int_equal(list.count, 0);
    OK(sweeps_fail(fixture->store, second, &reason, &err));
    OK(sweeps_start(fixture->store, first, &err)); /* without tasks: done at once */
    OK(sweeps_cancel(fixture->store, first = create(fixture, NULL, 0), &err));
    OK(sweeps_cancel(fixture->store, first, &err)); /* no second end */
    OK(sweeps_list_ended(fixture->store, 0, 10, collect, &list, &err));
    assert_int_equal(list.count, 3);
    assert_int_equal(list.ids[0], second);
    assert_int_equal(list.ids[2], first);
    OK(sweeps_get(fixture->store, first, &row, &err));
    assert_int_equal(row.end_number, 3);
    OK(sweeps_prune(fixture->store, clock_wall_ms() + 1000, &(int64_t){0}, 10, &count, &(int){0}, &err));
    assert_int_equal(count, 3);
    uint64_t version = store_version(fixture->store);
    OK(sweeps_note_logged(fixture->store, 3, &err));
    assert_true(store_version(fixture->store) == version);
    fixture_reopen(fixture);
    OK(sweeps_read_logged(fixture->store, &last, &err));
    assert_int_equal(last, 3);
    third = create(fixture, NULL, 0);
    OK(sweeps_cancel(fixture->store, third, &err));
    list.count = 0;
    OK(sweeps_list_ended(fixture->store, last, 10, collect, &list, &err));
    assert_int_equal(list.count, 1);
    assert_int_equal(list.ids[0], third);
}

/* Workers that it was submitted for may long work at other sweeps. */
static void test_prune_keeps_live_jobs(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[3], count = 0;
    struct job_row job;
    fixture_add_revisions(fixture, 2, ids);
    int64_t old = fixture_sweep(fixture, ids, 1, 0);
    OK(jobs_create(fixture->store, old, 1, &job, &err));
    (void)fixture_measure(fixture, "a", 1);
    (void)fixture_sweep(fixture, ids, 1, 0);
    int64_t later = clock_wall_ms() + 1000;
    OK(sweeps_prune(fixture->store, later, &(int64_t){0}, 100, &count, &(int){0}, &err));
    assert_int_equal(count, 0);
    job.state = JOB_STATE_ENDED;
    OK(jobs_update(fixture->store, &job, &err));
    OK(sweeps_prune(fixture->store, later, &(int64_t){0}, 100, &count, &(int){0}, &err));
    assert_int_equal(count, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_idempotency),
        CASE(test_metrics),
        CASE(test_next_planning),
        CASE(test_failed_plan),
        CASE(test_list),
        CASE(test_request_text),
        CASE(test_prune),
        CASE(test_prune_in_parts),
        CASE(test_prune_one_in_parts),
        CASE(test_prune_keeps_live_jobs),
        CASE(test_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
