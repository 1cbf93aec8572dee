/* What a task is measured beside: its neighbours, unless one of them may have been what it failed of. */
#include "tests/unit/base/fixture.h"

#include "daemon/measure/measure.h"

static void only_what_may_have_been_the_device_is_measured_alone(void **state)
{
    static const struct {
        int code, is_alone;
    } cases[] = {
        {ERR_DEVICE_LOST, 1}, {ERR_DEVICE, 1},   {ERR_NO_MEMORY, 1}, {ERR_TIMEOUT, 1},
        {ERR_INTERNAL, 1},    {ERR_HTTP, 0},     {ERR_NETWORK, 0},   {ERR_RATE_LIMITED, 0},
        {ERR_NO_SPACE, 0},    {ERR_MISMATCH, 0}, {ERR_GATED, 0},
    };
    struct task_row task = {.failures = 0};
    (void)state;
    assert_false(measure_is_alone(&task));
    task.failures = 1; /* a daemon that does not say of what */
    assert_true(measure_is_alone(&task));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)snprintf(task.error_code, sizeof task.error_code, "%s", err_name(cases[i].code));
        if (measure_is_alone(&task) != cases[i].is_alone)
            fail_msg("%s", task.error_code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_may_have_been_the_device_is_measured_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
