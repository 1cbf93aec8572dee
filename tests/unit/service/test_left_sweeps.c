/* What local workers leave to others before the server is there, and once it ends. (With it: tests/e2e.) */
#include "daemon/left_sweeps.h"

#include "daemon/workers/workers.h"

#include "tests/unit/base/fixture.h"

static struct left_sweeps left;

static void *leave(void *context)
{
    *(int *)context = left_sweeps_leave(&left, 1);
    return NULL;
}

static void test_without_a_server(void **state)
{
    int64_t ids[WORKERS_LEFT_MAX];
    int is_left = -1;
    pthread_t thread;
    (void)state;
    left_sweeps_init(&left);
    assert_int_equal(left_sweeps_list(&left, ids), 0);
    left_sweeps_forget(&left);
    assert_int_equal(left_sweeps_may_read(&left, 1, 0), 0);
    assert_int_equal(left_sweeps_may_read(&left, 1, 1), 1);
    assert_int_equal(pthread_create(&thread, NULL, leave, &is_left), 0);
    left_sweeps_serve(&left, NULL); /* who waits for the server goes on */
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(is_left, 1);
    assert_int_equal(left_sweeps_list(&left, ids), WORKERS_LEFT_MAX); /* nothing is claimed any more */
    left_sweeps_free(&left);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_without_a_server)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
