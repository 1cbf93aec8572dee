/* Which part of the hub a request is for, and what is told of parts that are down; on a clock of the test's
 * own. */
#include "daemon/hub/parts.h"

#include "daemon/hub/reached.h"
#include "tests/unit/base/fixture.h"

#define API TRANSFER_BUCKET_API
#define FILES TRANSFER_BUCKET_FILES
#define CDN TRANSFER_BUCKET_NONE

static char endpoint[] = "https://hub";
static struct hub_options options;
static struct parts parts;

static void begin(const char *state_folder)
{
    options = (struct hub_options){.endpoint = endpoint,
                                   .state_folder = (char *)(uintptr_t)state_folder,
                                   .outage_first_ms = 5000,
                                   .outage_longest_ms = 300000,
                                   .outage_limit_ms = 86400000};
    OK(parts_init(&parts, &options, &err));
}

static int set_up(void **state)
{
    (void)state;
    begin(NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    parts_free(&parts);
    return 0;
}

static struct part *note(enum transfer_bucket bucket, const char *url, enum outage_sign sign, int64_t now_ms)
{
    struct part *part = parts_find(&parts, bucket, url, now_ms);
    assert_non_null(part);
    outage_note(&part->outage, url, sign, "host: it failed", now_ms, 1.0);
    return part;
}

/* It answers, and has no address from 1000 on; returns when it is known to be down. */
static int64_t take_down(enum transfer_bucket bucket, const char *url)
{
    (void)note(bucket, url, OUTAGE_SIGN_ANSWER, 0);
    for (int i = 0; i < OUTAGE_FAILURES; i++)
        (void)note(bucket, url, OUTAGE_SIGN_NO_HOST, 1000 + 1100 * i);
    parts_update(&parts, 4300);
    return 4300;
}

static int refuses(enum transfer_bucket bucket, const char *url, int64_t now_ms)
{
    struct err err = ERR_INIT;
    int is_refused = parts_refuse(parts_find(&parts, bucket, url, now_ms), now_ms, &err);
    assert_int_equal(err.code, is_refused ? ERR_UNREACHABLE : 0);
    return is_refused;
}

/* The address that a part is to be asked, which is told to fail or not. */
static void answer(struct part *part, enum outage_sign sign, int64_t now_ms)
{
    assert_non_null(outage_ask(&part->outage, now_ms));
    outage_note_question(&part->outage, sign, "host: it still fails", now_ms, 1.0);
    parts_update(&parts, now_ms);
}

/* One host of files is down: what needs it is refused, whatever else goes on; its name is told. */
static void test_another_host(void **state)
{
    struct hub_outage news;
    struct hub_wait wait = {.reason = HUB_WAIT_UNREACHABLE};
    char problem[ERR_MESSAGE_BYTES];
    (void)state;
    assert_false(parts_take_news(&parts, &news));
    int64_t now_ms = take_down(CDN, "https://cdn:8443/x?signature=1");
    assert_true(refuses(CDN, "https://cdn:8443/y?signature=2", now_ms));
    assert_false(refuses(CDN, "https://cdn/y", now_ms)); /* another port is another host */
    assert_false(refuses(CDN, "https://cdn2/x", now_ms));
    assert_false(refuses(API, "https://hub/api/models/a", now_ms));
    assert_false(refuses(FILES, "https://hub/a/resolve/b/c", now_ms));
    parts_read_wait(&parts, &wait);
    assert_true(wait.is_partial && !wait.is_endured);
    assert_string_equal(wait.detail, "host: it failed; the hub's API answers");
    parts_read_problem(&parts, problem);
    assert_string_equal(problem, "");
    wait.reason = HUB_WAIT_RATE_LIMIT; /* of which these words are not */
    parts_read_wait(&parts, &wait);
    assert_string_equal(wait.detail, "");
    assert_true(parts_take_news(&parts, &news));
    assert_true(news.is_partial && !news.is_over && !news.is_endured);
    assert_string_equal(news.host, "https://cdn:8443");
    assert_string_equal(news.reason, "host: it failed");
    assert_false(parts_take_news(&parts, &news));
    uint64_t mark = parts_mark(&parts);
    assert_true(mark);
    answer(parts_find(&parts, CDN, "https://cdn:8443/", now_ms), OUTAGE_SIGN_ANSWER, 10000);
    assert_int_equal(parts_mark(&parts), 0);
    assert_true(parts_take_news(&parts, &news) && news.is_over && news.is_partial);
    parts_read_wait(&parts, &wait);
    assert_false(wait.is_partial || wait.detail[0]);
}

/* The endpoint is one place: told once, whichever of its parts fails first; and what is down of it raises a
 * doubt of the rest. */
static void test_endpoint(void **state)
{
    struct hub_outage news;
    struct hub_wait wait = {.reason = HUB_WAIT_UNREACHABLE};
    (void)state;
    (void)note(API, "https://hub/api/models/a", OUTAGE_SIGN_ANSWER, 0);
    int64_t now_ms = take_down(FILES, "https://hub/a/resolve/b/c");
    struct part *api = parts_find(&parts, API, "https://hub/api/models/a", now_ms);
    assert_int_equal(api->outage.state, OUTAGE_STATE_DOUBT);
    parts_read_wait(&parts, &wait);
    assert_true(wait.is_partial);
    assert_string_equal(wait.detail, "host: it failed");
    assert_true(parts_take_news(&parts, &news));
    assert_true(!news.is_partial && !news.is_over);
    assert_string_equal(news.host, "https://hub");
    answer(api, OUTAGE_SIGN_NO_HOST, now_ms);
    assert_true(refuses(API, "https://hub/api/models/a", now_ms));
    parts_read_wait(&parts, &wait);
    assert_false(wait.is_partial);
    assert_false(parts_take_news(&parts, &news));
    uint64_t mark = parts_mark(&parts);
    answer(api, OUTAGE_SIGN_ANSWER, 20000);
    assert_false(parts_take_news(&parts, &news)); /* its files are still down */
    assert_true(parts_mark(&parts) && parts_mark(&parts) != mark);
    assert_int_equal(parts_ask_at_ms(&parts), 20000); /* at once */
    answer(parts_find(&parts, FILES, "https://hub/", 20000), OUTAGE_SIGN_ANSWER, 20000);
    assert_true(parts_take_news(&parts, &news) && news.is_over && !news.is_partial);
}

/* The end of an outage that was endured is told as well. */
static void test_end_after_the_limit(void **state)
{
    struct hub_outage news;
    (void)state;
    int64_t now_ms = take_down(API, "https://hub/api/models/a");
    assert_true(parts_take_news(&parts, &news) && !news.is_endured);
    uint64_t mark = parts_mark(&parts);
    now_ms += options.outage_limit_ms;
    parts_update(&parts, now_ms);
    assert_true(mark && !parts_mark(&parts)); /* who waits goes on, and fails */
    assert_false(refuses(API, "https://hub/api/models/a", now_ms));
    assert_int_equal(parts_ask_at_ms(&parts), -1);
    assert_true(parts_take_news(&parts, &news) && news.is_endured);
    struct hub_wait wait = {.reason = HUB_WAIT_NONE};
    char problem[ERR_MESSAGE_BYTES];
    parts_read_wait(&parts, &wait);
    assert_true(wait.is_endured && !wait.is_partial);
    assert_string_equal(wait.detail, ""); /* nothing waits for it */
    parts_read_problem(&parts, problem);
    assert_string_equal(problem, "host: it failed"); /* a worker is still without a hub */
    (void)note(FILES, "https://hub/a/resolve/b/c", OUTAGE_SIGN_ANSWER, now_ms);
    for (int i = 0; i < OUTAGE_FAILURES; i++)
        (void)note(FILES, "https://hub/a/resolve/b/c", OUTAGE_SIGN_NO_HOST, now_ms + 1100 * i);
    assert_true(refuses(FILES, "https://hub/a/resolve/b/c", now_ms + 3300));
    parts_read_wait(&parts, &wait); /* its files, down since a shorter time, change nothing of that */
    assert_true(wait.is_endured && !wait.is_partial);
    assert_false(parts_take_news(&parts, &news));
    (void)note(FILES, "https://hub/a/resolve/b/c", OUTAGE_SIGN_ANSWER, now_ms + 3400);
    answer(parts_find(&parts, API, "https://hub/", now_ms), OUTAGE_SIGN_ANSWER, now_ms + 4000);
    assert_true(parts_take_news(&parts, &news) && news.is_over && !news.is_endured);
    parts_read_problem(&parts, problem);
    assert_string_equal(problem, "");
}

/* Two hosts are down and one is back: who waited for that one must not wait for the other. */
static void test_mark(void **state)
{
    (void)state;
    (void)take_down(CDN, "https://a/x");
    (void)take_down(CDN, "https://b/x");
    uint64_t mark = parts_mark(&parts);
    answer(parts_find(&parts, CDN, "https://a/", 10000), OUTAGE_SIGN_FAILURE, 10000);
    assert_int_equal(parts_mark(&parts), mark);
    answer(parts_find(&parts, CDN, "https://b/", 10000), OUTAGE_SIGN_ANSWER, 10000);
    assert_true(parts_mark(&parts) && parts_mark(&parts) != mark);
}

/* A host that nobody asks makes room, but never one that is down; where all are, nothing is known of more. */
static void test_room(void **state)
{
    char url[64];
    (void)state;
    (void)take_down(CDN, "https://down/x");
    for (int i = 0; i < 3 * PARTS_MAX; i++) {
        (void)snprintf(url, sizeof url, "https://host%d/x", i);
        (void)note(CDN, url, OUTAGE_SIGN_ANSWER, 5000 + i);
    }
    assert_int_equal(parts.count, PARTS_MAX);
    assert_true(refuses(CDN, "https://down/y", 6000));
    assert_true(parts_find(&parts, CDN, url, 6000)->outage.is_reached);
    assert_false(parts_find(&parts, CDN, "https://host0/x", 6000)->outage.is_reached);
    for (int i = 0; i < PARTS_MAX - 3; i++) {
        (void)snprintf(url, sizeof url, "https://bad%d/x", i);
        (void)take_down(CDN, url);
    }
    assert_null(parts_find(&parts, CDN, "https://more/x", 7000));
    assert_false(refuses(CDN, "https://more/x", 7000));
    assert_null(parts_find(&parts, CDN, "nonsense", 7000));
}

/* What answered is known in the next life: a host that is down then is waited for, and a file is held against
 * one that was there. Signatures and passwords are not kept. */
static void test_next_life(void **state)
{
    struct buf urls;
    buf_init(&urls, (size_t)PARTS_MAX * LIMIT_URL_BYTES);
    assert_false(parts_take_reached(&parts, &urls));
    (void)note(API, "https://hub/api/models/a", OUTAGE_SIGN_ANSWER, 0);
    (void)note(FILES, "https://hub/a/resolve/b/c", OUTAGE_SIGN_ANSWER, 0);
    (void)note(CDN, "https://cdn/x?signature=secret", OUTAGE_SIGN_ANSWER, 0);
    (void)note(CDN, "https://me:secret@cdn2/x", OUTAGE_SIGN_ANSWER, 0);
    (void)note(CDN, "https://silent/x", OUTAGE_SIGN_FAILURE, 0);
    assert_true(parts_take_reached(&parts, &urls));
    assert_string_equal(buf_text(&urls), "https://hub/a/resolve/b/c\nhttps://cdn/x\n");
    assert_false(parts_take_reached(&parts, &urls));
    reached_write(*state, endpoint, buf_text(&urls));
    parts_free(&parts);
    begin(*state);
    assert_true(parts_find(&parts, API, "https://hub/", 0)->outage.is_reached);
    assert_string_equal(parts_find(&parts, FILES, "https://hub/", 0)->outage.witness,
                        "https://hub/a/resolve/b/c");
    assert_true(parts_find(&parts, CDN, "https://cdn/", 0)->outage.is_reached);
    assert_false(parts_find(&parts, CDN, "https://silent/", 0)->outage.is_reached);
    (void)note(CDN, "https://cdn/z", OUTAGE_SIGN_ANSWER, 0);
    assert_false(parts_take_reached(&parts, &urls)); /* is kept already */
    buf_free(&urls);
}

static int set_up_folder(void **state)
{
    return fixture_make_folder(state) || set_up(state);
}

static int tear_down_folder(void **state)
{
    return tear_down(state) || fixture_remove_folder(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_another_host),
        TEST(test_endpoint),
        TEST(test_end_after_the_limit),
        TEST(test_mark),
        TEST(test_room),
        cmocka_unit_test_setup_teardown(test_next_life, set_up_folder, tear_down_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
