/*
 * Which task a worker is given: what it asks for, what it does not reach, what others are at.
 */
#include "tests/unit/api/workers/claims_fixture.h"
#include "tests/unit/store/sql.h"

static void test_choice(void **state)
{
    struct api_fixture *fixture = *state;
    struct wire_task task;
    struct task_row row;
    int64_t ids[4];
    int64_t sweep = start(fixture, 3, ids);
    struct wire_offer given = an_offer("w/00");
    given.except[given.except_count++] = sweep;
    offer(fixture, &given, 204, NULL);
    given.except_count = 0;
    given.sweep_id = sweep + 1; /* mistyped: nobody would ever come to say so */
    offer(fixture, &given, 400, NULL);
    given.sweep_id = sweep;
    offer(fixture, &given, 201, &task);
    /* Its answer was lost: the slot asks again and gets the same task, which was given back. */
    int64_t before = task.task_id;
    wire_task_free(&task);
    given.is_again = 1;
    offer(fixture, &given, 201, &task);
    assert_int_equal(task.task_id, before);
    get_task(fixture, &task, &row);
    assert_int_equal(row.attempts, 2);
    assert_int_equal(row.failures, 0);
    assert_int_equal(count_events(fixture, before, "its worker did not hear of it"), 1);
    /* Another answer is lost, and the worker leaves. */
    given.is_leaving = 1;
    offer(fixture, &given, 204, NULL);
    get_task(fixture, &task, &row);
    assert_int_equal(row.state, TASK_STATE_QUEUED);
    given.is_leaving = 0;
    wire_task_free(&task);
    offer(fixture, &given, 201, &task);
    wire_task_free(&task);
    json_t *list = fixture_get(fixture, "/v1/workers", 200);
    json_t *worker = json_array_get(json_object_get(list, "workers"), 0);
    assert_string_equal(json_string_value(json_object_get(worker, "name")), "w-" KEY_MARK);
    assert_int_equal(json_integer_value(json_object_get(worker, "running")), 1);
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(json_object_get(worker, "tasks"), 0), "revision")),
        "step0");
    json_decref(list);
}

static void name_models(const struct api_fixture *fixture, const char *name)
{
    char sql[100];
    (void)snprintf(sql, sizeof sql, "UPDATE models SET name = '%s'", name);
    (void)sql_run(fixture->store.path, sql);
}

/* Of a task that no worker can be told of, its sweep says why; the workers go on. */
static void test_untold(void **state)
{
    struct api_fixture *fixture = *state;
    struct wire_task task;
    struct task_row row;
    int64_t ids[4];
    (void)start(fixture, 3, ids);
    struct wire_offer given = an_offer("w/00");
    offer(fixture, &given, 201, &task);
    put(fixture, task.id, "failure", "{\"code\":\"format\",\"message\":\"no checkpoint\"}", 200);
    wire_task_free(&task);
    (void)sql_run(fixture->store.path,
                  "DELETE FROM revisions WHERE name = 'step0'"); /* the reference of the others */
    offer(fixture, &given, 204, NULL);
    offer(fixture, &given, 204, NULL);
    for (int64_t id = 2; id <= 3; id++) {
        OK(tasks_get(fixture->store.store, id, &row, &err));
        assert_int_equal(row.state, TASK_STATE_FAILED);
        assert_non_null(strstr(row.error_message, "no worker can be told of this task: "));
    }
}

/* A worker that does not reach the hub gets folders alone, until the daemon has given up waiting for it, too;
 * what it fails then counts. The daemon is told, and whether that is so of all workers. */
static void test_without_a_hub(void **state)
{
    struct api_fixture *fixture = *state;
    struct wire_task task;
    struct task_row row;
    int64_t ids[4];
    (void)start(fixture, 3, ids);
    struct wire_offer given = an_offer("w/00"), sound = an_offer("v/00");
    (void)snprintf(given.hub_problem, sizeof given.hub_problem, "hub: no such host");
    atomic_store(&doubt_count, 0);
    offer(fixture, &given, 204, NULL);
    assert_int_equal(atomic_load(&doubt_count), 1);
    assert_string_equal(said_of_all, "hub: no such host");
    offer(fixture, &sound, 201, &task);
    put(fixture, task.id, "release", "{}", 200);
    wire_task_free(&task);
    offer(fixture, &given, 204, NULL);
    assert_string_equal(said_of_all, ""); /* the other one reaches it */
    name_models(fixture, "file:/run");
    offer(fixture, &given, 201, &task);
    put(fixture, task.id, "release", "{}", 200);
    wire_task_free(&task);
    name_models(fixture, "owner/file:run");
    offer(fixture, &given, 204, NULL);
    atomic_store(&is_endured, 1);
    offer(fixture, &given, 201, &task);
    put(fixture, task.id, "failure", "{\"code\":\"network\",\"message\":\"no such host\"}", 200);
    get_task(fixture, &task, &row);
    assert_int_equal(row.failures, 1);
    wire_task_free(&task);
}

/* Two workers over one sweep: each walks on from what it has, apart from the other. */
static void test_workers_keep_apart(void **state)
{
    struct api_fixture *fixture = *state;
    static const char *const workers[] = {"v/00", "w/00", "v/01", "w/01", "v/00", "w/01"};
    static const int64_t wanted[] = {0, 4, 1, 5, 2, 6};
    int64_t ids[9];
    (void)start(fixture, 8, ids);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        struct wire_task task;
        struct task_row row;
        claim(fixture, workers[i], &task);
        get_task(fixture, &task, &row);
        assert_int_equal(row.ordinal, wanted[i]);
        wire_task_free(&task);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(test_choice),
        SERVED(test_untold),
        SERVED(test_without_a_hub),
        SERVED(test_workers_keep_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
