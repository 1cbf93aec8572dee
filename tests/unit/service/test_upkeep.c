/* What is deleted between two plans: a few parts each time, in turn, whatever becomes of one of them. */
#include "daemon/upkeep.h"

#include "tests/unit/store/removal_scene.h"

#define CALLS_MAX 100 /* against one that never comes to an end */

static atomic_bool is_stopping;

static struct upkeep make_upkeep(const struct fixture *fixture)
{
    return (struct upkeep){.store = fixture->store, .retention_days = 1, .is_stopping = &is_stopping};
}

/* Until it says that nothing more can go; how many calls that took. */
static int exhaust(struct upkeep *upkeep, int (*go_on)(struct upkeep *upkeep))
{
    int calls = 1;
    while (go_on(upkeep))
        assert_true(++calls < CALLS_MAX);
    return calls;
}

static int64_t count_models(const struct fixture *fixture, const char *removed)
{
    char sql[128];
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM models WHERE removed = '%s'", removed);
    return sql_ask(fixture->path, sql);
}

static void remove_model(struct fixture *fixture, const char *name)
{
    struct removal_counts counts;
    OK(removal_begin(fixture->store, name, &counts, &err));
}

/* Contents of their own in `count` revisions of the fixture's model. */
static void measure_many(struct fixture *fixture, int count)
{
    int64_t *ids = calloc((size_t)count + 1, sizeof *ids);
    char name[32];
    fixture_add_revisions(fixture, count, ids);
    (void)fixture_sweep(fixture, ids, count, 0);
    for (int i = 0; i < count; i++) {
        (void)snprintf(name, sizeof name, "content %d", i);
        (void)measure(fixture, name, 0, 0);
    }
    free(ids);
}

static void test_one_that_fails_keeps_no_other_waiting(void **state)
{
    struct fixture *fixture = *state;
    struct upkeep upkeep = make_upkeep(fixture);
    int64_t revisions[2][4];
    char trigger[200];
    plant(fixture, revisions);
    (void)snprintf(trigger, sizeof trigger,
                   "CREATE TRIGGER stop BEFORE DELETE ON revisions WHEN old.model_id = %lld "
                   "BEGIN SELECT raise(ABORT, 'not this one'); END",
                   (long long)fixture->model_id);
    (void)sql_run(fixture->path, trigger);
    remove_model(fixture, MODEL);
    remove_model(fixture, OTHER);
    (void)exhaust(&upkeep, upkeep_continue_removals);
    assert_int_equal(count_models(fixture, OTHER), 0);
    assert_int_equal(count_models(fixture, MODEL), 1);
    assert_true(upkeep.is_removal_told);
    assert_int_equal(exhaust(&upkeep, upkeep_continue_removals), 1); /* no second try without a pause */
    (void)sql_run(fixture->path, "DROP TRIGGER stop");
    (void)exhaust(&upkeep, upkeep_continue_removals);
    assert_int_equal(sql_ask(fixture->path, "SELECT count(*) FROM models"), 0);
    (void)exhaust(&upkeep, upkeep_continue_removals);
    assert_false(upkeep.is_removal_told);
}

/* More models that fail than there are parts: those behind have their turn, and the round has an end. */
static void test_many_that_fail(void **state)
{
    struct fixture *fixture = *state;
    struct upkeep upkeep = make_upkeep(fixture);
    enum { FAILING = 25 };
    int64_t ids[2];
    char name[32];
    for (int i = 0; i <= FAILING; i++) {
        (void)snprintf(name, sizeof name, "failing/model-%d", i);
        OK(models_ensure(fixture->store, name, MODEL_KIND_HUB, &fixture->model_id, &err));
        fixture_add_revisions(fixture, 1, ids);
        remove_model(fixture, name);
    }
    (void)sql_run(fixture->path,
                  "CREATE TRIGGER stop BEFORE DELETE ON revisions WHEN old.model_id < (SELECT max(id) FROM "
                  "models) BEGIN SELECT raise(ABORT, 'not this one'); END");
    (void)exhaust(&upkeep, upkeep_continue_removals);
    assert_int_equal(count_models(fixture, name), 0);
    assert_int_equal(sql_ask(fixture->path, "SELECT count(*) FROM models WHERE removed IS NOT NULL"),
                     FAILING);
}

/* Plans have their turn between the parts of both. */
static void test_a_few_parts_at_a_time(void **state)
{
    struct fixture *fixture = *state;
    struct upkeep upkeep = make_upkeep(fixture);
    measure_many(fixture, 250);
    (void)sql_run(fixture->path, "UPDATE revisions SET is_current = 0");
    assert_in_range(exhaust(&upkeep, upkeep_continue_retention), 2, 3); /* 200 contents in each */
    assert_int_equal(sql_ask(fixture->path, "SELECT count(*) FROM distributions"), 0);
    assert_int_equal(upkeep.retention.counts.contents, 250);
    assert_int_equal(exhaust(&upkeep, upkeep_continue_retention), 1); /* once a day */
    remove_model(fixture, MODEL);
    assert_true(exhaust(&upkeep, upkeep_continue_removals) > 2);
    assert_int_equal(count_models(fixture, MODEL), 0);
}

/* A daemon that stops ends both, and the next one goes on. */
static void test_stops(void **state)
{
    struct fixture *fixture = *state;
    struct upkeep upkeep = make_upkeep(fixture), next = make_upkeep(fixture);
    measure_many(fixture, 3);
    (void)sql_run(fixture->path, "UPDATE revisions SET is_current = 0");
    atomic_store(&is_stopping, 1);
    assert_false(upkeep_continue_retention(&upkeep));
    assert_int_equal(sql_ask(fixture->path, "SELECT count(*) FROM distributions"), 3);
    remove_model(fixture, MODEL);
    (void)upkeep_continue_removals(&upkeep);
    assert_false(upkeep.is_removal_told);
    assert_int_equal(count_models(fixture, MODEL), 1);
    atomic_store(&is_stopping, 0);
    (void)exhaust(&next, upkeep_continue_retention);
    assert_int_equal(sql_ask(fixture->path, "SELECT count(*) FROM distributions"), 0);
    (void)exhaust(&next, upkeep_continue_removals);
    assert_int_equal(sql_ask(fixture->path, "SELECT count(*) FROM models"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_that_fails_keeps_no_other_waiting, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_many_that_fail, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_a_few_parts_at_a_time, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_stops, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
