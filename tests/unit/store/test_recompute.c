/* Statistics written again: in place, and under a new definition. */
#include "tests/unit/store/fixture.h"

#include "store/models.h"
#include "store/recompute.h"
#include "store/series.h"

#include <math.h>

#define ROWS 4

struct made {
    struct statistics_row rows[ROWS];
    size_t count;
};

static int take(void *context, const struct statistics_row *row)
{
    struct made *made = context;
    assert_true(made->count < ROWS);
    made->rows[made->count++] = *row;
    return 0;
}

static int take_id(void *context, int64_t content_id)
{
    *(int64_t *)context = content_id;
    return 0;
}

/* Of the first of two measured revisions. */
static int64_t fill(struct fixture *fixture, struct made *made)
{
    int64_t ids[3];
    *made = (struct made){.count = 0};
    fixture_add_revisions(fixture, 2, ids);
    (void)fixture_sweep(fixture, ids, 2, 0);
    int64_t content = fixture_measure(fixture, "step0", 1);
    (void)fixture_measure(fixture, "step1", 2);
    OK(statistics_list(fixture->store, content, take, made, &err));
    assert_int_equal(made->count, ROWS);
    return content;
}

static uint64_t version(struct fixture *fixture)
{
    int64_t id = 0;
    uint64_t number = 0;
    OK(models_version(fixture->store, "garden/neox-tiny", &id, &number, &err));
    return number;
}

static void find(struct fixture *fixture, const char *revision, struct series_row *row)
{
    OK(series_find(fixture->store, fixture->model_id, TENSOR, revision, NULL, row, &err));
}

static void test_in_place(void **state)
{
    struct fixture *fixture = *state;
    struct made made;
    int64_t content = fill(fixture, &made);
    uint64_t before = version(fixture);
    struct series_row *row = calloc(1, sizeof *row);
    for (size_t i = 0; i < ROWS; i++) {
        made.rows[i].dip = 0.125;
        made.rows[i].q50 = (double)NAN;
    }
    OK(recompute_replace(fixture->store, content, made.rows[0].definition, made.rows, ROWS, &err));
    assert_true(version(fixture) > before);
    find(fixture, "step0", row);
    for (int i = 0; i < SERIES_VARIANT_COUNT; i++) {
        assert_true(row->has_statistics[i]);
        assert_true(row->statistics[i].dip == 0.125);
        assert_true(isnan(row->statistics[i].q50));
    }
    find(fixture, "step1", row);
    assert_false(row->statistics[0].dip == 0.125);
    free(row);
}

static void test_new_definition(void **state)
{
    struct fixture *fixture = *state;
    struct made made;
    int64_t content = fill(fixture, &made), definition = made.rows[0].definition;
    struct series_row *row = calloc(1, sizeof *row);
    for (size_t i = 0; i < ROWS; i++) {
        made.rows[i].definition = definition + 1;
        made.rows[i].dip = 0.25;
    }
    OK(recompute_replace(fixture->store, content, definition, made.rows, 2, &err));
    find(fixture, "step0", row);
    assert_int_equal(row->tensor.definition, definition + 1);
    find(fixture, "step1", row);
    assert_int_equal(row->tensor.definition, definition);
    made.rows[1].definition = definition;
    FAILS(ERR_INVALID, recompute_replace(fixture->store, content, definition, made.rows, 2, &err));
    FAILS(ERR_INVALID, recompute_replace(fixture->store, content, definition, made.rows, 0, &err));
    free(row);
}

/* The fixture keeps no distributions, so there is nothing to compute from. */
static void test_list(void **state)
{
    struct fixture *fixture = *state;
    struct made made;
    int64_t id = 0;
    (void)fill(fixture, &made);
    OK(recompute_list(fixture->store, 0, 0, 10, take_id, &id, &err));
    OK(recompute_list(fixture->store, fixture->model_id, 0, 10, take_id, &id, &err));
    assert_int_equal(id, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_in_place, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_new_definition, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_list, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
