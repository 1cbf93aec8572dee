/* A pulse is its thread's alone, and shows when the thread stands still. */
#include "tests/unit/base/fixture.h"

#include "daemon/base/clock.h"
#include "daemon/base/pulse.h"

#include <pthread.h>
#include <stdatomic.h>

struct worker {
    struct pulse pulse;
    atomic_int phase, seen_phase; /* 1: beat, 2: stand still, 3: end */
};

static void *work(void *context)
{
    struct worker *worker = context;
    pulse_attach(&worker->pulse);
    while (atomic_load(&worker->seen_phase) != 3) {
        atomic_store(&worker->seen_phase, atomic_load(&worker->phase));
        if (atomic_load(&worker->seen_phase) == 1)
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
    while (atomic_load(&worker.seen_phase) != 2) /* a beat may be under way */
        clock_sleep_ms(1);
    int64_t last = atomic_load(&worker.pulse.beat_ms);
    clock_sleep_ms(60);
    pulse_beat();
    assert_true(atomic_load(&worker.pulse.beat_ms) == last);
    assert_true(pulse_age_ms(&worker.pulse) >= 60);
    atomic_store(&worker.phase, 3);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

struct helper {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct pulse *pulse; /* of the thread that it works for */
    int is_done;
};

static void *help(void *context)
{
    struct helper *helper = context;
    assert_null(pulse_own());
    pulse_attach(helper->pulse);
    (void)pthread_mutex_lock(&helper->lock);
    helper->is_done = 1;
    (void)pthread_cond_broadcast(&helper->changed);
    (void)pthread_mutex_unlock(&helper->lock);
    return NULL;
}

/* A thread that waits for another is alive, and so is one that another works for. */
static void test_waiting_and_helping(void **state)
{
    (void)state;
    struct pulse pulse = {.beat_ms = 0};
    struct helper helper = {.pulse = &pulse};
    pthread_t thread;
    assert_int_equal(pthread_mutex_init(&helper.lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&helper.changed, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, help, &helper), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(atomic_exchange(&pulse.beat_ms, 0) > 0); /* by the helper */
    pulse_beat_for(&pulse);
    assert_true(atomic_exchange(&pulse.beat_ms, 0) > 0);
    pulse_beat_for(NULL);

    pulse_attach(&pulse);
    assert_ptr_equal(pulse_own(), &pulse);
    atomic_store(&pulse.beat_ms, 0);
    (void)pthread_mutex_lock(&helper.lock);
    pulse_wait(&helper.changed, &helper.lock, 30); /* comes back, though nobody wakes it */
    (void)pthread_mutex_unlock(&helper.lock);
    assert_true(atomic_load(&pulse.beat_ms) > 0);
    pulse_call("somebody");
    assert_string_equal(atomic_load(&pulse.callee), "somebody");
    pulse_call(NULL);
    assert_null(atomic_load(&pulse.callee));
    pulse_attach(NULL);
    (void)pthread_cond_destroy(&helper.changed);
    (void)pthread_mutex_destroy(&helper.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_beats_of_a_thread),
                                       cmocka_unit_test(test_waiting_and_helping)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
