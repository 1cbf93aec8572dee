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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_origin)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
