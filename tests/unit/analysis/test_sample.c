/* Whether what was sampled of two checkpoints of one step may be of one run. */
#include "tests/unit/base/fixture.h"

#include "daemon/analysis/sample.h"

#include <math.h>

#define COUNT 1000

static void test_one_run(void **state)
{
    float a[COUNT], near[COUNT], other[COUNT], zeros[COUNT] = {0};
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        a[i] = (float)sin(i);
        near[i] = a[i] + 0.5F * (float)sin(3.7 * i);
        other[i] = (float)sin(1.3 * i);
    }
    assert_true(sample_is_of_one_run(a, a, COUNT));
    assert_true(sample_is_of_one_run(a, near, COUNT));
    assert_false(sample_is_of_one_run(a, other, COUNT));
    assert_true(sample_is_of_one_run(a, zeros, COUNT)); /* that tells nothing */
    a[0] = NAN;
    assert_false(sample_is_of_one_run(a, other, COUNT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_run)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
