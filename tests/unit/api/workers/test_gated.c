/* Who may not read what a sweep needs, and whether a worker's word fails a task or leaves it to others. */
#include "tests/unit/store/fixture.h"

#include "api/workers/gated.h"
#include "api/workers/state.h"
#include "store/sweeps.h"
#include "store/tasks.h"

static void test_table(void **state)
{
    struct api_gated *gated = api_gated_new(API_GATED_MS);
    int64_t ids[API_GATED_SWEEPS_MAX];
    (void)state;
    assert_non_null(gated);
    api_gated_note(gated, "w", 1, 1000);
    api_gated_note(gated, "w", 2, 2000);
    api_gated_note(gated, "v", 1, 3000);
    assert_true(api_gated_is(gated, "w", 1, 1000));
    assert_false(api_gated_is(gated, "v", 2, 3000));
    assert_false(api_gated_is(gated, "", 1, 3000));
    assert_int_equal(api_gated_list(gated, "w", 3000, ids), 2);
    assert_true(ids[0] == 1 && ids[1] == 2);
    api_gated_note(gated, "w", 1, 4000); /* asked once more */
    assert_int_equal(api_gated_list(gated, "w", 1999 + API_GATED_MS, ids), 2);
    assert_int_equal(api_gated_list(gated, "w", 2000 + API_GATED_MS, ids), 1);
    assert_int_equal(ids[0], 1);
    assert_false(api_gated_is(gated, "w", 1, 4000 + API_GATED_MS));
    api_gated_note(gated, "w", 1, 5000);
    api_gated_note(gated, "v", 2, 5000);
    api_gated_note(gated, "w", 3, 5000);
    api_gated_forget(gated, "w"); /* it has another token */
    assert_false(api_gated_is(gated, "w", 1, 5000) || api_gated_is(gated, "w", 3, 5000));
    assert_true(api_gated_is(gated, "v", 2, 5000));
    api_gated_free(gated);
}

/* The oldest makes room, and no worker has more than can be told. */
static void test_bounds(void **state)
{
    struct api_gated *gated = api_gated_new(API_GATED_MS);
    int64_t ids[API_GATED_SWEEPS_MAX];
    (void)state;
    assert_non_null(gated);
    for (int64_t sweep = 0; sweep <= API_GATED_MAX; sweep++)
        api_gated_note(gated, "w", sweep, 0);
    assert_false(api_gated_is(gated, "w", 0, 0));
    assert_true(api_gated_is(gated, "w", 1, 0) && api_gated_is(gated, "w", API_GATED_MAX, 0));
    assert_int_equal(api_gated_list(gated, "w", 0, ids), API_GATED_SWEEPS_MAX);
    api_gated_free(gated);
}

static struct api_workers *start(struct fixture *fixture, int has_local)
{
    struct api_claims_options options = {.lease_ms = LEASE_MS, .has_local = has_local};
    struct api_workers *workers = NULL;
    OK(api_workers_start(&options, fixture->store, &workers, &err));
    return workers;
}

static void end(struct api_workers *workers)
{
    api_workers_end(workers);
    api_workers_free(workers);
}

static void offer(struct api_workers *workers, const char *worker, int64_t sweep_id, int is_leaving)
{
    struct wire_offer made = {.sweep_id = sweep_id, .is_leaving = is_leaving};
    api_worker_list_note(workers->list, worker, &made, 0, 0);
}

/* Which of sweeps 1 and 2 a worker leaves, as a number of two bits. */
static int left_by(struct api_workers *workers, const char *worker)
{
    int64_t ids[API_WORKERS_LEFT_MAX];
    int bits = 0;
    size_t count = api_workers_list_left(workers, worker, ids);
    for (size_t i = 0; i < count; i++)
        bits |= 1 << (ids[i] - 1);
    return bits;
}

static void test_alone(void **state)
{
    struct api_workers *workers = start(*state, 0);
    assert_false(api_workers_leave(workers, "w/0", 1));
    offer(workers, "w/1", 0, 0); /* the same process */
    offer(workers, "bound/0", 2, 0);
    offer(workers, "leaving/0", 0, 1);
    assert_false(api_workers_leave(workers, "w/1", 1));
    assert_int_equal(left_by(workers, "w/0"), 0); /* so it takes, and fails, what is left of the sweep */
    end(workers);
}

static void test_others(void **state)
{
    struct api_workers *workers = start(*state, 0);
    offer(workers, "w/0", 0, 0);
    offer(workers, "v/0", 0, 0);
    assert_true(api_workers_leave(workers, "w/0", 1));
    assert_int_equal(left_by(workers, "w/7"), 1);
    assert_int_equal(left_by(workers, "v/0"), 0);
    offer(workers, "bound/0", 1, 0);
    assert_true(api_workers_leave(workers, "v/0", 1)); /* to the one that is bound to it */
    assert_true(left_by(workers, "v/0") == 1 && left_by(workers, "w/0") == 1);
    assert_false(api_workers_leave(workers, "bound/0", 1));
    assert_true(left_by(workers, "v/0") == 0 && left_by(workers, "w/0") == 0);
    assert_true(api_workers_leave(workers, "w/0", 2)); /* of another sweep nothing is said yet */
    end(workers);
}

static void test_local(void **state)
{
    struct api_workers *workers = start(*state, 1);
    assert_true(api_workers_leave(workers, "w/0", 1)); /* the daemon measures, too */
    assert_false(api_workers_leave(workers, "local/0", 1));
    assert_false(api_workers_leave(workers, "w/0", 1));
    offer(workers, "v/0", 0, 0);
    assert_true(api_workers_leave(workers, "local/3", 1));
    end(workers);
}

/* Just after the daemon has started, those who had tasks of the sweep before may not have spoken yet. */
static void test_after_a_start(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[3];
    struct task_row task;
    fixture_add_revisions(fixture, 2, ids);
    int64_t sweep = fixture_sweep(fixture, ids, 2, 0);
    OK(tasks_claim(fixture->store, &(struct tasks_claimant){"v/0", LEASE_MS, NULL}, NULL, &task, NULL, &err));
    clock_sleep_ms(2);
    struct api_workers *workers = start(fixture, 1);
    OK(tasks_claim(fixture->store, &(struct tasks_claimant){"w/0", LEASE_MS, NULL}, NULL, &task, NULL,
                   &err)); /* in this life */
    assert_true(api_workers_leave(workers, "local/0", sweep));
    assert_int_equal(left_by(workers, "local/0"), 1);
    assert_false(api_workers_leave(workers, "v/0", sweep));
    workers->started_ms -= API_WORKER_SILENT_MS;
    assert_false(api_workers_leave(workers, "local/0", sweep));
    assert_int_equal(left_by(workers, "local/0"), 0);
    end(workers);
}

/* What a worker was refused of a model's sweeps counts for the model's next one, with the token that it has.
 */
static void test_models(void **state)
{
    struct fixture *fixture = *state;
    struct sweep_row row;
    int64_t ids[3];
    fixture_add_revisions(fixture, 2, ids);
    int64_t sweep = fixture_sweep(fixture, ids, 2, 0);
    OK(sweeps_get(fixture->store, sweep, &row, &err));
    struct api_workers *workers = start(fixture, 0);
    assert_true(api_workers_may_read(workers, row.model_id, 1)); /* by those to come */
    assert_false(api_workers_may_read(workers, row.model_id, 0));
    offer(workers, "w/0", 0, 0);
    offer(workers, "bound/0", row.model_id, 0); /* to a sweep of this number, which is over by then */
    assert_true(api_workers_may_read(workers, row.model_id, 0));
    (void)api_workers_leave(workers, "w/0", sweep);
    for (int has_access = 0; has_access < 2; has_access++)
        assert_false(api_workers_may_read(workers, row.model_id, has_access));
    assert_true(api_workers_may_read(workers, row.model_id + 1, 0));
    workers->options.has_local = 1;
    assert_true(api_workers_may_read(workers, row.model_id, 1));
    assert_false(api_workers_may_read(workers, row.model_id, 0));
    api_workers_note_access(workers, "w/0", row.model_id + 1);
    assert_false(api_workers_may_read(workers, row.model_id, 0));
    api_workers_note_access(workers, "w/0", row.model_id);
    assert_true(api_workers_may_read(workers, row.model_id, 0));
    (void)api_workers_leave(workers, "w/0", sweep);
    api_workers_forget_left(workers, "w/0");
    assert_true(api_workers_may_read(workers, row.model_id, 0));
    end(workers);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_bounds),
        CASE(test_models),
        CASE(test_alone),
        CASE(test_others),
        CASE(test_local),
        CASE(test_after_a_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
