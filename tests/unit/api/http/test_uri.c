/* Targets, and the coding that a header asks for. */
#include "tests/unit/store/fixture.h"

#include "api/http/encode.h"
#include "api/http/uri.h"

static void test_path_and_query(void **state)
{
    struct api_uri uri;
    (void)state;
    OK(api_uri_parse("/v1/models/file/%2Fdata%2Frun%201?limit=5&fields=a%2Cb+c&flag", &uri, &err));
    assert_int_equal(uri.segment_count, 4);
    assert_string_equal(uri.segments[3], "/data/run 1");
    assert_string_equal(api_uri_find(&uri, "limit"), "5");
    assert_string_equal(api_uri_find(&uri, "fields"), "a,b c");
    assert_string_equal(api_uri_find(&uri, "flag"), "");
    assert_null(api_uri_find(&uri, "cursor"));
    api_uri_free(&uri);
    OK(api_uri_parse("http://host:80/healthz", &uri, &err));
    assert_int_equal(uri.segment_count, 1);
    api_uri_free(&uri);
    OK(api_uri_parse("/", &uri, &err));
    assert_int_equal(uri.segment_count, 0);
    api_uri_free(&uri);
}

static void test_bad_targets(void **state)
{
    static const char *const invalid[] = {
        "",          "v1",    "*",       "//",    "/a//b", "/a/./b", "/a/../b", "/%2e%2e",    "/a%",
        "/a%4",      "/a%zz", "/a%00",   "/a%0a", "/a%7f", "/%ff",   "/%c0%80", "/%ed%a0%80", "/%f4%90%80%80",
        "/?a=1&a=2", "/?a=%", "/?%80=1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++) {
        struct api_uri uri;
        struct err err = ERR_INIT;
        int code = api_uri_parse(invalid[i], &uri, &err);
        api_uri_free(&uri);
        /* An empty target counts as "/". */
        if (invalid[i][0] ? code != ERR_INVALID : code != 0)
            fail_msg("%s: %s", invalid[i], err_name(code));
    }
    struct api_uri uri;
    FAILS(ERR_NO_ROUTE, api_uri_parse("/a/b/c/d/e/f/g/h/i", &uri, &err));
    api_uri_free(&uri);
    FAILS(ERR_NO_ROUTE, api_uri_parse("/a/", &uri, &err));
    api_uri_free(&uri);
}

static void test_what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *target, *faulty;
    } cases[] = {
        {"/a?b=1&limit=%zz", "limit"}, {"/a?%6cimit=%00", "limit"}, {"/a?b=1&b=2", "b"}, {"/a?b=1&%ff=1", ""},
        {"/a?b=1&c d=1", ""},          {"/%00?b=%zz", NULL},        {"/a//?b=1", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct api_uri uri;
        FAILS(ERR_INVALID, api_uri_parse(cases[i].target, &uri, &err));
        if (cases[i].faulty)
            assert_string_equal(uri.faulty, cases[i].faulty);
        else
            assert_null(uri.faulty);
        api_uri_free(&uri);
    }
}

static void test_encoding_choice(void **state)
{
    static const struct {
        const char *accept;
        enum api_encoding encoding;
    } cases[] = {
        {NULL, API_ENCODING_IDENTITY},
        {"", API_ENCODING_IDENTITY},
        {"br", API_ENCODING_IDENTITY},
        {"gzip", API_ENCODING_GZIP},
        {"GZIP", API_ENCODING_GZIP},
        {"gzip, zstd", API_ENCODING_ZSTD},
        {"gzip;q=1, zstd;q=0.5", API_ENCODING_GZIP},
        {"zstd;q=0, gzip;q=0.001", API_ENCODING_GZIP},
        {"gzip;q=0", API_ENCODING_IDENTITY},
        {"xgzip", API_ENCODING_IDENTITY},
        {"gzip;Q=0.5, zstd ; q=0.4", API_ENCODING_GZIP},
        {"gzip;seq=0", API_ENCODING_GZIP},
        {"*", API_ENCODING_IDENTITY},
        {"gzip, *;q=0", API_ENCODING_GZIP},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(api_encoding_choose(cases[i].accept), cases[i].encoding);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path_and_query),
        cmocka_unit_test(test_what_is_wrong_is_named),
        cmocka_unit_test(test_bad_targets),
        cmocka_unit_test(test_encoding_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
