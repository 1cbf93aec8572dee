/* Header fields as servers write them, well and badly. */
#include "daemon/hub/headers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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
    (void)state;
    take("RateLimit: \"api\";r=0;t=55");
    assert_int_equal(headers.ratelimit_left, 0);
    assert_int_equal(headers.ratelimit_reset_ms, 55000);
    take("RateLimit: \"resolvers\"; r=17; t=3");
    assert_int_equal(headers.ratelimit_left, 17);
    assert_int_equal(headers.ratelimit_reset_ms, 3000);
    take("RateLimit: nonsense;r=x;t=");
    assert_int_equal(headers.ratelimit_left, 17);
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
    take("Retry-After: soon");
    assert_int_equal(headers.retry_after_ms, 0);
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
        TEST(sizes),
        TEST(rubbish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
