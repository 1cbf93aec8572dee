/* Removal: a model goes with all that is its own, and nothing that is another's. */
#include "tests/unit/store/removal_scene.h"

static int64_t before(const int64_t counts[TABLE_COUNT], const char *table)
{
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        if (!strcmp(TABLES[i], table))
            return counts[i];
    }
    fail_msg("%s", table);
    return 0;
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
    int64_t size = sql_ask(fixture->path, "SELECT (SELECT sum(length(data)) FROM distributions) + "
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
    assert_int_equal(size - sql_ask(fixture->path, "SELECT (SELECT sum(length(data)) FROM distributions) + "
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
    OK(sweeps_list(fixture->store, &(struct sweeps_query){.limit = 10}, no_sweep, NULL, &err));
    OK(sweeps_list(fixture->store,
                   &(struct sweeps_query){.state = &(enum sweep_state){SWEEP_STATE_CANCELLED}, .limit = 10},
                   no_sweep, NULL, &err));
    OK(sweeps_list(fixture->store, &(struct sweeps_query){.model_id = old_id, .limit = 10}, no_sweep, NULL,
                   &err));
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

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_all_goes_and_what_is_shared_stays),
        CASE(test_what_refuses_it),
        CASE(test_nothing_shows_it),
        CASE(test_numbers_are_not_used_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
