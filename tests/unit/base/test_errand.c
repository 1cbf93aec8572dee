/* Errands: what comes back, what does not, and what becomes of a place that is silent. */
#include "tests/unit/base/fixture.h"

#include "daemon/base/clock.h"
#include "daemon/base/errand.h"
#include "daemon/base/pulse.h"

#include <stdatomic.h>
#include <stdbool.h>

#define SILENT_MS 20000    /* more than a busy machine keeps a thread waiting; so long nobody waits here */
#define SLOW_SILENT_MS 500 /* of what really moves for longer */

/* A folder that answers when the test says so; until then it is as if it had been silent for so long. */
struct place {
    atomic_bool answers, is_left;
    atomic_int looks, drops;
    atomic_int_least64_t silent_ms;
    int code;
};

static int look(void *context, struct err *err)
{
    struct place *place = context;
    (void)atomic_fetch_add(&place->looks, 1);
    while (!atomic_load(&place->answers)) {
        int64_t silent_ms = atomic_exchange(&place->silent_ms, 0);
        if (silent_ms)
            atomic_store(&pulse_own()->beat_ms, clock_monotonic_ms() - silent_ms);
        clock_sleep_ms(1);
    }
    return place->code ? err_set(err, place->code, "no such place") : 0;
}

static void leave(void *context)
{
    struct place *place = context;
    atomic_store(&place->is_left, true);
}

static void drop(void *context)
{
    struct place *place = context;
    (void)atomic_fetch_add(&place->drops, 1);
}

static int run(struct errands *errands, const char *name, struct place *place, const atomic_bool *cancel,
               int *ret_is_back, struct err *err)
{
    const struct errand errand = {.work = look, .leave = leave, .drop = drop, .context = place};
    return errands_run(errands, name, &errand, cancel, ret_is_back, err);
}

static struct errands *new_errands(int64_t lost_ms)
{
    struct errands *errands = NULL;
    OK(errands_new(SILENT_MS, lost_ms, &errands, &err));
    return errands;
}

static void await_drop(struct place *place)
{
    while (!atomic_load(&place->drops))
        clock_sleep_ms(1);
}

static void test_what_comes_back(void **state)
{
    struct errands *errands = new_errands(0);
    struct place good = {.answers = true}, bad = {.answers = true, .code = ERR_NOT_FOUND};
    int is_back = 0;
    (void)state;
    OK(run(errands, "/a", &good, NULL, &is_back, &err));
    assert_true(is_back);
    is_back = 0;
    FAILS(ERR_NOT_FOUND, "no such place", run(errands, "/a", &bad, NULL, &is_back, &err));
    assert_true(is_back);
    assert_int_equal(atomic_load(&good.drops) + atomic_load(&bad.drops), 0); /* they are the caller's */
    assert_int_equal(errands_silent_count(errands), 0);
    errands_free(errands);
    errands_free(NULL);
}

static void test_a_place_that_is_silent(void **state)
{
    struct errands *errands = new_errands(0);
    struct place dead = {.silent_ms = SILENT_MS}, second = {.code = 0}, other = {.answers = true};
    int is_back = 1;
    (void)state;
    FAILS(ERR_UNREACHABLE, "/dead: has not answered since 2",
          run(errands, "/dead", &dead, NULL, &is_back, &err));
    assert_false(is_back);
    assert_true(atomic_load(&dead.is_left));
    assert_int_equal(atomic_load(&dead.drops), 0); /* its thread still uses it */
    FAILS(ERR_UNREACHABLE, "/dead", run(errands, "/dead", &second, NULL, &is_back, &err));
    assert_int_equal(atomic_load(&second.looks), 0); /* no second thread is lost there */
    assert_int_equal(atomic_load(&second.drops), 1);
    FAILS(ERR_UNREACHABLE, "ls of it, dmesg", errands_check_place(errands, "/dead", &err));
    OK(errands_check_place(errands, "/dea", &err));
    OK(run(errands, "/other", &other, NULL, &is_back, &err));
    assert_int_equal(errands_silent_count(errands), 1);

    atomic_store(&dead.answers, true); /* somebody has mounted it again */
    await_drop(&dead);
    OK(errands_check_place(errands, "/dead", &err));
    OK(run(errands, "/dead", &other, NULL, &is_back, &err));
    assert_true(is_back);
    errands_free(errands);
}

static void test_a_place_that_is_lost(void **state)
{
    struct errands *errands = new_errands(3 * SILENT_MS);
    struct place dead = {.silent_ms = SILENT_MS}, second = {.code = 0};
    struct err looked = ERR_INIT;
    int is_back = 0;
    (void)state;
    FAILS(ERR_UNREACHABLE, "/dead", run(errands, "/dead", &dead, NULL, &is_back, &err));
    atomic_store(&dead.silent_ms, 3 * SILENT_MS);
    while (errands_check_place(errands, "/dead", &looked) == ERR_UNREACHABLE)
        clock_sleep_ms(1);
    FAILS(ERR_TIMEOUT, "once ls of it answers, restart",
          run(errands, "/dead", &second, NULL, &is_back, &err));
    assert_int_equal(atomic_load(&second.looks), 0);
    errands_free(errands); /* what did not come back may still do so */
    atomic_store(&dead.answers, true);
    await_drop(&dead);
}

static void test_cancelled(void **state)
{
    struct errands *errands = new_errands(0);
    struct place slow = {.code = 0};
    atomic_bool cancel = true;
    int is_back = 1;
    (void)state;
    FAILS(ERR_CANCELLED, "", run(errands, "/slow", &slow, &cancel, &is_back, &err));
    assert_false(is_back);
    atomic_store(&slow.answers, true);
    await_drop(&slow);
    errands_free(errands);
}

struct mover {
    struct place place;
    atomic_int_least64_t beat_ms, gap_ms; /* before the last beat; the longest time without one */
};

static int move(void *context, struct err *err)
{
    struct mover *mover = context;
    (void)err;
    for (int i = 0; i < 12; i++) {
        clock_sleep_ms(SLOW_SILENT_MS / 5);
        int64_t last_ms = atomic_exchange(&mover->beat_ms, clock_monotonic_ms());
        pulse_beat();
        int64_t gap_ms = clock_monotonic_ms() - last_ms;
        if (gap_ms > atomic_load(&mover->gap_ms))
            atomic_store(&mover->gap_ms, gap_ms);
    }
    (void)atomic_fetch_add(&mover->place.looks, 1);
    return 0;
}

/* What moves is not silent, however long it takes. Where this machine was, once more. */
static void test_what_is_slow(void **state)
{
    struct errands *errands = NULL;
    (void)state;
    OK(errands_new(SLOW_SILENT_MS, 2 * SLOW_SILENT_MS, &errands, &err));
    for (;;) {
        struct mover slow = {.beat_ms = clock_monotonic_ms()};
        const struct errand errand = {.work = move, .leave = leave, .drop = drop, .context = &slow.place};
        struct err silent = ERR_INIT;
        int is_back = 0, code = errands_run(errands, "/slow", &errand, NULL, &is_back, &silent);
        if (code)
            await_drop(&slow.place);
        assert_int_equal(atomic_load(&slow.place.looks), 1);
        if (code && atomic_load(&slow.gap_ms) >= SLOW_SILENT_MS)
            continue;
        OK(code);
        assert_true(is_back);
        break;
    }
    errands_free(errands);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_comes_back),      cmocka_unit_test(test_a_place_that_is_silent),
        cmocka_unit_test(test_a_place_that_is_lost), cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_what_is_slow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
