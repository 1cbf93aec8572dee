#include "tests/unit/base/fixture.h"

#include "daemon/remote/patience.h"

/* After how many attempts it is over, each of which fails with `code` after so many more beats; at most 1000.
 */
static int count_attempts(int code, int64_t beats_between)
{
    struct patience patience;
    int64_t beats = 7;
    patience_begin(&patience, beats);
    for (int attempt = 1; attempt < 1000; attempt++) {
        beats += beats_between;
        if (patience_is_over(&patience, code, beats))
            return attempt;
    }
    return 1000;
}

static void test_a_daemon_that_is_away_is_waited_for(void **state)
{
    (void)state;
    assert_int_equal(count_attempts(ERR_NETWORK, 0), 1000);
    assert_int_equal(count_attempts(ERR_NO_SPACE, 1),
                     1000); /* its disk is full: it answers, and takes nothing */
    assert_int_equal(count_attempts(ERR_RATE_LIMITED, 1), 1000);
}

static void test_an_answer_again_and_again_is_an_end(void **state)
{
    (void)state;
    assert_int_equal(count_attempts(ERR_HTTP, 0), PATIENCE_ATTEMPTS);
    assert_int_equal(count_attempts(ERR_HTTP, 3), PATIENCE_ATTEMPTS);
}

/* It may be the result itself that ends the daemon, or a proxy on the way that cuts what is large. */
static void test_a_daemon_that_is_there_in_between(void **state)
{
    (void)state;
    assert_int_equal(count_attempts(ERR_NETWORK, 2), PATIENCE_ATTEMPTS);
}

/* A restart in the midst costs one of them, however long it takes. */
static void test_a_restart_costs_one(void **state)
{
    struct patience patience;
    (void)state;
    patience_begin(&patience, 5);
    for (int i = 0; i < PATIENCE_ATTEMPTS - 2; i++)
        assert_false(patience_is_over(&patience, ERR_HTTP, 5));
    assert_false(patience_is_over(&patience, ERR_NETWORK, 6));
    for (int i = 0; i < 1000; i++)
        assert_false(patience_is_over(&patience, ERR_NETWORK, 6));
    assert_true(patience_is_over(&patience, ERR_HTTP, 6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_daemon_that_is_away_is_waited_for),
        cmocka_unit_test(test_an_answer_again_and_again_is_an_end),
        cmocka_unit_test(test_a_daemon_that_is_there_in_between),
        cmocka_unit_test(test_a_restart_costs_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
