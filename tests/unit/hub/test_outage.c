/* When a part of the hub counts as down, and when it is asked again, on a clock of the test's own. */
#include "daemon/hub/outage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HOME "http://hub/api/whoami-v2"
#define GOOD "http://hub/good"
#define BAD "http://hub/bad"
#define DAY_MS INT64_C(86400000)

static const struct outage_times times = {.first_ms = 5000, .longest_ms = 300000, .limit_ms = DAY_MS};
static struct outage outage;

static int set_up(void **state)
{
    (void)state;
    outage_init(&outage, &times, HOME, "", 1);
    return 0;
}

static void note(const char *url, enum outage_sign sign, int64_t now_ms)
{
    outage_note(&outage, url, sign, "hub: it failed", now_ms, 1.0);
}

/* So often in a row, 1.1 seconds apart from `now_ms` on. */
static void note_row(const char *url, enum outage_sign sign, int count, int64_t now_ms)
{
    for (int i = 0; i < count; i++)
        note(url, sign, now_ms + 1100 * i);
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
    note_row(BAD, OUTAGE_SIGN_NO_HOST, OUTAGE_FAILURES - 1, 0);
    assert_int_equal(outage_update(&outage, 2200), OUTAGE_STATE_NONE);
    note(BAD, OUTAGE_SIGN_NO_HOST, 3300);
    assert_int_equal(outage_update(&outage, 3300), OUTAGE_STATE_ON);
    assert_string_equal(outage.reason, "hub: it failed");
    assert_int_equal(outage_ask_wait_ms(&outage, 3300), 5000);
    assert_null(outage_ask(&outage, 8299));
    assert_string_equal(outage_ask(&outage, 8300), HOME);
    assert_int_equal(outage_ask_wait_ms(&outage, 8300), -1);
    outage_note_question(&outage, OUTAGE_SIGN_ANSWER, "", 8400, 1.0);
    assert_int_equal(outage_update(&outage, 8400), OUTAGE_STATE_NONE);
    assert_int_equal(outage_ask_wait_ms(&outage, 8400), -1);
    /* TLS that fails, or a signature that is too old: somebody is there. */
    note_row(BAD, OUTAGE_SIGN_NO_HOST, 4, 10000);
    answer_question(OUTAGE_SIGN_NONE, 33300);
    assert_int_equal(outage_update(&outage, 33300), OUTAGE_STATE_NONE);
}

/* Many failures at one moment, as of requests sent together, are a blip; so are few over a long time. */
static void test_blips(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        note(BAD, OUTAGE_SIGN_NO_HOST, 2 * i);
    assert_int_equal(outage.state, OUTAGE_STATE_NONE);
    note(BAD, OUTAGE_SIGN_ANSWER, 300);
    note_row(BAD, OUTAGE_SIGN_NO_HOST, OUTAGE_FAILURES - 1, 4000);
    assert_int_equal(outage.state, OUTAGE_STATE_NONE);
    note(GOOD, OUTAGE_SIGN_ANSWER, 9000);
    note(BAD, OUTAGE_SIGN_NO_HOST, 9100);
    assert_int_equal(outage.state, OUTAGE_STATE_NONE);
}

/* Intervals double from 5 s to 5 min; jitter shortens them. */
static void test_intervals(void **state)
{
    static const int64_t seconds[] = {5, 10, 20, 40, 80, 160, 300, 300};
    int64_t now_ms = 3300;
    (void)state;
    note_row(BAD, OUTAGE_SIGN_NO_HOST, 4, 0);
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
    note_row(BAD, OUTAGE_SIGN_NO_HOST, 4, 0);
    answer_question(OUTAGE_SIGN_NO_HOST, 8300);
    answer_question(OUTAGE_SIGN_ANSWER, 18300);
    note_row(BAD, OUTAGE_SIGN_NO_HOST, 4, 20000);
    assert_int_equal(outage_ask_wait_ms(&outage, 23300), 20000);
    answer_question(OUTAGE_SIGN_ANSWER, 43300);
    note_row(BAD, OUTAGE_SIGN_NO_HOST, 4, 43300 + OUTAGE_SETTLED_MS);
    assert_int_equal(outage_ask_wait_ms(&outage, 43300 + OUTAGE_SETTLED_MS + 3300), 5000);
}

/* One file fails while another is answered: its own fault. Meanwhile requests wait. */
static void test_one_file(void **state)
{
    (void)state;
    note(GOOD, OUTAGE_SIGN_ANSWER, 0);
    note_row(BAD, OUTAGE_SIGN_FAILURE, 4, 1000);
    assert_int_equal(outage_update(&outage, 4300), OUTAGE_STATE_DOUBT);
    assert_string_equal(outage_ask(&outage, 4300), GOOD);
    outage_note_question(&outage, OUTAGE_SIGN_ANSWER, "", 4400, 1.0);
    assert_int_equal(outage_update(&outage, 4400), OUTAGE_STATE_NONE);
    note(BAD, OUTAGE_SIGN_FAILURE, 5000);
    assert_int_equal(outage.state, OUTAGE_STATE_NONE); /* counted anew */
}

/* The witness fails, too. A file that comes after all ends it. */
static void test_all_files(void **state)
{
    (void)state;
    note(GOOD, OUTAGE_SIGN_ANSWER, 0);
    note_row(BAD, OUTAGE_SIGN_FAILURE, 4, 1000);
    answer_question(OUTAGE_SIGN_FAILURE, 4300);
    assert_int_equal(outage_update(&outage, 4300), OUTAGE_STATE_ON);
    assert_string_equal(outage.reason, "hub: it still fails");
    assert_string_equal(outage_ask(&outage, 9300), GOOD);
    note("http://hub/other", OUTAGE_SIGN_ANSWER, 9400);
    assert_int_equal(outage_update(&outage, 9400), OUTAGE_STATE_NONE);
    outage_note_question(&outage, OUTAGE_SIGN_FAILURE, "", 9500, 1.0); /* too late to count */
    assert_int_equal(outage_update(&outage, 9500), OUTAGE_STATE_NONE);
}

/* A process that has seen no answer asks what an earlier one had, of any number of files that fail. */
static void test_witness_of_an_earlier_life(void **state)
{
    (void)state;
    outage_init(&outage, &times, HOME, GOOD, 1);
    note_row(BAD, OUTAGE_SIGN_FAILURE, 3, 0);
    note("http://hub/worse", OUTAGE_SIGN_FAILURE, 3300);
    assert_string_equal(outage_ask(&outage, 3300), GOOD);
    outage_note_question(&outage, OUTAGE_SIGN_FAILURE, "hub: 503", 3400, 1.0);
    assert_int_equal(outage_update(&outage, 3400), OUTAGE_STATE_ON);
}

/* Without a witness, or with none but what fails, the hub's own question decides: files that fail for ever
 * while it is answered are no outage, however many they are. */
static void test_no_witness(void **state)
{
    (void)state;
    for (int64_t now_ms = 0; now_ms < 60000; now_ms += 10000) {
        note_row(BAD, OUTAGE_SIGN_FAILURE, 3, now_ms);
        note("http://hub/worse", OUTAGE_SIGN_FAILURE, now_ms + 3300);
        assert_int_equal(outage_update(&outage, now_ms + 3300), OUTAGE_STATE_DOUBT);
        assert_string_equal(outage.asked, HOME);
        answer_question(OUTAGE_SIGN_ANSWER, now_ms + 3400);
        assert_int_equal(outage_update(&outage, now_ms + 3400), OUTAGE_STATE_NONE);
    }
    note(BAD "?signature=1", OUTAGE_SIGN_ANSWER, 70000);
    note_row(BAD "?signature=2", OUTAGE_SIGN_FAILURE, 4, 71000);
    assert_string_equal(outage.asked, HOME);
    answer_question(OUTAGE_SIGN_FAILURE, 74300);
    assert_int_equal(outage_update(&outage, 74300), OUTAGE_STATE_ON);
}

/* Its address may be wrong, which must not be waited for: until the first answer. */
static void test_never_reached(void **state)
{
    (void)state;
    outage_init(&outage, &times, HOME, "", 0);
    note_row(BAD, OUTAGE_SIGN_NO_HOST, 20, 0);
    note_row(BAD, OUTAGE_SIGN_FAILURE, 20, 30000);
    assert_int_equal(outage.state, OUTAGE_STATE_NONE);
    assert_false(outage_accuse(&outage, BAD, OUTAGE_SIGN_NO_HOST, "", 55000, 1.0));
    note(GOOD, OUTAGE_SIGN_ANSWER, 60000);
    note_row(BAD, OUTAGE_SIGN_NO_HOST, 4, 70000);
    assert_int_equal(outage.state, OUTAGE_STATE_ON);
    assert_string_equal(outage.asked, GOOD);
}

/* A request at its end, which had attempts of two kinds, does not fail before the part was asked; and is not
 * asked for again where it says nothing of the part, where others are answered, or after a day. */
static void test_accused(void **state)
{
    (void)state;
    note(GOOD, OUTAGE_SIGN_ANSWER, 0);
    note(BAD, OUTAGE_SIGN_FAILURE, 5000);
    assert_false(outage_accuse(&outage, BAD, OUTAGE_SIGN_FAILURE, "", 5000, 1.0)); /* once is alone */
    note(BAD, OUTAGE_SIGN_FAILURE, 7000);
    assert_false(outage_accuse(&outage, BAD, OUTAGE_SIGN_NONE, "", 7000, 1.0));
    assert_int_equal(outage.state, OUTAGE_STATE_NONE);
    assert_true(outage_accuse(&outage, BAD, OUTAGE_SIGN_FAILURE, "", 7000, 1.0));
    assert_int_equal(outage_update(&outage, 7000), OUTAGE_STATE_DOUBT);
    assert_true(outage_accuse(&outage, BAD, OUTAGE_SIGN_FAILURE, "", 7000, 1.0));
    assert_string_equal(outage_ask(&outage, 7000), GOOD);
    outage_note_question(&outage, OUTAGE_SIGN_FAILURE, "hub: 503", 7100, 1.0);
    assert_int_equal(outage_update(&outage, 7100), OUTAGE_STATE_ON);
    assert_true(outage_accuse(&outage, BAD, OUTAGE_SIGN_FAILURE, "", 7200, 1.0));
    assert_int_equal(outage_update(&outage, 5000 + DAY_MS), OUTAGE_STATE_ENDURED);
    assert_false(outage_accuse(&outage, BAD, OUTAGE_SIGN_FAILURE, "", 5000 + DAY_MS, 1.0));
}

/* What another machine says is asked after, but seldom, and not of a hub that never answered. */
static void test_said_by_others(void **state)
{
    (void)state;
    outage_doubt(&outage, 1000);
    assert_int_equal(outage_update(&outage, 1000), OUTAGE_STATE_DOUBT);
    assert_string_equal(outage.asked, HOME);
    answer_question(OUTAGE_SIGN_ANSWER, 1000);
    assert_int_equal(outage_update(&outage, 1000), OUTAGE_STATE_NONE);
    outage_doubt(&outage, 1000 + OUTAGE_DOUBT_MS - 1);
    assert_int_equal(outage.state, OUTAGE_STATE_NONE);
    outage_doubt(&outage, 1000 + OUTAGE_DOUBT_MS);
    answer_question(OUTAGE_SIGN_NO_HOST, 62000);
    assert_int_equal(outage.state, OUTAGE_STATE_ON);
    assert_int_equal(outage.since_ms, 1000 + OUTAGE_DOUBT_MS);
    outage_doubt(&outage, 200000); /* is known */
    assert_int_equal(outage_update(&outage, 200000), OUTAGE_STATE_ON);
    outage_init(&outage, &times, HOME, "", 0);
    outage_doubt(&outage, 1000);
    assert_int_equal(outage.state, OUTAGE_STATE_NONE);
}

/* What was answered lately is asked, since a mirror may not have the hub's own question; and a failure of
 * long ago does not make an outage endured before its time. */
static void test_said_of_a_mirror(void **state)
{
    (void)state;
    note(GOOD, OUTAGE_SIGN_ANSWER, 0);
    note(BAD, OUTAGE_SIGN_FAILURE, 1000);
    outage_doubt(&outage, 2 * DAY_MS);
    assert_string_equal(outage.asked, GOOD);
    answer_question(OUTAGE_SIGN_NO_HOST, 2 * DAY_MS);
    assert_int_equal(outage_update(&outage, 3 * DAY_MS - 1), OUTAGE_STATE_ON);
    assert_int_equal(outage_update(&outage, 3 * DAY_MS), OUTAGE_STATE_ENDURED);
}

/* Nothing waits for ever; the hub is asked on, and its answer ends that, too. */
static void test_endured(void **state)
{
    (void)state;
    note_row(BAD, OUTAGE_SIGN_NO_HOST, 4, 0);
    assert_int_equal(outage_update(&outage, DAY_MS - 1), OUTAGE_STATE_ON);
    assert_int_equal(outage_update(&outage, DAY_MS), OUTAGE_STATE_ENDURED);
    note_row(BAD, OUTAGE_SIGN_NO_HOST, 10, DAY_MS); /* is no new one */
    assert_int_equal(outage_update(&outage, DAY_MS + 11000), OUTAGE_STATE_ENDURED);
    answer_question(OUTAGE_SIGN_NO_HOST, DAY_MS + 11000);
    assert_int_equal(outage.state, OUTAGE_STATE_ENDURED);
    answer_question(OUTAGE_SIGN_ANSWER, DAY_MS + 400000);
    assert_int_equal(outage.state, OUTAGE_STATE_NONE);
}

static void test_off(void **state)
{
    static const struct outage_times off = {.longest_ms = 300000, .limit_ms = DAY_MS};
    (void)state;
    outage_init(&outage, &off, HOME, GOOD, 1);
    note_row(BAD, OUTAGE_SIGN_NO_HOST, 20, 0);
    assert_int_equal(outage.state, OUTAGE_STATE_NONE);
    assert_int_equal(outage_ask_wait_ms(&outage, 20000), -1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(test_no_host),
        TEST(test_blips),
        TEST(test_intervals),
        TEST(test_flapping),
        TEST(test_one_file),
        TEST(test_all_files),
        TEST(test_witness_of_an_earlier_life),
        TEST(test_no_witness),
        TEST(test_never_reached),
        TEST(test_accused),
        TEST(test_said_by_others),
        TEST(test_said_of_a_mirror),
        TEST(test_endured),
        TEST(test_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
