/* Addresses: encoding, redirects, origins. */
#include "daemon/hub/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void encode(void **state)
{
    struct buf url;
    (void)state;
    buf_init(&url, 1000);
    url_append_segment(&url, "refs/pr/1 ü%+~-._");
    assert_string_equal(buf_text(&url), "refs%2Fpr%2F1%20%C3%BC%25%2B~-._");
    buf_clear(&url);
    url_append_path(&url, "a/b c?d#e.bin");
    assert_string_equal(buf_text(&url), "a/b%20c%3Fd%23e.bin");
    buf_free(&url);
}

static void assert_follows(const char *base, const char *location, const char *expected)
{
    struct err err = ERR_INIT;
    char *url = NULL;
    int code = url_follow(base, location, &url, &err);
    if (!expected) {
        assert_int_equal(code, ERR_HTTP);
        assert_null(url);
        assert_true(err.message[0]);
        return;
    }
    assert_int_equal(code, 0);
    assert_string_equal(url, expected);
    free(url);
}

static void follow(void **state)
{
    (void)state;
    assert_follows("https://hub/a/b?c=d", "/x/y?z", "https://hub/x/y?z");
    assert_follows("https://hub/a/b?c=d", "x", "https://hub/a/x");
    assert_follows("https://hub/a", "//cdn/x", "https://cdn/x");
    assert_follows("https://hub/a", "https://cdn:444/x?Signature=a%2Bb&y",
                   "https://cdn:444/x?Signature=a%2Bb&y");
    assert_follows("https://hub/a", "https://cdn/x#part", "https://cdn/x");
    assert_follows("http://hub/a", "https://cdn/x", "https://cdn/x");
    assert_follows("http://hub/a", "http://cdn/x", "http://cdn/x");
    assert_follows("https://hub/a", "http://hub/a", NULL);
    assert_follows("https://hub/a", "file:///etc/passwd", NULL);
    assert_follows("https://hub/a", "ftp://hub/a", NULL);
    char *long_one = malloc(10001);
    assert_non_null(long_one);
    memset(long_one, 'a', 10000);
    long_one[10000] = 0;
    assert_follows("https://hub/a", long_one, NULL);
    free(long_one);
}

static void same_origin(void **state)
{
    (void)state;
    assert_true(url_is_same_origin("https://Hub.example", "https://hub.example:443/x/y?z"));
    assert_true(url_is_same_origin("http://hub:8080/prefix", "http://hub:8080/other"));
    assert_false(url_is_same_origin("https://hub.example", "http://hub.example"));
    assert_false(url_is_same_origin("http://hub", "http://hub:8080"));
    assert_false(url_is_same_origin("http://127.0.0.1:80", "http://localhost:80"));
    assert_false(url_is_same_origin("https://hub.example", "https://hub.example.evil.org"));
    assert_false(url_is_same_origin("https://hub.example", "https://evil.org/https://hub.example"));
    assert_false(url_is_same_origin("https://hub.example", "https://hub.example@evil.org/"));
    assert_false(url_is_same_origin("https://hub.example", ""));
}

static void endpoint(void **state)
{
    (void)state;
    assert_true(url_is_endpoint("https://huggingface.co"));
    assert_true(url_is_endpoint("http://mirror:8080/api/hf/models"));
    assert_false(url_is_endpoint("huggingface.co"));
    assert_false(url_is_endpoint("ftp://huggingface.co"));
    assert_false(url_is_endpoint("https://user:secret@huggingface.co"));
    assert_false(url_is_endpoint("https://huggingface.co/?x"));
    assert_false(url_is_endpoint("https://"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encode),
        cmocka_unit_test(follow),
        cmocka_unit_test(same_origin),
        cmocka_unit_test(endpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
