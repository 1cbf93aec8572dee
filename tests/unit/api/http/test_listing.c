#include "tests/unit/base/fixture.h"
#include "tests/unit/base/no_memory.h"

#include "api/http/listing.h"
#include "api/http/request.h"

#define PAGE                                                                                                 \
    "{\"things\":[{\"name\":\"first\",\"progress\":{\"done\":1,\"all\":2},\"x\":0.5},"                       \
    "{\"name\":\"second\",\"progress\":null,\"x\":null}],\"next_cursor\":null}"

static const struct api_listing THINGS = {"things", " name progress.done x ", " progress.all "};

/* The page in the form that the query asks for; `expected` NULL: there is no memory for it. */
static int finish(const char *query, enum api_format format, const char *expected)
{
    struct err reason = ERR_INIT;
    struct api_request request = {.format = format};
    struct api_response response;
    OK(api_uri_parse(query, &request.uri, &err));
    api_response_init(&response, 1 << 16);
    buf_append_text(&response.body, PAGE);
    int code = api_listing_finish(&request, &THINGS, &response, &reason);
    if (!code)
        assert_string_equal(buf_text(&response.body), expected);
    else
        assert_int_equal(reason.code, ERR_NO_MEMORY);
    api_response_done(&response);
    api_uri_free(&request.uri);
    return code;
}

static const char SOME[] = "{\"things\":[{\"x\":0.5,\"progress\":{\"all\":2,\"done\":1}},"
                           "{\"x\":null,\"progress\":null}],\"next_cursor\":null}";
static const char SOME_QUERY[] = "/v1/things?fields=x,progress.all,progress.done";
static const char TABLE[] = "name,progress.done,x\r\nfirst,1,0.5\r\nsecond,,\r\n";

static void test_forms(void **state)
{
    (void)state;
    assert_int_equal(finish("/v1/things", API_FORMAT_JSON, PAGE), 0);
    assert_int_equal(finish(SOME_QUERY, API_FORMAT_JSON, SOME), 0);
    assert_int_equal(finish("/v1/things", API_FORMAT_CSV, TABLE), 0);
}

/* Each allocation fails once: an error, and never a row that lacks something. */
static void test_without_memory_there_is_no_page(void **state)
{
    unsigned failures = 0, is_over = 0;
    (void)state;
    for (unsigned nth = 1; !is_over; nth++) {
        countdown = nth;
        failures += finish(SOME_QUERY, API_FORMAT_JSON, SOME) != 0;
        is_over = countdown;
        countdown = nth;
        failures += finish("/v1/things", API_FORMAT_CSV, TABLE) != 0;
        countdown = 0;
    }
    assert_true(failures > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test_setup_teardown(test_without_memory_there_is_no_page, let_memory_fail,
                                        restore_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
