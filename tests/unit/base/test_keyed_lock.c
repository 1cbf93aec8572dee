/* Who waits for whom at a lock per key, and who stops waiting. */
#include "tests/unit/base/fixture.h"

#include "daemon/base/clock.h"
#include "daemon/base/keyed_lock.h"
#include "daemon/base/pulse.h"

#include <stdbool.h>

struct wanter {
    struct keyed_locks *locks;
    struct keyed_lock own;
    struct pulse pulse;
    atomic_bool cancel, is_alive, is_done;
    pthread_t thread;
    struct err err;
    int code;
};

static void *want(void *context)
{
    struct wanter *wanter = context;
    pulse_attach(&wanter->pulse);
    atomic_store(&wanter->is_alive, true);
    wanter->code = keyed_locks_take(wanter->locks, &wanter->own, &wanter->cancel, &wanter->err);
    atomic_store(&wanter->is_done, true);
    return NULL;
}

static void start(struct wanter *wanter, struct keyed_locks *locks, int64_t number, const char *name)
{
    *wanter =
        (struct wanter){.locks = locks, .own = {.number = number, .name = name}, .err = (struct err)ERR_INIT};
    assert_int_equal(pthread_create(&wanter->thread, NULL, want, wanter), 0);
}

static void join(struct wanter *wanter, int code)
{
    assert_int_equal(pthread_join(wanter->thread, NULL), 0);
    assert_int_equal(wanter->code, code);
}

static void test_other_keys_are_free(void **state)
{
    (void)state;
    struct keyed_locks locks;
    struct keyed_lock keys[] = {
        {.number = 1, .name = "a"}, {.number = 1, .name = "b"}, {.number = 65, .name = "a"}};
    char same[] = "a";
    struct keyed_lock again = {.number = 1, .name = same};
    keyed_locks_init(&locks);
    for (size_t i = 0; i < 3; i++)
        OK(keyed_locks_take(&locks, &keys[i], NULL, &err));
    keyed_locks_give(&locks, &keys[0]); /* the last of the list */
    OK(keyed_locks_take(&locks, &again, NULL, &err));
    keyed_locks_give(&locks, &keys[1]); /* one in the middle */
    keyed_locks_give(&locks, &again);
    keyed_locks_give(&locks, &keys[2]);
    assert_null(locks.held);
    keyed_locks_destroy(&locks);
}

static void test_the_same_key_waits(void **state)
{
    (void)state;
    struct keyed_locks locks;
    struct keyed_lock held = {.number = 1, .name = "a"};
    struct wanter wanters[2];
    keyed_locks_init(&locks);
    OK(keyed_locks_take(&locks, &held, NULL, &err));
    start(&wanters[0], &locks, 1, "a");
    start(&wanters[1], &locks, 1, "a");
    clock_sleep_ms(30);
    assert_false(atomic_load(&wanters[0].is_done) || atomic_load(&wanters[1].is_done));
    keyed_locks_give(&locks, &held);
    while (!atomic_load(&wanters[0].is_done) && !atomic_load(&wanters[1].is_done))
        clock_sleep_ms(1);
    int first = atomic_load(&wanters[0].is_done) ? 0 : 1;
    clock_sleep_ms(30);
    assert_false(atomic_load(&wanters[1 - first].is_done)); /* one at a time */
    keyed_locks_give(&locks, &wanters[first].own);
    join(&wanters[0], 0);
    join(&wanters[1], 0);
    keyed_locks_give(&locks, &wanters[1 - first].own);
    keyed_locks_destroy(&locks);
}

static void test_who_waits_can_be_cancelled(void **state)
{
    (void)state;
    struct keyed_locks locks;
    struct keyed_lock held = {.number = 1, .name = "a"};
    struct wanter wanter;
    keyed_locks_init(&locks);
    OK(keyed_locks_take(&locks, &held, NULL, &err));
    start(&wanter, &locks, 1, "a");
    clock_sleep_ms(10);
    assert_false(atomic_load(&wanter.is_done));
    atomic_store(&wanter.cancel, true);
    join(&wanter, ERR_CANCELLED);
    assert_ptr_equal(locks.held, &held); /* and nothing of it is left */
    assert_null(held.next);
    keyed_locks_give(&locks, &held);
    keyed_locks_destroy(&locks);
}

static void test_who_waits_is_alive(void **state)
{
    (void)state;
    struct keyed_locks locks;
    struct keyed_lock held = {.number = 1, .name = "a"};
    struct wanter wanter;
    keyed_locks_init(&locks);
    OK(keyed_locks_take(&locks, &held, NULL, &err));
    start(&wanter, &locks, 1, "a");
    while (!atomic_load(&wanter.is_alive))
        clock_sleep_ms(1);
    for (int beat = 0; beat < 2; beat++) {
        atomic_store(&wanter.pulse.beat_ms, 0);
        for (int i = 0; i < 30000 && !atomic_load(&wanter.pulse.beat_ms); i++)
            clock_sleep_ms(1);
        assert_true(atomic_load(&wanter.pulse.beat_ms) != 0);
    }
    assert_false(atomic_load(&wanter.is_done));
    keyed_locks_give(&locks, &held);
    join(&wanter, 0);
    keyed_locks_give(&locks, &wanter.own);
    keyed_locks_destroy(&locks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_keys_are_free),
        cmocka_unit_test(test_the_same_key_waits),
        cmocka_unit_test(test_who_waits_can_be_cancelled),
        cmocka_unit_test(test_who_waits_is_alive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
