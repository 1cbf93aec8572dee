/* Retention goes by a clock that may be wrong. */
#include "tests/unit/store/fixture.h"

#include "store/retention.h"

#define DAY_MS INT64_C(86400000)
#define NOW_MS INT64_C(1795000000000) /* in 2026 */

static int64_t time_at(struct fixture *fixture, int64_t wall_ms)
{
    int64_t now_ms = 0;
    OK(retention_time(fixture->store, wall_ms, &now_ms, &err));
    return now_ms;
}

/* Days, hours, weeks between looks: the clock is believed at once if it runs as clocks do. */
static void test_follows_a_clock_that_runs(void **state)
{
    struct fixture *fixture = *state;
    int64_t at = NOW_MS;
    for (int i = 0; i < 50; i++, at += i % 2 ? DAY_MS : DAY_MS / 24)
        assert_int_equal(time_at(fixture, at), at);
    fixture_reopen(fixture);
    assert_int_equal(time_at(fixture, at), at);
}

/* Ten years ahead: two days are believed, however often somebody looks, and two more with each further day.
 */
static void test_does_not_follow_a_leap(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(time_at(fixture, NOW_MS), NOW_MS);
    int64_t leap = NOW_MS + 3650 * DAY_MS;
    assert_int_equal(time_at(fixture, leap), NOW_MS + 2 * DAY_MS);
    for (int64_t i = 1; i < 10; i++) {
        fixture_reopen(fixture); /* as a daemon that crashes at each start */
        assert_in_range(time_at(fixture, leap + i * 60000), NOW_MS, NOW_MS + 4 * DAY_MS);
    }
    assert_int_equal(time_at(fixture, leap + DAY_MS), NOW_MS + 4 * DAY_MS);
    assert_int_equal(time_at(fixture, leap + 2 * DAY_MS), NOW_MS + 6 * DAY_MS);
    /* Set right again: believed at once, and so is the next day. */
    assert_int_equal(time_at(fixture, NOW_MS + 3 * DAY_MS), NOW_MS + 3 * DAY_MS);
    assert_int_equal(time_at(fixture, NOW_MS + 4 * DAY_MS), NOW_MS + 4 * DAY_MS);
}

/* A machine that was off for a month catches up within one; one that began in 1970 loses nothing by it. */
static void test_catches_up(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(time_at(fixture, NOW_MS), NOW_MS);
    assert_int_equal(time_at(fixture, 1000), 1000); /* younger than everything: nothing goes */
    assert_int_equal(time_at(fixture, NOW_MS + 1), NOW_MS + 1);
    int64_t at = NOW_MS + 30 * DAY_MS, days = 0;
    for (; time_at(fixture, at) < at; at += DAY_MS)
        days++;
    assert_in_range(days, 20, 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_follows_a_clock_that_runs, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_does_not_follow_a_leap, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_catches_up, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
