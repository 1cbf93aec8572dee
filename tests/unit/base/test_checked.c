#include "tests/unit/base/fixture.h"

#include "daemon/base/checked.h"

static void test_add(void **state)
{
    (void)state;
    uint64_t out = 42;
    assert_int_equal(checked_add_u64(UINT64_MAX - 1, 1, &out), 0);
    assert_true(out == UINT64_MAX);
    out = 42;
    assert_int_not_equal(checked_add_u64(UINT64_MAX, 1, &out), 0);
    assert_true(out == 42);
}

static void test_multiply(void **state)
{
    (void)state;
    uint64_t out = 42;
    size_t size = 42;
    assert_int_equal(checked_mul_u64(UINT32_MAX, UINT32_MAX, &out), 0);
    assert_true(out == 0xfffffffe00000001ULL);
    out = 42;
    assert_int_not_equal(checked_mul_u64(1ULL << 32, 1ULL << 32, &out), 0);
    assert_true(out == 42);
    assert_int_equal(checked_mul_u64(0, UINT64_MAX, &out), 0);
    assert_true(out == 0);
    assert_int_not_equal(checked_mul_size(SIZE_MAX / 2 + 1, 2, &size), 0);
    assert_int_equal(size, 42);
    assert_int_equal(checked_mul_size(SIZE_MAX / 2, 2, &size), 0);
    assert_true(size == SIZE_MAX - 1);
}

static void test_range(void **state)
{
    (void)state;
    assert_true(checked_range_within(0, 0, 0));
    assert_true(checked_range_within(10, 0, 10));
    assert_true(checked_range_within(0, 10, 10));
    assert_true(checked_range_within(3, 7, 10));
    assert_false(checked_range_within(3, 8, 10));
    assert_false(checked_range_within(11, 0, 10));
    assert_false(checked_range_within(1, UINT64_MAX, 10)); /* 1 + the largest wraps to 0 */
    assert_false(checked_range_within(UINT64_MAX, 1, 10));
    assert_true(checked_range_within(UINT64_MAX - 1, 1, UINT64_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add),
        cmocka_unit_test(test_multiply),
        cmocka_unit_test(test_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
