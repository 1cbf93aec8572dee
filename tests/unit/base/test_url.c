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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_origin), cmocka_unit_test(test_loopback)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
