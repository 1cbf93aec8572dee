/* The gate before the endpoint, on a clock of the test's own: who waits how long, and what is told of it. */
#include "daemon/hub/gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define WALL_MS INT64_C(1000000000000)

static struct gate gate;

/* One turn with one queued request of a bucket; how long it must wait. */
static int64_t turn(enum transfer_bucket bucket, int64_t now_ms, int *ret_tells)
{
    gate_begin_turn(&gate);
    int64_t wait_ms = gate_wait_ms(&gate, bucket, 0, now_ms);
    *ret_tells = gate_end_turn(&gate, now_ms, WALL_MS + now_ms);
    return wait_ms;
}

/* One turn in which nothing is queued. */
static int idle(int64_t now_ms)
{
    gate_begin_turn(&gate);
    return gate_end_turn(&gate, now_ms, WALL_MS + now_ms);
}

static void test_budget(void **state)
{
    int tells = 0;
    (void)state;
    gate_init(&gate, 2, 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(turn(TRANSFER_BUCKET_FILES, 1000, &tells), 0);
        assert_false(tells);
        gate_count(&gate, TRANSFER_BUCKET_FILES);
    }
    gate_count(&gate, TRANSFER_BUCKET_NONE); /* the CDN is not counted */
    assert_int_equal(turn(TRANSFER_BUCKET_NONE, 1000, &tells), 0);
    assert_int_equal(turn(TRANSFER_BUCKET_API, 2000, &tells), 0); /* the hub counts it by itself */
    assert_int_equal(turn(TRANSFER_BUCKET_FILES, 2000, &tells), 299000);
    assert_true(tells);
    assert_int_equal(gate.wait.reason, HUB_WAIT_REQUEST_BUDGET);
    assert_int_equal(gate.wait.until_ms, WALL_MS + 301000);
    assert_int_equal(gate.wait.request_count, 1);
    assert_int_equal(gate.wait.serial, 1);
    assert_int_equal(turn(TRANSFER_BUCKET_FILES, 300999, &tells), 1);
    assert_false(tells); /* once */
    assert_int_equal(gate.wait.serial, 1);
    assert_int_equal(gate.wait.waited_ms, 298999);
    assert_int_equal(turn(TRANSFER_BUCKET_FILES, 301000, &tells), 0);
    assert_false(tells); /* not yet: the next wait may follow at once */
    assert_int_equal(gate.wait.reason, HUB_WAIT_NONE);
    assert_int_equal(gate.wait.until_ms, 0);
    assert_int_equal(gate.wait.request_count, 0);
    assert_int_equal(gate.wait.serial, 2);
    assert_int_equal(gate.wait.waited_ms, 299000);
    assert_false(idle(302999));
    assert_true(idle(303000));
    assert_false(idle(400000));
    assert_int_equal(gate.wait.waited_ms, 299000);
}

static void test_no_budget(void **state)
{
    int tells = 0;
    (void)state;
    gate_init(&gate, 0, 0);
    for (int i = 0; i < 5000; i++)
        gate_count(&gate, TRANSFER_BUCKET_API);
    assert_int_equal(turn(TRANSFER_BUCKET_API, 1, &tells), 0);
    assert_int_equal(gate.wait.reason, HUB_WAIT_NONE);
}

/* The hub asks the API to pause, and files to pause longer: the later end counts. */
static void test_holds(void **state)
{
    int tells = 0;
    (void)state;
    gate_init(&gate, 100, 0);
    gate_hold(&gate, TRANSFER_BUCKET_NONE, HUB_WAIT_RETRY_AFTER, 0, 1000000);
    assert_int_equal(turn(TRANSFER_BUCKET_NONE, 0, &tells), 0);
    gate_hold(&gate, TRANSFER_BUCKET_API, HUB_WAIT_RATE_LIMIT, 0, 10000);
    gate_hold(&gate, TRANSFER_BUCKET_API, HUB_WAIT_RETRY_AFTER, 0, 5000); /* shorter: nothing changes */
    assert_int_equal(turn(TRANSFER_BUCKET_FILES, 0, &tells), 0);
    assert_false(tells); /* nothing is queued that would have to wait */
    gate_begin_turn(&gate);
    assert_int_equal(gate_wait_ms(&gate, TRANSFER_BUCKET_API, 0, 100), 9900);
    assert_int_equal(gate_wait_ms(&gate, TRANSFER_BUCKET_API, 20000, 100),
                     19900); /* its own pause is longer */
    assert_true(gate_end_turn(&gate, 100, WALL_MS));
    assert_int_equal(gate.wait.reason, HUB_WAIT_RATE_LIMIT);
    assert_int_equal(gate.wait.until_ms, WALL_MS + 9900);
    assert_int_equal(gate.wait.request_count, 2);
    gate_hold(&gate, TRANSFER_BUCKET_FILES, HUB_WAIT_RETRY_AFTER, 100, 30000);
    gate_begin_turn(&gate);
    (void)gate_wait_ms(&gate, TRANSFER_BUCKET_FILES, 0, 200);
    (void)gate_wait_ms(&gate, TRANSFER_BUCKET_API, 0, 200);
    assert_false(gate_end_turn(&gate, 200, WALL_MS)); /* the same wait, now longer */
    assert_int_equal(gate.wait.reason, HUB_WAIT_RETRY_AFTER);
    assert_int_equal(gate.wait.until_ms, WALL_MS + 29900);
    assert_int_equal(gate.wait.serial, 2);
}

/* Many answers to requests sent at once give nearly the same end: no news. */
static void test_jitter(void **state)
{
    int tells = 0;
    (void)state;
    gate_init(&gate, 0, 0);
    gate_hold(&gate, TRANSFER_BUCKET_API, HUB_WAIT_RATE_LIMIT, 0, 10000);
    (void)turn(TRANSFER_BUCKET_API, 0, &tells);
    assert_true(tells);
    gate_hold(&gate, TRANSFER_BUCKET_API, HUB_WAIT_RATE_LIMIT, 20, 10000);
    assert_int_equal(turn(TRANSFER_BUCKET_API, 20, &tells), 10000);
    assert_int_equal(gate.wait.serial, 1);
}

/* Pauses below two seconds are not told; one that follows a wait at once belongs to it. */
static void test_short(void **state)
{
    int tells = 0;
    (void)state;
    gate_init(&gate, 0, 0);
    gate_hold(&gate, TRANSFER_BUCKET_API, HUB_WAIT_RATE_LIMIT, 0, 1900);
    assert_int_equal(turn(TRANSFER_BUCKET_API, 0, &tells), 1900);
    assert_false(tells);
    assert_int_equal(gate.wait.reason, HUB_WAIT_NONE);
    assert_int_equal(gate.wait.serial, 0);
    gate_hold(&gate, TRANSFER_BUCKET_API, HUB_WAIT_RATE_LIMIT, 2000, 4000);
    (void)turn(TRANSFER_BUCKET_API, 2000, &tells);
    assert_true(tells);
    assert_false(idle(6000));
    gate_hold(&gate, TRANSFER_BUCKET_API, HUB_WAIT_RATE_LIMIT, 6500, 1000);
    (void)turn(TRANSFER_BUCKET_API, 6500, &tells);
    assert_false(tells);
    assert_int_equal(gate.wait.reason, HUB_WAIT_RATE_LIMIT);
    assert_false(idle(7500));
    assert_false(idle(9499));
    assert_true(idle(9500));
    assert_int_equal(gate.wait.waited_ms, 5000);
}

/* What is down is the wait, also in the midst of another one, but is told by others, its end included. */
static void test_outage(void **state)
{
    int tells = 0;
    (void)state;
    gate_init(&gate, 0, 0);
    gate_hold(&gate, TRANSFER_BUCKET_API, HUB_WAIT_RATE_LIMIT, 0, 10000);
    (void)turn(TRANSFER_BUCKET_API, 0, &tells);
    assert_true(tells);
    for (int64_t now_ms = 1000; now_ms <= 5000; now_ms += 1000) {
        gate_begin_turn(&gate);
        gate_note_outage(&gate, now_ms < 4000 ? 4000 : 9000); /* soon, and asked anew */
        assert_false(gate_end_turn(&gate, now_ms, WALL_MS + now_ms));
        assert_int_equal(gate.wait.reason, HUB_WAIT_UNREACHABLE);
        assert_int_equal(gate.wait.until_ms, WALL_MS + (now_ms < 4000 ? 4000 : 9000));
    }
    assert_int_equal(gate.wait.request_count, 0);
    assert_int_equal(gate.wait.serial, 3);
    assert_false(idle(6000));
    assert_int_equal(gate.wait.reason, HUB_WAIT_NONE);
    assert_int_equal(gate.wait.waited_ms, 6000);
    assert_false(idle(8000));
    assert_int_equal(turn(TRANSFER_BUCKET_API, 8000, &tells), 2000);
    assert_true(tells); /* the limit, which is still there, anew */
}

/* What can wait leaves half of our budget, and some of what the hub takes, to others. */
static void test_room(void **state)
{
    int tells = 0;
    (void)state;
    gate_init(&gate, 4, 0);
    assert_true(gate_has_room(&gate, TRANSFER_BUCKET_API, 1000));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(turn(TRANSFER_BUCKET_API, 1000, &tells), 0);
        assert_true(gate_has_room(&gate, TRANSFER_BUCKET_API, 1000));
        gate_count(&gate, TRANSFER_BUCKET_API);
    }
    assert_false(gate_has_room(&gate, TRANSFER_BUCKET_API, 1000));
    assert_int_equal(turn(TRANSFER_BUCKET_API, 1000, &tells), 0); /* others go on */
    assert_true(gate_has_room(&gate, TRANSFER_BUCKET_API, 301000));
    gate_init(&gate, 0, 0);
    gate_note_left(&gate, TRANSFER_BUCKET_API, GATE_LEFT_TO_OTHERS - 1, 1000, 500);
    assert_false(gate_has_room(&gate, TRANSFER_BUCKET_API, 1499));
    assert_true(gate_has_room(&gate, TRANSFER_BUCKET_FILES, 1499));
    assert_true(gate_has_room(&gate, TRANSFER_BUCKET_API, 1500));
    gate_note_left(&gate, TRANSFER_BUCKET_API, GATE_LEFT_TO_OTHERS, 1499, 500);
    assert_true(gate_has_room(&gate, TRANSFER_BUCKET_API, 1499));
    gate_hold(&gate, TRANSFER_BUCKET_API, HUB_WAIT_RATE_LIMIT, 2000, 100);
    assert_false(gate_has_room(&gate, TRANSFER_BUCKET_API, 2099));
    assert_true(gate_has_room(&gate, TRANSFER_BUCKET_API, 2100));
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(hub_wait_reason_name(HUB_WAIT_UNREACHABLE), "unreachable");
    assert_string_equal(hub_wait_reason_name(HUB_WAIT_NONE), "none");
    assert_string_equal(hub_wait_reason_name(HUB_WAIT_REQUEST_BUDGET), "request_budget");
    assert_string_equal(hub_wait_reason_name(HUB_WAIT_RETRY_AFTER), "retry_after");
    assert_string_equal(hub_wait_reason_name((enum hub_wait_reason)99), "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget), cmocka_unit_test(test_no_budget), cmocka_unit_test(test_holds),
        cmocka_unit_test(test_jitter), cmocka_unit_test(test_short),     cmocka_unit_test(test_names),
        cmocka_unit_test(test_outage), cmocka_unit_test(test_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
