/* The state machines: every move that is allowed, and that no other is. */
#include "tests/unit/store/fixture.h"

#include "store/machine.h"

#define NO (-1)

/* Rows: states; columns: events, in the order of the enums. */
static const int TASK_TABLE[TASK_STATE_COUNT][TASK_EVENT_COUNT] = {
    /* claim, heartbeat, record, retry, fail, expire, exhaust, interrupt, cancel */
    [TASK_STATE_QUEUED] = {TASK_STATE_CLAIMED, NO, NO, NO, NO, NO, NO, NO, TASK_STATE_CANCELLED},
    [TASK_STATE_CLAIMED] = {NO, TASK_STATE_CLAIMED, TASK_STATE_DONE, TASK_STATE_QUEUED, TASK_STATE_FAILED,
                            TASK_STATE_QUEUED, TASK_STATE_FAILED, TASK_STATE_QUEUED, TASK_STATE_CANCELLED},
    [TASK_STATE_DONE] = {NO, NO, NO, NO, NO, NO, NO, NO, NO},
    [TASK_STATE_FAILED] = {NO, NO, NO, NO, NO, NO, NO, NO, NO},
    [TASK_STATE_CANCELLED] = {NO, NO, NO, NO, NO, NO, NO, NO, NO},
};

static const int SWEEP_TABLE[SWEEP_STATE_COUNT][SWEEP_EVENT_COUNT] = {
    /* start, finish, fail, cancel */
    [SWEEP_STATE_PLANNING] = {SWEEP_STATE_RUNNING, NO, SWEEP_STATE_FAILED, SWEEP_STATE_CANCELLED},
    [SWEEP_STATE_RUNNING] = {NO, SWEEP_STATE_DONE, SWEEP_STATE_FAILED, SWEEP_STATE_CANCELLED},
    [SWEEP_STATE_DONE] = {NO, NO, NO, NO},
    [SWEEP_STATE_FAILED] = {NO, NO, NO, NO},
    [SWEEP_STATE_CANCELLED] = {NO, NO, NO, NO},
};

static void test_task_moves(void **state)
{
    (void)state;
    for (int from = 0; from < TASK_STATE_COUNT; from++) {
        int is_final = 1;
        for (int event = 0; event < TASK_EVENT_COUNT; event++) {
            enum task_state to = TASK_STATE_COUNT;
            int is_allowed = task_machine_next((enum task_state)from, (enum task_event)event, &to);
            assert_int_equal(is_allowed, TASK_TABLE[from][event] != NO);
            assert_int_equal(to, is_allowed ? TASK_TABLE[from][event] : TASK_STATE_COUNT);
            is_final &= !is_allowed;
        }
        assert_int_equal(task_state_is_final((enum task_state)from), is_final);
    }
}

static void test_sweep_moves(void **state)
{
    (void)state;
    for (int from = 0; from < SWEEP_STATE_COUNT; from++) {
        int is_final = 1;
        for (int event = 0; event < SWEEP_EVENT_COUNT; event++) {
            enum sweep_state to = SWEEP_STATE_COUNT;
            int is_allowed = sweep_machine_next((enum sweep_state)from, (enum sweep_event)event, &to);
            assert_int_equal(is_allowed, SWEEP_TABLE[from][event] != NO);
            assert_int_equal(to, is_allowed ? SWEEP_TABLE[from][event] : SWEEP_STATE_COUNT);
            is_final &= !is_allowed;
        }
        assert_int_equal(sweep_state_is_final((enum sweep_state)from), is_final);
    }
}

static void test_names(void **state)
{
    (void)state;
    for (int i = 0; i < TASK_STATE_COUNT; i++) {
        enum task_state parsed = TASK_STATE_COUNT;
        assert_true(task_state_parse(task_state_name((enum task_state)i), &parsed));
        assert_int_equal(parsed, i);
    }
    for (int i = 0; i < SWEEP_STATE_COUNT; i++) {
        enum sweep_state parsed = SWEEP_STATE_COUNT;
        assert_true(sweep_state_parse(sweep_state_name((enum sweep_state)i), &parsed));
        assert_int_equal(parsed, i);
    }
    for (int i = 0; i < TASK_EVENT_COUNT; i++)
        assert_string_not_equal(task_event_name((enum task_event)i), "unknown");
    enum task_state parsed = TASK_STATE_DONE;
    assert_false(task_state_parse("", &parsed));
    assert_int_equal(parsed, TASK_STATE_DONE);
    assert_string_equal(task_state_name(TASK_STATE_COUNT), "unknown");
    assert_string_equal(task_event_name(TASK_EVENT_INTERRUPT), "interrupt");
    assert_string_equal(sweep_event_name(SWEEP_EVENT_CANCEL), "cancel");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_task_moves),
        cmocka_unit_test(test_sweep_moves),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
