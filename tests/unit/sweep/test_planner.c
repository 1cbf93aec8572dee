#include "tests/unit/service/fixture.h"

#include "daemon/base/reserve.h"
#include "daemon/sweep/revision_list.h"
#include "store/connection.h"
#include "store/query.h"

/* step0 .. step4 in powers, so that the order of names is not that of steps, and main. */
static void add_run(struct fixture *fixture)
{
    fixture_add_revision(fixture, "step1000", 5);
    fixture_add_revision(fixture, "step0", 1);
    fixture_add_revision(fixture, "step1", 1);
    fixture_add_revision(fixture, "step200", 4);
    fixture_add_revision(fixture, "step30", 3);
    fixture_add_revision(fixture, "notes", 9);
}

/* "revision<reference<previous ..." of all tasks in order. */
static void check_tasks(struct fixture *fixture, int64_t sweep, const char *expected)
{
    struct fixture_tasks tasks;
    struct buf text;
    buf_init(&text, 4096);
    fixture_list_tasks(fixture, sweep, &tasks);
    for (size_t i = 0; i < tasks.count; i++) {
        (void)buf_appendf(&text, "%s%s", i ? " " : "", tasks.rows[i].revision);
        (void)buf_appendf(&text, "<%s", fixture_name_of(fixture, tasks.rows[i].reference_revision_id));
        (void)buf_appendf(&text, "<%s", fixture_name_of(fixture, tasks.rows[i].previous_revision_id));
    }
    assert_string_equal(buf_text(&text), expected);
    buf_free(&text);
}

static int64_t plan(struct fixture *fixture, const char *json, enum sweep_state expected)
{
    struct sweep_row sweep;
    int64_t id = fixture_ask(fixture, json);
    fixture_plan(fixture);
    fixture_get_sweep(fixture, id, &sweep);
    if (sweep.state != expected)
        fail_msg("the sweep is %s: %s", sweep_state_name(sweep.state), sweep.error_message);
    return id;
}

static void check_failure(struct fixture *fixture, const char *json, const char *code, const char *words)
{
    struct sweep_row sweep;
    fixture_get_sweep(fixture, plan(fixture, json, SWEEP_STATE_FAILED), &sweep);
    assert_string_equal(sweep.error_code, code);
    if (!strstr(sweep.error_message, words))
        fail_msg("\"%s\" does not say \"%s\"", sweep.error_message, words);
}

static void test_nothing_to_plan(void **state)
{
    struct planner planner = fixture_planner(*state);
    int planned = 1;
    OK(planner_run_once(&planner, &planned, &err));
    assert_int_equal(planned, 0);
}

static void test_all_steps_in_order(void **state)
{
    struct fixture *fixture = *state;
    struct model_row model;
    struct sweep_row sweep;
    add_run(fixture);
    int64_t id = plan(fixture, "{}", SWEEP_STATE_RUNNING);
    check_tasks(
        fixture, id,
        "step0<step0< step1<step0<step0 step30<step0<step1 step200<step0<step30 step1000<step0<step200");
    fixture_get_sweep(fixture, id, &sweep);
    assert_int_equal(sweep.bytes_expected, 5 * ELEMENTS * 2);
    /* What the model is was learnt from its files. */
    OK(models_get(fixture->store, sweep.model_id, &model, &err));
    assert_string_equal(model.tensor, TENSOR);
    assert_string_equal(model.model_type, "gpt_neox");
    assert_int_equal(model.vocabulary_size, ROWS);
    assert_int_equal(model.token_rows, ROWS);
    assert_int_equal(model.hidden_size, COLUMNS);
    assert_int_equal(model.revision_count, 5);
    /* Perplexity needs all weights. */
    assert_true(model.parameter_count > ELEMENTS);
    id = plan(fixture, "{\"metrics\": [\"perplexity\"]}", SWEEP_STATE_RUNNING);
    fixture_get_sweep(fixture, id, &sweep);
    assert_int_equal(sweep.bytes_expected, 5 * model.parameter_count * 2);
}

static void test_bounds_keep_the_neighbour(void **state)
{
    struct fixture *fixture = *state;
    add_run(fixture);
    check_tasks(fixture, plan(fixture, "{\"revisions\":{\"from\":30,\"to\":200}}", SWEEP_STATE_RUNNING),
                "step30<step0<step1 step200<step0<step30");
}

static void test_every_thins_out(void **state)
{
    struct fixture *fixture = *state;
    add_run(fixture);
    check_tasks(fixture, plan(fixture, "{\"revisions\":{\"every\":3}}", SWEEP_STATE_RUNNING),
                "step0<step0< step200<step0<step0 step1000<step0<step200");
    check_tasks(fixture, plan(fixture, "{\"revisions\":{\"every\":100}}", SWEEP_STATE_RUNNING),
                "step0<step0< step1000<step0<step0");
}

static void test_names(void **state)
{
    struct fixture *fixture = *state;
    add_run(fixture);
    check_tasks(fixture,
                plan(fixture, "{\"revisions\":{\"names\":[\"notes\",\"step30\"]}}", SWEEP_STATE_RUNNING),
                "step30<step0<step1 notes<step0<");
}

static void test_reference(void **state)
{
    struct fixture *fixture = *state;
    add_run(fixture);
    check_tasks(fixture,
                plan(fixture, "{\"reference\":\"step200\",\"revisions\":{\"to\":1}}", SWEEP_STATE_RUNNING),
                "step0<step200< step1<step200<step0");
}

/* A name that does not exist gets its task, which will tell; the others go on. */
static void test_unknown_name(void **state)
{
    struct fixture *fixture = *state;
    struct fixture_tasks tasks;
    add_run(fixture);
    int64_t id = plan(fixture, "{\"revisions\":{\"names\":[\"step1\",\"step77\"]}}", SWEEP_STATE_RUNNING);
    fixture_list_tasks(fixture, id, &tasks);
    assert_int_equal(tasks.count, 2);
    assert_string_equal(tasks.rows[1].revision, "step77");
    assert_string_equal(tasks.rows[1].commit, REVISION_NO_COMMIT);
}

/* Nor does it take its neighbour's place as reference. */
static void test_unknown_name_is_no_reference(void **state)
{
    struct fixture *fixture = *state;
    fixture_add_revision(fixture, "step30", 1);
    fixture_add_revision(fixture, "step200", 2);
    check_tasks(
        fixture,
        plan(fixture, "{\"revisions\":{\"names\":[\"step0\",\"step199\",\"step200\"]}}", SWEEP_STATE_RUNNING),
        "step0<step30< step199<step30<step30 step200<step30<step30");
}

/* A revision that does not exist is no part of the run for the sweeps after. */
static void test_unknown_name_does_not_stay(void **state)
{
    struct fixture *fixture = *state;
    add_run(fixture);
    (void)plan(fixture, "{\"revisions\":{\"names\":[\"step77\"]}}", SWEEP_STATE_RUNNING);
    check_tasks(fixture, plan(fixture, "{\"revisions\":{\"from\":200}}", SWEEP_STATE_RUNNING),
                "step200<step0<step30 step1000<step0<step200");
}

static void test_rule(void **state)
{
    struct fixture *fixture = *state;
    fixture_add_revision(fixture, "run-b-10", 1);
    fixture_add_revision(fixture, "run-b-9", 2);
    fixture_add_revision(fixture, "step5", 3);
    check_tasks(fixture, plan(fixture, "{\"revisions\":{\"rule\":\"run-b-{step}\"}}", SWEEP_STATE_RUNNING),
                "run-b-9<run-b-9< run-b-10<run-b-9<run-b-9");
}

/* A sweep without a rule takes that of the newest one that was planned with one. */
static void test_rule_is_remembered(void **state)
{
    struct fixture *fixture = *state;
    fixture_add_revision(fixture, "run-b-10", 1);
    fixture_add_revision(fixture, "run-b-9", 2);
    (void)plan(fixture, "{\"revisions\":{\"rule\":\"run-b-{step}\"}}", SWEEP_STATE_RUNNING);
    check_failure(fixture, "{\"revisions\":{\"rule\":\"mistyped-{step}\"}}", "not_found", "named like");
    check_tasks(fixture, plan(fixture, "{\"revisions\":{\"names\":[\"run-b-10\"]}}", SWEEP_STATE_RUNNING),
                "run-b-10<run-b-9<run-b-9");
    check_tasks(fixture, plan(fixture, "{}", SWEEP_STATE_RUNNING),
                "run-b-9<run-b-9< run-b-10<run-b-9<run-b-9");
    /* Also once the sweep that named it has been deleted as an old one. */
    int64_t count = 0;
    for (int64_t id = 1; id < 5; id++)
        (void)sweeps_cancel(fixture->store, id, &(struct err)ERR_INIT);
    OK(sweeps_prune(fixture->store, INT64_MAX, &(int64_t){0}, 100, &count, &(int){0}, &err));
    assert_true(count > 0);
    struct err gone = ERR_INIT;
    assert_int_equal(sweeps_get(fixture->store, 1, &(struct sweep_row){0}, &gone), ERR_NOT_FOUND);
    check_tasks(fixture, plan(fixture, "{}", SWEEP_STATE_RUNNING),
                "run-b-9<run-b-9< run-b-10<run-b-9<run-b-9");
}

static void test_nothing_is_a_step(void **state)
{
    struct fixture *fixture = *state;
    fixture_add_revision(fixture, "notes", 1);
    check_failure(fixture, "{}", "not_found",
                  "none of its 1 branches and tags, such as \"notes\", is named like");
    check_failure(fixture, "{}", "not_found", "a rule (--rule) such as \"run7-{step}\"");
}

static void test_out_of_bounds(void **state)
{
    struct fixture *fixture = *state;
    add_run(fixture);
    check_failure(fixture, "{\"revisions\":{\"from\":2000}}", "not_found", "within the bounds");
}

static void test_empty_and_missing_folders(void **state)
{
    struct fixture *fixture = *state;
    check_failure(fixture, "{}", "not_found", "holds config.json, *.safetensors, *.bin, .metadata of torch");
    assert_int_equal(remove(fixture->models), 0);
    check_failure(fixture, "{}", "not_found", fixture->models);
}

static void test_bad_request(void **state)
{
    struct fixture *fixture = *state;
    add_run(fixture);
    check_failure(fixture, "{\"revisions\":{\"every\":0}}", "invalid", "revisions.every");
    check_failure(fixture, "[]", "format", "not a JSON object");
}

/* A model whose files cannot be understood is planned nevertheless; its tasks will say why. */
static void test_unreadable_model_is_planned(void **state)
{
    struct fixture *fixture = *state;
    struct model_row model;
    struct sweep_row sweep;
    fixture_add_revision(fixture, "step0", 1);
    fixture_write_text(fixture_path(fixture->models, "step0/model.safetensors"), "nonsense");
    int64_t id = plan(fixture, "{}", SWEEP_STATE_RUNNING);
    fixture_get_sweep(fixture, id, &sweep);
    OK(models_get(fixture->store, sweep.model_id, &model, &err));
    assert_string_equal(model.tensor, "");
}

static void test_cancelled_while_planning(void **state)
{
    struct fixture *fixture = *state;
    struct planner planner = fixture_planner(fixture);
    struct sweep_row sweep;
    int planned = 0;
    add_run(fixture);
    int64_t id = fixture_ask(fixture, "{}");
    atomic_store(&fixture->cancel, true);
    FAILS(ERR_CANCELLED, "", planner_run_once(&planner, &planned, &err));
    fixture_get_sweep(fixture, id, &sweep);
    assert_int_equal(sweep.state, SWEEP_STATE_PLANNING); /* the next start of the daemon plans it */
    atomic_store(&fixture->cancel, false);
    fixture_plan(fixture);
    fixture_get_sweep(fixture, id, &sweep);
    assert_int_equal(sweep.state, SWEEP_STATE_RUNNING);
    assert_int_equal(sweep.tasks[TASK_STATE_QUEUED], 5);
}

static void test_oldest_first(void **state)
{
    struct fixture *fixture = *state;
    struct sweep_row sweep;
    add_run(fixture);
    int64_t first = fixture_ask(fixture, "{}"), second = fixture_ask(fixture, "{}");
    fixture_plan(fixture);
    fixture_get_sweep(fixture, first, &sweep);
    assert_int_equal(sweep.state, SWEEP_STATE_RUNNING);
    fixture_get_sweep(fixture, second, &sweep);
    assert_int_equal(sweep.state, SWEEP_STATE_PLANNING);
}

#define PLANS(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

/* Whether the database may take more pages than it has. */
static void let_grow(struct fixture *fixture, int may_grow)
{
    struct connection *connection = NULL;
    struct query query;
    int64_t pages = 0;
    OK(store_write_begin(fixture->store, CONNECTION_DURABILITY_CRASH, &connection, &err));
    OK(query_begin(&query, connection,
                   may_grow ? "PRAGMA max_page_count = 1000000" : "PRAGMA max_page_count = 1", &err));
    assert_int_equal(query_run_int(&query, &pages, &(struct err)ERR_INIT), 1);
    OK(store_write_end(fixture->store, 0, &err));
}

static int64_t ask_of(struct fixture *fixture, const char *model)
{
    int64_t id = 0;
    struct sweep_request request = {.request = "{}"};
    OK(models_ensure(fixture->store, model, MODEL_KIND_FOLDER, &request.model_id, &err));
    OK(sweeps_create(fixture->store, &request, &id, NULL, &err));
    return id;
}

static void run_planner(struct planner *planner)
{
    int planned = 0;
    OK(planner_run_once(planner, &planned, &err));
    assert_int_equal(planned, 1);
}

static void test_a_plan_without_room_lets_others_pass(void **state)
{
    struct fixture *fixture = *state;
    struct planner planner = fixture_planner(fixture);
    struct sweep_row sweep;
    char other[256], name[64];
    add_run(fixture);
    (void)snprintf(other, sizeof other, "%s/other", (const char *)fixture->folder);
    for (int i = 0; i < 300; i++) {
        char folder[512];
        (void)snprintf(name, sizeof name, "step%d", i);
        (void)snprintf(folder, sizeof folder, "%s/%s", other, name);
        OK(file_make_folders(folder, 0700, &err));
        fixture_write_text(fixture_path(folder, "config.json"), "{}");
    }
    memmove(other + 5, other, strlen(other) + 1);
    memcpy(other, "file:", 5);
    int64_t large = ask_of(fixture, other), small = fixture_ask(fixture, "{}");
    OK(reserve_new(fixture_path(fixture->folder, "state"), &planner.reserve, &err));
    let_grow(fixture, 0);
    run_planner(&planner);
    fixture_get_sweep(fixture, large, &sweep);
    assert_int_equal(sweep.state, SWEEP_STATE_PLANNING);
    assert_string_equal(sweep.error_code, "no_space"); /* so that whoever looks knows why */
    run_planner(&planner);
    fixture_get_sweep(fixture, small, &sweep);
    assert_int_equal(sweep.state, SWEEP_STATE_RUNNING);

    int planned = 1;
    OK(planner_run_once(&planner, &planned, &err));
    assert_int_equal(planned, 0); /* it is not tried all the time */
    assert_int_equal(planner.aside_count, 1);
    let_grow(fixture, 1);
    planner.asides[0].until_ms = 0; /* its time has come */
    run_planner(&planner);
    fixture_get_sweep(fixture, large, &sweep);
    assert_int_equal(sweep.state, SWEEP_STATE_RUNNING);
    assert_string_equal(sweep.error_code, "");
    assert_int_equal(planner.aside_count, 0);
    reserve_free(planner.reserve);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLANS(test_nothing_to_plan),
        PLANS(test_all_steps_in_order),
        PLANS(test_bounds_keep_the_neighbour),
        PLANS(test_every_thins_out),
        PLANS(test_names),
        PLANS(test_reference),
        PLANS(test_unknown_name),
        PLANS(test_unknown_name_is_no_reference),
        PLANS(test_unknown_name_does_not_stay),
        PLANS(test_rule),
        PLANS(test_rule_is_remembered),
        PLANS(test_nothing_is_a_step),
        PLANS(test_out_of_bounds),
        PLANS(test_empty_and_missing_folders),
        PLANS(test_bad_request),
        PLANS(test_unreadable_model_is_planned),
        PLANS(test_a_plan_without_room_lets_others_pass),
        PLANS(test_cancelled_while_planning),
        PLANS(test_oldest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
