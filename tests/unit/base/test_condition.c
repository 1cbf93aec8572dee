/* Bounded waits: over when they said, and not before; ended by whoever wakes them. */
#include "tests/unit/base/fixture.h"

#include "daemon/base/clock.h"
#include "daemon/base/condition.h"

struct shared {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int is_done;
};

static void *finish(void *context)
{
    struct shared *shared = context;
    (void)pthread_mutex_lock(&shared->lock);
    shared->is_done = 1;
    (void)pthread_cond_signal(&shared->changed);
    (void)pthread_mutex_unlock(&shared->lock);
    return NULL;
}

static void test_waits(void **state)
{
    struct shared shared = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    const int64_t begin_ms = clock_monotonic_ms(), hour_ms = 3600000;
    pthread_t thread;
    (void)state;
    (void)pthread_mutex_lock(&shared.lock);
    while (!condition_wait(&shared.changed, &shared.lock, 5)) {
    }
    assert_true(clock_monotonic_ms() >= begin_ms + 5);
    while (!condition_wait_until(&shared.changed, &shared.lock, begin_ms + 5)) { /* which was */
    }
    while (!condition_wait(&shared.changed, &shared.lock, -hour_ms)) {
    }
    assert_int_equal(pthread_create(&thread, NULL, finish, &shared), 0);
    while (!shared.is_done)
        assert_int_equal(condition_wait(&shared.changed, &shared.lock, hour_ms), 0);
    (void)pthread_mutex_unlock(&shared.lock);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_waits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
