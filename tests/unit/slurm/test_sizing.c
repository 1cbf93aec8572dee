/* How many workers: each rule, and what must hold of any queue. */
#include "tests/unit/base/fixture.h"

#include "daemon/slurm/sizing.h"

#define MAX 16

struct decided {
    struct sizing_action actions[MAX];
    size_t count;
};

static struct decided decide(const struct sizing_demand *demands, size_t demand_count,
                             const struct sizing_supply *supplies, size_t supply_count, int64_t workers_max)
{
    struct decided decided;
    decided.count =
        sizing_decide(demands, demand_count, supplies, supply_count, workers_max, decided.actions, MAX);
    return decided;
}

static void expect_submit(const struct sizing_action *action, int64_t sweep_id, int64_t size)
{
    assert_int_equal(action->kind, SIZING_SUBMIT);
    assert_int_equal(action->sweep_id, sweep_id);
    assert_int_equal(action->size, size);
}

static void test_an_array_as_large_as_the_queue(void **state)
{
    (void)state;
    struct sizing_demand demand = {.sweep_id = 1, .tasks = 3};
    struct decided decided = decide(&demand, 1, NULL, 0, 8);
    assert_int_equal(decided.count, 1);
    expect_submit(&decided.actions[0], 1, 3);
    demand.tasks = 154;
    decided = decide(&demand, 1, NULL, 0, 8);
    assert_int_equal(decided.count, 1);
    expect_submit(&decided.actions[0], 1, 8);
    assert_int_equal(decide(NULL, 0, NULL, 0, 8).count, 0);
    demand.tasks = 0;
    assert_int_equal(decide(&demand, 1, NULL, 0, 8).count, 0);
}

static void test_what_is_missing_is_added(void **state)
{
    (void)state;
    struct sizing_demand demand = {.sweep_id = 1, .tasks = 100};
    struct sizing_supply supplies[] = {{.sweep_id = 1, .pending = 2, .running = 3}};
    assert_int_equal(decide(&demand, 1, supplies, 1, 5).count, 0);
    supplies[0].pending = 1; /* one was killed */
    struct decided decided = decide(&demand, 1, supplies, 1, 5);
    assert_int_equal(decided.count, 1);
    expect_submit(&decided.actions[0], 1, 1);
}

static void test_the_tail_of_a_queue_shrinks(void **state)
{
    (void)state;
    struct sizing_demand demand = {.sweep_id = 1, .tasks = 4};
    struct sizing_supply supplies[] = {{.sweep_id = 1, .pending = 4, .running = 4}};
    struct decided decided = decide(&demand, 1, supplies, 1, 8);
    assert_int_equal(decided.count, 1);
    assert_int_equal(decided.actions[0].kind, SIZING_CANCEL_PENDING);
    demand.tasks = 5; /* one of those that wait may be needed */
    assert_int_equal(decide(&demand, 1, supplies, 1, 8).count, 0);
    supplies[0].pending = 0;
    demand.tasks = 1; /* those that run end by themselves */
    assert_int_equal(decide(&demand, 1, supplies, 1, 8).count, 0);
}

static void test_the_end_of_work(void **state)
{
    (void)state;
    struct sizing_supply supplies[] = {{.sweep_id = 1, .pending = 1, .running = 1},
                                       {.sweep_id = 2, .running = 2}};
    struct decided decided = decide(NULL, 0, supplies, 2, 8);
    assert_int_equal(decided.count, 1);
    assert_int_equal(decided.actions[0].kind, SIZING_CANCEL_PENDING);
    assert_int_equal(decided.actions[0].supply, 0);
}

static void test_a_cancelled_sweep_takes_its_workers_along(void **state)
{
    (void)state;
    struct sizing_demand demand = {.sweep_id = 2, .tasks = 10};
    struct sizing_supply supplies[] = {{.sweep_id = 1, .running = 4, .is_sweep_cancelled = 1}};
    struct decided decided = decide(&demand, 1, supplies, 1, 4);
    assert_int_equal(decided.count, 2);
    assert_int_equal(decided.actions[0].kind, SIZING_CANCEL);
    expect_submit(&decided.actions[1], 2, 4); /* and the other sweep gets its own */
}

static void test_workers_of_a_finished_sweep_serve_others(void **state)
{
    (void)state;
    struct sizing_demand demand = {.sweep_id = 2, .tasks = 10};
    struct sizing_supply supplies[] = {{.sweep_id = 1, .pending = 1, .running = 3}};
    assert_int_equal(decide(&demand, 1, supplies, 1, 4).count, 0);
    struct decided decided = decide(&demand, 1, supplies, 1, 6);
    assert_int_equal(decided.count, 1);
    expect_submit(&decided.actions[0], 2, 2);
}

static void test_sweeps_in_order(void **state)
{
    (void)state;
    struct sizing_demand demands[] = {
        {.sweep_id = 7, .tasks = 3}, {.sweep_id = 2, .tasks = 2}, {.sweep_id = 3, .tasks = 9}};
    struct decided decided = decide(demands, 3, NULL, 0, 6);
    assert_int_equal(decided.count, 3);
    expect_submit(&decided.actions[0], 7, 3);
    expect_submit(&decided.actions[1], 2, 2);
    expect_submit(&decided.actions[2], 3, 1);
}

/* After the actions of any queue: as many workers as tasks, up to the maximum, unless more ran before. */
static void test_any_queue(void **state)
{
    (void)state;
    unsigned seed = 7;
    for (int round = 0; round < 20000; round++) {
        struct sizing_demand demands[3];
        struct sizing_supply supplies[4];
        int64_t tasks = 0, running = 0, live = 0, max = 1 + rand_r(&seed) % 6;
        for (int i = 0; i < 3; i++) {
            demands[i] = (struct sizing_demand){.sweep_id = i + 1, .tasks = rand_r(&seed) % 5};
            tasks += demands[i].tasks;
        }
        for (int i = 0; i < 4; i++)
            supplies[i] = (struct sizing_supply){.sweep_id = 1 + rand_r(&seed) % 5,
                                                 .pending = rand_r(&seed) % 3,
                                                 .running = rand_r(&seed) % 3,
                                                 .is_sweep_cancelled = rand_r(&seed) % 4 == 0};
        for (int i = 0; i < 4; i++) {
            running += supplies[i].is_sweep_cancelled ? 0 : supplies[i].running;
            live += supplies[i].is_sweep_cancelled ? 0 : supplies[i].running + supplies[i].pending;
        }
        struct decided decided = decide(demands, 3, supplies, 4, max);
        int64_t needed = tasks < max ? tasks : max, submitted = 0;
        for (size_t i = 0; i < decided.count; i++) {
            const struct sizing_action *action = &decided.actions[i];
            if (action->kind == SIZING_CANCEL)
                assert_true(supplies[action->supply].is_sweep_cancelled);
            if (action->kind == SIZING_CANCEL_PENDING)
                live -= supplies[action->supply].pending;
            if (action->kind == SIZING_SUBMIT) {
                assert_in_range(action->size, 1, max);
                submitted += action->size;
            }
        }
        assert_true(live >= running);
        assert_true(submitted == 0 || live + submitted == needed);
        assert_true(live + submitted >= needed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_array_as_large_as_the_queue),
        cmocka_unit_test(test_what_is_missing_is_added),
        cmocka_unit_test(test_the_tail_of_a_queue_shrinks),
        cmocka_unit_test(test_the_end_of_work),
        cmocka_unit_test(test_a_cancelled_sweep_takes_its_workers_along),
        cmocka_unit_test(test_workers_of_a_finished_sweep_serve_others),
        cmocka_unit_test(test_sweeps_in_order),
        cmocka_unit_test(test_any_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
