#include "tests/unit/store/fixture.h"

#include "api/sweeps/watch_request.h"

static void check(const char *body, int code, const char *field)
{
    struct api_watch_request watch;
    char found[API_SWEEP_FIELD_SIZE];
    struct err err = ERR_INIT;
    int result = api_watch_request_parse(body, strlen(body), "owner/name", &watch, found, &err);
    if (result != code)
        print_error("%s: %s\n", body, err.message);
    assert_int_equal(result, code);
    if (code)
        assert_string_equal(found, field);
    free(watch.sweep.text);
}

#define HOOK(url, secret) "{\"at\":\"02:30\",\"webhook\":{\"url\":\"" url "\",\"secret\":" secret "}}"
#define LONG "\"sixteen letters!\""

static void test_what_is_refused_is_named(void **state)
{
    (void)state;
    check("{\"at\":\"02:30\"}", 0, "");
    check("{\"every_minutes\":525600,\"at\":null}", 0, "");
    check(HOOK("http://[::1]:8080/a/b?c=d", LONG), 0, "");
    check(HOOK("https://hooks.example", "null"), 0, ""); /* whether a secret is known is for the store */
    check("[]", ERR_INVALID, "");
    check("{", ERR_INVALID, "");
    check("{\"at\":\"02:30\",\"at\":\"02:31\"}", ERR_INVALID, "");
    check("{}", ERR_INVALID, "/at");
    check("{\"at\":\"02:30\",\"every_minutes\":1}", ERR_INVALID, "/every_minutes");
    check("{\"at\":\"02:30\\u0000\"}", ERR_INVALID, "");
    check("{\"at\":[\"02:30\"]}", ERR_INVALID, "/at");
    check("{\"every_minutes\":525601}", ERR_INVALID, "/every_minutes");
    check("{\"every_minutes\":-1}", ERR_INVALID, "/every_minutes");
    check("{\"every_minutes\":99999999999999999999}", ERR_INVALID, "");
    check("{\"at\":\"02:30\",\"model\":\"a/b\"}", ERR_INVALID, "/model");
    check("{\"at\":\"02:30\",\"revisions\":{\"every\":1}}", ERR_INVALID, "/revisions/every");
    check("{\"at\":\"02:30\",\"colour\":1}", ERR_INVALID, "/colour");
    check("{\"at\":\"02:30\",\"webhook\":[]}", ERR_INVALID, "/webhook");
    check("{\"at\":\"02:30\",\"webhook\":{\"secret\":" LONG "}}", ERR_INVALID, "/webhook/url");
    check("{\"at\":\"02:30\",\"webhook\":{\"url\":null}}", ERR_INVALID, "/webhook/url");
    check(HOOK("http://h/", "\"fifteen letters\""), ERR_INVALID, "/webhook/secret");
    check(HOOK("http://h/", "7"), ERR_INVALID, "/webhook/secret");
    check(HOOK("http://h/\\u0000", LONG), ERR_INVALID, "");
}

static void test_addresses(void **state)
{
    static const char *const right[] = {"http://a", "HTTPS://A.example:8443/x?y=z%20&w", "http://10.0.0.1/",
                                        "http://[fd00::1]/"};
    static const char *const wrong[] = {"",
                                        "http://",
                                        "https:///x",
                                        "ftp://a/",
                                        "file:///etc/passwd",
                                        "//a/",
                                        "a.example/",
                                        "http://u@a/",
                                        "http://u:p@a/",
                                        "http://a b/",
                                        "http://a/#f",
                                        "http://:80/",
                                        "http://a/\r\nX: y",
                                        "http://\xc3\xbc/",
                                        "http://a/<x>",
                                        "javascript:alert(1)",
                                        "http://a\\@b/"};
    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        if (!api_watch_request_is_url(right[i]))
            fail_msg("%s is refused", right[i]);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (api_watch_request_is_url(wrong[i]))
            fail_msg("%s is taken", wrong[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_refused_is_named),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
