/* When a task counts as hanging, and what is said of it. */
#include "tests/unit/base/fixture.h"

#include "daemon/base/clock.h"
#include "daemon/measure/hang.h"

#include <string.h>

/* Of a slot that has stood still since the machine was started: what differs is the limit. */
static enum hang judge(int64_t limit_ms, const char *callee, struct err *reason)
{
    struct pulse pulse = {.beat_ms = 1, .callee = callee};
    return hang_judge(&pulse, limit_ms, reason);
}

static void test_limits(void **state)
{
    (void)state;
    struct err reason = ERR_INIT;
    int64_t age_ms = clock_monotonic_ms();
    assert_int_equal(judge(0, NULL, &reason), HANG_NONE); /* switched off */
    assert_int_equal(judge(8 * age_ms, NULL, &reason), HANG_NONE);
    assert_int_equal(reason.code, 0);
    assert_int_equal(judge(2 * age_ms, NULL, &reason), HANG_DOUBT);
    assert_int_equal(judge(age_ms / 2, NULL, &reason), HANG_CERTAIN);
    assert_int_equal(judge(1, NULL, &reason), HANG_CERTAIN);
}

static void test_reasons(void **state)
{
    (void)state;
    struct err reason = ERR_INIT;
    assert_int_equal(judge(1, NULL, &reason), HANG_CERTAIN);
    assert_int_equal(reason.code, ERR_TIMEOUT);
    assert_non_null(strstr(reason.message, "nothing has moved for "));
    assert_non_null(strstr(reason.message, "check dmesg and the folder's mount"));
    assert_true(err_is_transient(reason.code)); /* so that attempts count, not one alone */
    assert_int_equal(judge(1, "the compute device", &reason), HANG_CERTAIN);
    assert_int_equal(reason.code, ERR_DEVICE_LOST);
    assert_non_null(strstr(reason.message, "the compute device has not answered for "));
    assert_non_null(strstr(reason.message, "see dmesg and nvidia-smi"));
    assert_true(err_is_transient(reason.code));
}

static void test_a_slot_that_has_not_begun(void **state)
{
    (void)state;
    struct err reason = ERR_INIT;
    struct pulse pulse = {.beat_ms = 0};
    assert_int_equal(hang_judge(&pulse, 1000, &reason), HANG_NONE);
}

/* A job that its cluster had suspended: what it did then is not held against it. */
static void test_a_process_that_stood_still(void **state)
{
    (void)state;
    struct err reason = ERR_INIT;
    struct pulse pulse = {.beat_ms = 1};
    int64_t limit_ms = clock_monotonic_ms() / 2;
    hang_forgive(&pulse, limit_ms / 2 - 1, limit_ms);
    assert_int_equal(hang_judge(&pulse, limit_ms, &reason), HANG_CERTAIN);
    hang_forgive(&pulse, limit_ms / 2, limit_ms);
    assert_int_equal(hang_judge(&pulse, limit_ms, &reason), HANG_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_limits), cmocka_unit_test(test_reasons),
                                       cmocka_unit_test(test_a_slot_that_has_not_begun),
                                       cmocka_unit_test(test_a_process_that_stood_still)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
