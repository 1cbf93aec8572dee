#include "tests/unit/base/fixture.h"

#include "daemon/base/url.h"

static void test_origin(void **state)
{
    static const struct {
        const char *url;
        size_t length;
    } cases[] = {
        {"", 0},
        {"a", 0},
        {"http://", 0},
        {"http:///path", 0},
        {"https://?q", 0},
        {"http://a", 8},
        {"http://a/", 8},
        {"https://hooks.example:8443/secret/path?key=1#x", 26},
        {"http://[::1]:80?key", 15},
        {"http://a#b://c", 8},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(url_origin_length(cases[i].url), cases[i].length);
}

static void test_serialised_origin(void **state)
{
    static const char *const right[] = {"https://a",
                                        "http://a.example",
                                        "https://a.example:8443",
                                        "http://localhost:3000",
                                        "http://[::1]:443",
                                        "https://127.0.0.1",
                                        "http://a_b",
                                        "https://a:80",
                                        "moz-extension://0c9f",
                                        "tauri://localhost:443"};
    static const char *const wrong[] = {"",
                                        "*",
                                        "null",
                                        "a.example",
                                        "a.example:80",
                                        "https:",
                                        "https:/",
                                        "https://",
                                        "://a",
                                        "https:///",
                                        "https://a/",
                                        "https://a.example/page",
                                        "https://A.example",
                                        "HTTPS://a",
                                        "https://a:",
                                        "https://a:443",
                                        "http://a:80",
                                        "http://[::1]:80",
                                        "https://a:0",
                                        "https://a:08",
                                        "https://a:123456",
                                        "https://a:1x",
                                        "https://u@a",
                                        "https://[::1",
                                        "https://[]",
                                        "https://[",
                                        "https://a?b",
                                        "https://a#b",
                                        "https://a b",
                                        "https://[a]b",
                                        "https://*.example"};
    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
        assert_true(url_is_origin(right[i], strlen(right[i])));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(url_is_origin(wrong[i], strlen(wrong[i])));
    for (size_t length = 0; length <= 9; length++) /* of a text that goes on */
        assert_int_equal(url_is_origin("https://a.example", length), length == 9);
    assert_true(url_is_origin("https://a:8443, b", 14) && !url_is_origin("https://a:443", 10));
}

static void test_loopback(void **state)
{
    static const char *const local[] = {"127.0.0.1",       "127.9.9.9",        "::1",
                                        "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "::FFFF:7f00:1"};
    static const char *const others[] = {"",
                                         "127.",
                                         "127.1",
                                         "127.0.0.1.evil",
                                         "127.evil.example",
                                         "128.0.0.1",
                                         "::",
                                         "::2",
                                         "::ffff:1.0.0.127",
                                         "::127.0.0.1",
                                         "::ffff:127.evil",
                                         "[::1]",
                                         "localhost"};
    (void)state;
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++)
        assert_true(url_host_is_loopback(local[i]) && url_host_is_local(local[i]));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_false(url_host_is_loopback(others[i]));
        assert_int_equal(url_host_is_local(others[i]), strcmp(others[i], "localhost") == 0);
    }
    assert_true(url_host_is_local("LocalHost.") && !url_host_is_local("localhost..") &&
                !url_host_is_local(".localhost") && !url_host_is_local("localhost.example"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_origin),
                                       cmocka_unit_test(test_serialised_origin),
                                       cmocka_unit_test(test_loopback)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
