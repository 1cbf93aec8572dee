/* Which sweeps a worker leaves to others, and for how long. */
#include "tests/unit/base/fixture.h"

#include "daemon/remote/left_list.h"

static void test_a_sweep_is_left_for_a_while(void **state)
{
    struct left_list list = {.count = 0};
    int64_t ids[WIRE_EXCEPT_MAX];
    (void)state;
    left_list_note(&list, 7, 0);
    left_list_note(&list, 8, 1000);
    left_list_note(&list, 7, 2000); /* another slot was at it */
    assert_int_equal(left_list_read(&list, 2000, ids), 2);
    assert_int_equal(ids[0], 8);
    assert_int_equal(ids[1], 7);
    assert_int_equal(left_list_read(&list, LEFT_LIST_KEEP_MS + 1000, ids), 1);
    assert_int_equal(ids[0], 7);
    assert_int_equal(left_list_read(&list, LEFT_LIST_KEEP_MS + 2000, ids), 0);
}

static void test_the_oldest_makes_room(void **state)
{
    struct left_list list = {.count = 0};
    int64_t ids[WIRE_EXCEPT_MAX];
    (void)state;
    for (int64_t id = 1; id <= WIRE_EXCEPT_MAX; id++) {
        assert_false(left_list_is_full(&list));
        left_list_note(&list, id, 0);
    }
    assert_true(left_list_is_full(&list));
    left_list_note(&list, 1, 0); /* is there already */
    left_list_note(&list, 1000, 0);
    assert_int_equal(left_list_read(&list, 0, ids), WIRE_EXCEPT_MAX);
    assert_int_equal(ids[0], 3);
    assert_int_equal(ids[WIRE_EXCEPT_MAX - 1], 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sweep_is_left_for_a_while),
        cmocka_unit_test(test_the_oldest_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
