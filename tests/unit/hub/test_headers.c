/* Header fields as servers write them, well and badly. */
#include "daemon/hub/headers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct headers headers;

static void take(const char *line)
{
    assert_int_equal(headers_parse_line(&headers, line, strlen(line), 1700000000000), 0);
}

static int set_up(void **state)
{
    (void)state;
    headers_init(&headers);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    headers_free(&headers);
    return 0;
}

static void content_range(void **state)
{
    (void)state;
    take("content-range: bytes 100-199/1000\r\n");
    assert_true(headers.has_content_range && headers.has_range_total);
    assert_int_equal(headers.range_begin, 100);
    assert_int_equal(headers.range_end, 200);
    assert_int_equal(headers.range_total_bytes, 1000);
}

static void content_range_without_total(void **state)
{
    (void)state;
    take("Content-Range: bytes 0-0/*");
    assert_true(headers.has_content_range);
    assert_false(headers.has_range_total);
    assert_int_equal(headers.range_end, 1);
}

static void content_range_of_416(void **state)
{
    (void)state;
    take("Content-Range: bytes */0");
    assert_true(headers.has_content_range && headers.has_range_total);
    assert_int_equal(headers.range_end, 0);
}

static void bad_content_ranges(void **state)
{
    static const char *const lines[] = {
        "Content-Range: bytes 5-4/10",    "Content-Range: items 0-4/10",
        "Content-Range: bytes 0-4",       "Content-Range: bytes -4/10",
        "Content-Range: bytes 0-/10",     "Content-Range: bytes 0-4/x",
        "Content-Range: bytes 0-4/10 11", "Content-Range:",
        "Content-Range: bytes",           "Content-Range: bytes 0-18446744073709551615/5"};
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        take(lines[i]);
        assert_false(headers.has_content_range);
    }
}

static void etags(void **state)
{
    (void)state;
    take("ETag: W/\"abc\"");
    assert_string_equal(headers.etag, "abc");
    assert_true(headers.is_etag_weak);
    take("etag:   \"def\"  ");
    assert_string_equal(headers.etag, "def");
    assert_false(headers.is_etag_weak);
    take("X-Linked-ETag: plain");
    assert_string_equal(headers.linked_etag, "plain");
    char line[600] = "ETag: ";
    memset(line + 6, 'a', 500);
    take(line);
    assert_string_equal(headers.etag, "");
}

static void links(void **state)
{
    static const struct {
        const char *value, *next;
    } cases[] = {
        {"<https://hub/x?cursor=a%3D>; rel=\"next\"", "https://hub/x?cursor=a%3D"},
        {"<a>; rel=\"prev\", <b>; rel=\"next\"", "b"},
        {"<b>;rel=next", "b"},
        {"<b>; title=\"x\"; REL=\"Next\"", "b"},
        {"<b>; rel=\"xet-auth\"", NULL},
        {"<b>; rel=\"nextish\"", NULL},
        {"<b", NULL},
        {"b>; rel=next", NULL},
        {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *next = headers_link_next(cases[i].value);
        if (cases[i].next)
            assert_string_equal(next, cases[i].next);
        else
            assert_null(next);
        free(next);
    }
}

static void rate_limits(void **state)
{
    static const struct {
        const char *value;
        int left, reset_ms;
    } cases[] = {
        {"\"api\";r=0;t=55", 0, 55000},
        {"\"resolvers\"; r=17; t=3", 17, 3000},
        {"\"api\";t=3;r=17", 17, 3000},
        {"\"api\";r=17", 17, -1},
        {"nonsense;r=x;t=", -1, -1},
        {"\"api\";t=55", -1, -1},
        {"\"api\";r=-1;t=55", -1, -1},
        {"\"api\";r=5;t=60, \"resolvers\";r=2;t=7, \"pages\";r=9;t=1", 2, 7000},
        {",,;r=4,", 4, -1},
        {";", -1, -1},
        {"", -1, -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[200];
        headers_free(&headers);
        (void)snprintf(line, sizeof line, "RateLimit: %s", cases[i].value);
        take(line);
        if (headers.ratelimit_left != cases[i].left || headers.ratelimit_reset_ms != cases[i].reset_ms)
            fail_msg("%s: %d left for %d ms", cases[i].value, (int)headers.ratelimit_left,
                     (int)headers.ratelimit_reset_ms);
    }
}

static void retry_after(void **state)
{
    (void)state;
    assert_int_equal(headers.retry_after_ms, -1);
    take("Retry-After: 7");
    assert_int_equal(headers.retry_after_ms, 7000);
    take("Retry-After: Tue, 14 Nov 2023 22:13:30 GMT"); /* ten seconds after 1700000000 */
    assert_int_equal(headers.retry_after_ms, 10000);
    take("Retry-After: Tue, 14 Nov 2023 22:00:00 GMT"); /* gone by */
    assert_int_equal(headers.retry_after_ms, 0);
}

/* By the server's clock, wherever the field stands that tells it. */
static void retry_after_by_the_servers_clock(void **state)
{
    static const char *const lines[] = {"Date: Wed, 15 Nov 2023 10:00:00 GMT",
                                        "Retry-After: Wed, 15 Nov 2023 10:00:05 GMT"};
    (void)state;
    for (size_t first = 0; first < 2; first++) {
        headers_free(&headers);
        take(lines[first]);
        take(lines[1 - first]);
        assert_int_equal(headers.retry_after_ms, 5000);
    }
    headers_free(&headers);
    take("Date: today");
    take("Retry-After: Tue, 14 Nov 2023 22:13:30 GMT");
    assert_int_equal(headers.retry_after_ms, 10000);
}

static void retry_after_that_is_nonsense(void **state)
{
    static const char *const values[] = {"soon", "-5", "1.5", "5 seconds", "", "0x10", "5, 6", "PT60S"};
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char line[100];
        headers_free(&headers);
        (void)snprintf(line, sizeof line, "Retry-After: %s", values[i]);
        take(line);
        assert_int_equal(headers.retry_after_ms, -1);
    }
    take("Retry-After: 99999999999999999999");
    assert_int_equal(headers.retry_after_ms, -1);
    take("Retry-After: 9999999999999999999");
    assert_int_equal(headers.retry_after_ms, 1000000000000);
}

static void sizes(void **state)
{
    (void)state;
    take("Content-Length: 12");
    assert_true(headers.has_content_length);
    assert_int_equal(headers.content_length_bytes, 12);
    take("X-Linked-Size: 99999999999999999999999");
    assert_false(headers.has_linked_size);
    take("Content-Length: -1");
    assert_false(headers.has_content_length);
    take("Content-Encoding: gzip");
    assert_true(headers.is_encoded);
    take("Content-Encoding: Identity");
    assert_false(headers.is_encoded);
    take("Content-Encoding: aws-chunked");
    assert_true(headers.is_encoded);
    take("Content-Encoding:");
    assert_false(headers.is_encoded);
}

static void rubbish(void **state)
{
    (void)state;
    take("");
    take(":");
    take("no colon");
    take("HTTP/1.1 200 OK\r\n");
    assert_int_equal(headers_parse_line(&headers, "ETag: a\0b", 9, 0), 0);
    assert_string_equal(headers.etag, "");
    assert_true(headers.total_bytes > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(content_range),
        TEST(content_range_without_total),
        TEST(content_range_of_416),
        TEST(bad_content_ranges),
        TEST(etags),
        TEST(links),
        TEST(rate_limits),
        TEST(retry_after),
        TEST(retry_after_by_the_servers_clock),
        TEST(retry_after_that_is_nonsense),
        TEST(sizes),
        TEST(rubbish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
