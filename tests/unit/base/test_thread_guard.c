/* That a thread of a test that is not listed is seen (thread_guard.h). */
#include "tests/unit/base/fixture.h"
#include "tests/unit/base/thread_guard.h"

#include <pthread.h>

static int refused_count;

static void count_refused(void)
{
    refused_count++;
}

static void *nothing(void *argument)
{
    return argument;
}

static void test_a_thread_is_refused(void **state)
{
    (void)state;
    pthread_t thread;
    int result = 7;
    void *returned = NULL;
    thread_guard_refuse = count_refused;
    assert_int_equal(pthread_create(&thread, NULL, nothing, &result), 0);
    assert_int_equal(pthread_join(thread, &returned), 0);
    assert_int_equal(refused_count, 1);
    assert_ptr_equal(returned, &result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_thread_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
