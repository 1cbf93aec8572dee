/* When a hub counts as down, and when it is asked again, on a clock of the test's own. */
#include "daemon/hub/outage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define API TRANSFER_BUCKET_API
#define FILES TRANSFER_BUCKET_FILES
#define CDN TRANSFER_BUCKET_NONE
#define HOME "http://hub/api/whoami-v2"
#define DAY_MS INT64_C(86400000)

static struct outage outage;

static int set_up(void **state)
{
    (void)state;
    outage_init(&outage, HOME, 5000, 300000, DAY_MS, 1);
    return 0;
}

static void note(enum transfer_bucket bucket, const char *url, enum outage_sign sign, int64_t now_ms)
{
    outage_note(&outage, bucket, url, sign, "hub: it failed", now_ms, 1.0);
}

/* So often in a row, 1.1 seconds apart from `now_ms` on. */
static void note_row(enum transfer_bucket bucket, const char *url, enum outage_sign sign, int count,
                     int64_t now_ms)
{
    for (int i = 0; i < count; i++)
        note(bucket, url, sign, now_ms + 1100 * i);
}

static void answer_question(enum outage_sign sign, int64_t now_ms)
{
    assert_non_null(outage_ask(&outage, now_ms));
    assert_null(outage_ask(&outage, now_ms)); /* one at a time */
    outage_note_question(&outage, sign, "hub: it still fails", now_ms, 1.0);
}

static void test_no_host(void **state)
{
    (void)state;
    note_row(API, "http://hub/api/models/a", OUTAGE_SIGN_NO_HOST, OUTAGE_FAILURES - 1, 0);
    assert_int_equal(outage_order(&outage, API, 2200), OUTAGE_ORDER_GO);
    note(API, "http://hub/api/models/a", OUTAGE_SIGN_NO_HOST, 3300);
    for (int i = 0; i < TRANSFER_BUCKET_COUNT; i++)
        assert_int_equal(outage_order(&outage, (enum transfer_bucket)i, 3300), OUTAGE_ORDER_REFUSE);
    assert_string_equal(outage.reason, "hub: it failed");
    assert_int_equal(outage_ask_wait_ms(&outage, 3300), 5000);
    assert_null(outage_ask(&outage, 8299));
    assert_string_equal(outage_ask(&outage, 8300), HOME);
    assert_int_equal(outage.asks_of, API);
    assert_int_equal(outage_ask_wait_ms(&outage, 8300), -1);
    outage_note_question(&outage, OUTAGE_SIGN_ANSWER, "", 8400, 1.0);
    assert_int_equal(outage_order(&outage, API, 8400), OUTAGE_ORDER_GO);
    assert_int_equal(outage_ask_wait_ms(&outage, 8400), -1);
}

/* Many failures at one moment, as of requests sent together, are a blip; so are few over a long time. */
static void test_blips(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        note(API, "http://hub/a", OUTAGE_SIGN_NO_HOST, 2 * i);
    assert_int_equal(outage.state, OUTAGE_STATE_NONE);
    note(API, "http://hub/a", OUTAGE_SIGN_ANSWER, 300);
    note_row(API, "http://hub/a", OUTAGE_SIGN_NO_HOST, OUTAGE_FAILURES - 1, 4000);
    assert_int_equal(outage.state, OUTAGE_STATE_NONE);
    note(API, "http://hub/b", OUTAGE_SIGN_ANSWER, 9000);
    note(API, "http://hub/a", OUTAGE_SIGN_NO_HOST, 9100);
    assert_int_equal(outage.state, OUTAGE_STATE_NONE);
}

/* Intervals double from 5 s to 5 min; jitter shortens them. */
static void test_intervals(void **state)
{
    static const int64_t seconds[] = {5, 10, 20, 40, 80, 160, 300, 300};
    int64_t now_ms = 3300;
    (void)state;
    note_row(API, "http://hub/a", OUTAGE_SIGN_NO_HOST, 4, 0);
    for (size_t i = 0; i < sizeof seconds / sizeof seconds[0]; i++) {
        assert_int_equal(outage_ask_wait_ms(&outage, now_ms), 1000 * seconds[i]);
        now_ms += 1000 * seconds[i];
        answer_question(OUTAGE_SIGN_NO_HOST, now_ms);
    }
    assert_string_equal(outage.reason, "hub: it still fails");
    assert_non_null(outage_ask(&outage, now_ms + 300000));
    outage_note_question(&outage, OUTAGE_SIGN_FAILURE, "", now_ms, 0.5);
    assert_int_equal(outage_ask_wait_ms(&outage, now_ms), 150000);
}

/* What ends and comes back at once goes on with its intervals; later it begins anew. */
static void test_flapping(void **state)
{
    (void)state;
    note_row(API, "http://hub/a", OUTAGE_SIGN_NO_HOST, 4, 0);
    answer_question(OUTAGE_SIGN_NO_HOST, 8300);
    answer_question(OUTAGE_SIGN_ANSWER, 18300);
    note_row(API, "http://hub/a", OUTAGE_SIGN_NO_HOST, 4, 20000);
    assert_int_equal(outage_ask_wait_ms(&outage, 23300), 20000);
    answer_question(OUTAGE_SIGN_ANSWER, 43300);
    note_row(API, "http://hub/a", OUTAGE_SIGN_NO_HOST, 4, 43300 + OUTAGE_SETTLED_MS);
    assert_int_equal(outage_ask_wait_ms(&outage, 43300 + OUTAGE_SETTLED_MS + 3300), 5000);
}

/* One file fails while another is answered: its own fault. Meanwhile requests of its kind wait. */
static void test_one_file(void **state)
{
    (void)state;
    note(FILES, "http://hub/good", OUTAGE_SIGN_ANSWER, 0);
    note_row(FILES, "http://hub/bad", OUTAGE_SIGN_FAILURE, 4, 1000);
    assert_int_equal(outage_order(&outage, FILES, 4300), OUTAGE_ORDER_WAIT);
    assert_int_equal(outage_order(&outage, API, 4300), OUTAGE_ORDER_GO);
    assert_int_equal(outage_order(&outage, CDN, 4300), OUTAGE_ORDER_GO);
    assert_string_equal(outage_ask(&outage, 4300), "http://hub/good");
    assert_int_equal(outage.asks_of, FILES);
    outage_note_question(&outage, OUTAGE_SIGN_ANSWER, "", 4400, 1.0);
    assert_int_equal(outage_order(&outage, FILES, 4400), OUTAGE_ORDER_GO);
    note(FILES, "http://hub/bad", OUTAGE_SIGN_FAILURE, 5000);
    assert_int_equal(outage.state, OUTAGE_STATE_NONE); /* counted anew */
}

/* The witness fails, too: all files are down, whatever the API says. A file that comes after all ends it. */
static void test_all_files(void **state)
{
    (void)state;
    note(FILES, "http://hub/good", OUTAGE_SIGN_ANSWER, 0);
    note_row(FILES, "http://hub/bad", OUTAGE_SIGN_FAILURE, 4, 1000);
    answer_question(OUTAGE_SIGN_FAILURE, 4300);
    assert_int_equal(outage_order(&outage, API, 4300), OUTAGE_ORDER_REFUSE);
    assert_string_equal(outage.reason, "hub: it still fails");
    note(API, "http://hub/api/a", OUTAGE_SIGN_ANSWER, 5000); /* was under way */
    assert_int_equal(outage_order(&outage, FILES, 5000), OUTAGE_ORDER_REFUSE);
    assert_string_equal(outage_ask(&outage, 9300), "http://hub/good");
    note(FILES, "http://hub/other", OUTAGE_SIGN_ANSWER, 9400);
    assert_int_equal(outage_order(&outage, FILES, 9400), OUTAGE_ORDER_GO);
    outage_note_question(&outage, OUTAGE_SIGN_FAILURE, "", 9500, 1.0); /* too late to count */
    assert_int_equal(outage_order(&outage, FILES, 9500), OUTAGE_ORDER_GO);
}

/* Without a witness, several files that fail are an outage; one alone is held against the hub's own question.
 */
static void test_no_witness(void **state)
{
    (void)state;
    note_row(FILES, "http://hub/a", OUTAGE_SIGN_FAILURE, 4, 0);
    assert_string_equal(outage_ask(&outage, 3300), HOME);
    assert_int_equal(outage.asks_of, API);
    outage_note_question(&outage, OUTAGE_SIGN_ANSWER, "", 3400, 1.0);
    assert_int_equal(outage.state, OUTAGE_STATE_NONE);
    note_row(FILES, "http://hub/a", OUTAGE_SIGN_FAILURE, 3, 10000);
    note(FILES, "http://hub/b", OUTAGE_SIGN_FAILURE, 13500);
    assert_int_equal(outage.state, OUTAGE_STATE_ON);
    assert_string_equal(outage_ask(&outage, 18500), "http://hub/b");
    assert_int_equal(outage.asks_of, FILES);
}

/* The witness is never the address that fails. */
static void test_own_witness(void **state)
{
    (void)state;
    note(API, "http://hub/api/a", OUTAGE_SIGN_ANSWER, 0);
    note_row(API, "http://hub/api/a", OUTAGE_SIGN_FAILURE, 4, 1000);
    assert_string_equal(outage_ask(&outage, 4300), HOME);
}

/* One file whose every attempt has another signature is no several; and two that fail for ever are an outage
 * once: what ends it is the witness against them from then on. */
static void test_signatures(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        char url[64];
        (void)snprintf(url, sizeof url, "http://cdn/bad?signature=%d", i);
        note(CDN, url, OUTAGE_SIGN_FAILURE, 1100 * i);
    }
    assert_int_equal(outage.state, OUTAGE_STATE_DOUBT);
    assert_string_equal(outage_ask(&outage, 3300), HOME);
    outage_note_question(&outage, OUTAGE_SIGN_ANSWER, "", 3400, 1.0);
    note_row(CDN, "http://cdn/bad?signature=5", OUTAGE_SIGN_FAILURE, 3, 10000);
    note(CDN, "http://cdn/bad2?signature=6", OUTAGE_SIGN_FAILURE, 13300);
    assert_int_equal(outage.state, OUTAGE_STATE_ON);
    answer_question(OUTAGE_SIGN_ANSWER, 18300); /* the signature is too old */
    note_row(CDN, "http://cdn/bad?signature=7", OUTAGE_SIGN_FAILURE, 3, 20000);
    note(CDN, "http://cdn/bad2?signature=8", OUTAGE_SIGN_FAILURE, 23300);
    assert_int_equal(outage.state, OUTAGE_STATE_DOUBT);
    answer_question(OUTAGE_SIGN_ANSWER, 23400);
    assert_int_equal(outage_order(&outage, CDN, 23400), OUTAGE_ORDER_GO);
    /* The same file with another signature is no witness for itself. */
    note(CDN, "http://cdn/bad?signature=9", OUTAGE_SIGN_ANSWER, 30000);
    note_row(CDN, "http://cdn/bad?signature=10", OUTAGE_SIGN_FAILURE, 4, 31000);
    assert_string_equal(outage_ask(&outage, 34300), HOME);
}

/* Another host without an address is asked itself: the endpoint says nothing of it. */
static void test_other_host(void **state)
{
    (void)state;
    note_row(CDN, "http://cdn/x", OUTAGE_SIGN_NO_HOST, 4, 0);
    assert_int_equal(outage_order(&outage, API, 3300), OUTAGE_ORDER_REFUSE);
    assert_string_equal(outage_ask(&outage, 8300), "http://cdn/x");
    assert_int_equal(outage.asks_of, CDN);
    /* TLS that fails, or a signature that is too old: somebody is there. */
    outage_note_question(&outage, OUTAGE_SIGN_NONE, "", 8400, 1.0);
    assert_int_equal(outage_order(&outage, API, 8400), OUTAGE_ORDER_GO);
}

/* Its address may be wrong, which must not be waited for: until the first answer. */
static void test_never_reached(void **state)
{
    (void)state;
    outage_init(&outage, HOME, 5000, 300000, DAY_MS, 0);
    note_row(API, "http://hub/a", OUTAGE_SIGN_NO_HOST, 20, 0);
    note_row(CDN, "http://cdn/a", OUTAGE_SIGN_FAILURE, 20, 0);
    assert_int_equal(outage.state, OUTAGE_STATE_NONE);
    note(CDN, "http://cdn/a", OUTAGE_SIGN_ANSWER, 40000); /* of another host, which says nothing of the hub */
    note_row(API, "http://hub/a", OUTAGE_SIGN_NO_HOST, 4, 50000);
    assert_int_equal(outage.state, OUTAGE_STATE_NONE);
    note(API, "http://hub/a", OUTAGE_SIGN_ANSWER, 60000);
    note_row(API, "http://hub/a", OUTAGE_SIGN_NO_HOST, 4, 70000);
    assert_int_equal(outage.state, OUTAGE_STATE_ON);
}

/* A request at its end, which had attempts of two kinds, does not fail before the hub was asked; and is not
 * asked for again where it says nothing of the hub, where others are answered, or after a day. */
static void test_accused(void **state)
{
    (void)state;
    note(FILES, "http://hub/good", OUTAGE_SIGN_ANSWER, 0);
    note_row(CDN, "http://cdn/x", OUTAGE_SIGN_FAILURE, 3, 1000);
    note(FILES, "http://hub/x", OUTAGE_SIGN_FAILURE, 5000);
    assert_false(outage_accuse(&outage, FILES, "http://hub/x", OUTAGE_SIGN_FAILURE, "", 5000, 1.0));
    note(FILES, "http://hub/x", OUTAGE_SIGN_FAILURE, 7000);
    assert_false(outage_accuse(&outage, FILES, "http://hub/x", OUTAGE_SIGN_NONE, "", 7000, 1.0));
    assert_int_equal(outage.state, OUTAGE_STATE_NONE);
    assert_true(outage_accuse(&outage, FILES, "http://hub/x", OUTAGE_SIGN_FAILURE, "", 7000, 1.0));
    assert_int_equal(outage_order(&outage, FILES, 7000), OUTAGE_ORDER_WAIT);
    assert_true(outage_accuse(&outage, CDN, "http://cdn/x", OUTAGE_SIGN_FAILURE, "", 7000, 1.0));
    assert_string_equal(outage_ask(&outage, 7000), "http://hub/good");
    outage_note_question(&outage, OUTAGE_SIGN_FAILURE, "hub: 503", 7100, 1.0);
    assert_int_equal(outage_order(&outage, FILES, 7100), OUTAGE_ORDER_REFUSE);
    assert_true(outage_accuse(&outage, FILES, "http://hub/x", OUTAGE_SIGN_FAILURE, "", 7200, 1.0));
    (void)outage_order(&outage, FILES, 5000 + DAY_MS);
    assert_false(outage_accuse(&outage, FILES, "http://hub/x", OUTAGE_SIGN_FAILURE, "", 5000 + DAY_MS, 1.0));
}

/* What another machine says is asked after, but seldom, and not of a hub that never answered. */
static void test_said_by_others(void **state)
{
    (void)state;
    outage_doubt(&outage, 1000);
    assert_int_equal(outage_order(&outage, API, 1000), OUTAGE_ORDER_WAIT);
    assert_int_equal(outage_order(&outage, FILES, 1000), OUTAGE_ORDER_GO);
    assert_string_equal(outage.asked, HOME);
    answer_question(OUTAGE_SIGN_ANSWER, 1000);
    assert_int_equal(outage_order(&outage, API, 1000), OUTAGE_ORDER_GO);
    outage_doubt(&outage, 1000 + OUTAGE_DOUBT_MS - 1);
    assert_int_equal(outage.state, OUTAGE_STATE_NONE);
    outage_doubt(&outage, 1000 + OUTAGE_DOUBT_MS);
    answer_question(OUTAGE_SIGN_NO_HOST, 62000);
    assert_int_equal(outage.state, OUTAGE_STATE_ON);
    assert_int_equal(outage.since_ms, 1000 + OUTAGE_DOUBT_MS);
    outage_doubt(&outage, 200000); /* is known */
    assert_int_equal(outage_order(&outage, API, 200000), OUTAGE_ORDER_REFUSE);
    outage_init(&outage, HOME, 5000, 300000, DAY_MS, 0);
    outage_doubt(&outage, 1000);
    assert_int_equal(outage.state, OUTAGE_STATE_NONE);
}

/* What was answered lately is asked, since a mirror may not have the hub's own question; and a failure of
 * long ago does not make an outage endured before its time. */
static void test_said_of_a_mirror(void **state)
{
    (void)state;
    note(API, "http://hub/api/models/a", OUTAGE_SIGN_ANSWER, 0);
    note(API, "http://hub/api/models/b", OUTAGE_SIGN_FAILURE, 1000);
    outage_doubt(&outage, 2 * DAY_MS);
    assert_string_equal(outage.asked, "http://hub/api/models/a");
    answer_question(OUTAGE_SIGN_NO_HOST, 2 * DAY_MS);
    assert_int_equal(outage_order(&outage, API, 3 * DAY_MS - 1), OUTAGE_ORDER_REFUSE);
    assert_int_equal(outage_order(&outage, API, 3 * DAY_MS), OUTAGE_ORDER_GO);
}

/* Nothing waits for ever; the hub is asked on, and its answer ends that, too. */
static void test_endured(void **state)
{
    (void)state;
    note_row(API, "http://hub/a", OUTAGE_SIGN_NO_HOST, 4, 0);
    assert_int_equal(outage_order(&outage, API, DAY_MS - 1), OUTAGE_ORDER_REFUSE);
    assert_int_equal(outage_order(&outage, API, DAY_MS), OUTAGE_ORDER_GO);
    assert_int_equal(outage.state, OUTAGE_STATE_ENDURED);
    note_row(API, "http://hub/a", OUTAGE_SIGN_NO_HOST, 10, DAY_MS); /* is no new one */
    assert_int_equal(outage_order(&outage, API, DAY_MS + 11000), OUTAGE_ORDER_GO);
    answer_question(OUTAGE_SIGN_NO_HOST, DAY_MS + 11000);
    assert_int_equal(outage.state, OUTAGE_STATE_ENDURED);
    answer_question(OUTAGE_SIGN_ANSWER, DAY_MS + 400000);
    assert_int_equal(outage.state, OUTAGE_STATE_NONE);
}

static void test_off(void **state)
{
    (void)state;
    outage_init(&outage, HOME, 0, 300000, DAY_MS, 1);
    note_row(API, "http://hub/a", OUTAGE_SIGN_NO_HOST, 20, 0);
    assert_int_equal(outage.state, OUTAGE_STATE_NONE);
    assert_int_equal(outage_ask_wait_ms(&outage, 20000), -1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(test_no_host),          TEST(test_blips),       TEST(test_intervals),
        TEST(test_flapping),         TEST(test_one_file),    TEST(test_all_files),
        TEST(test_no_witness),       TEST(test_own_witness), TEST(test_other_host),
        TEST(test_never_reached),    TEST(test_endured),     TEST(test_off),
        TEST(test_said_by_others),   TEST(test_accused),     TEST(test_signatures),
        TEST(test_said_of_a_mirror),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
