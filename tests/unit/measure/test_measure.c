/* What a task is measured beside: its neighbours, unless one of them may have been what it failed of. */
#include "tests/unit/base/fixture.h"

#include "daemon/measure/measure.h"

/* The last failure alone does not tell. */
static void what_once_may_have_been_the_device_is_measured_alone(void **state)
{
    struct task_row task = {.failures = 0};
    (void)state;
    assert_false(measure_is_alone(&task));
    task.failures = 2;
    (void)snprintf(task.error_code, sizeof task.error_code, "network");
    assert_false(measure_is_alone(&task));
    (void)snprintf(task.suspect, sizeof task.suspect, "device_lost");
    assert_true(measure_is_alone(&task));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_once_may_have_been_the_device_is_measured_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
