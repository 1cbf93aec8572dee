/* A pulse is its thread's alone, and shows when the thread stands still. */
#include "tests/unit/base/fixture.h"

#include "daemon/base/clock.h"
#include "daemon/base/pulse.h"

#include <pthread.h>
#include <stdatomic.h>

struct worker {
    struct pulse pulse;
    atomic_int phase; /* 1: beat, 2: stand still, 3: end */
};

static void *work(void *context)
{
    struct worker *worker = context;
    pulse_attach(&worker->pulse);
    while (atomic_load(&worker->phase) != 3) {
        if (atomic_load(&worker->phase) == 1)
            pulse_beat();
        clock_sleep_ms(1);
    }
    return NULL;
}

static void test_beats_of_a_thread(void **state)
{
    (void)state;
    struct worker worker = {.phase = 1};
    pthread_t thread;
    assert_int_equal(pulse_age_ms(&worker.pulse), 0); /* not begun is not stuck */
    pulse_beat();                                     /* of this thread, which has none */
    assert_int_equal(pulse_age_ms(&worker.pulse), 0);
    assert_int_equal(pthread_create(&thread, NULL, work, &worker), 0);
    while (atomic_load(&worker.pulse.beat_ms) == 0)
        clock_sleep_ms(1);
    int64_t first = atomic_load(&worker.pulse.beat_ms);
    while (atomic_load(&worker.pulse.beat_ms) == first)
        clock_sleep_ms(1); /* it goes on */
    atomic_store(&worker.phase, 2);
    clock_sleep_ms(20); /* a beat that was under way */
    int64_t last = atomic_load(&worker.pulse.beat_ms);
    clock_sleep_ms(60);
    pulse_beat();
    assert_true(atomic_load(&worker.pulse.beat_ms) == last);
    assert_true(pulse_age_ms(&worker.pulse) >= 60);
    atomic_store(&worker.phase, 3);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_beats_of_a_thread)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
