/* The JSON of requests: numbers without a fraction are integers, and what is too much is not parsed. */
#include "tests/unit/store/fixture.h"

#include "api/form/json_load.h"
#include "daemon/base/buf.h"
#include "daemon/base/limits.h"

static void test_whole_numbers(void **state)
{
    static const char text[] = "{\"a\":7.0,\"b\":[7e0,7.5],\"c\":7}";
    json_error_t fault;
    (void)state;
    json_t *root = api_json_load(text, sizeof text - 1, &fault);
    assert_true(json_is_integer(json_object_get(root, "a")));
    assert_true(json_is_integer(json_array_get(json_object_get(root, "b"), 0)));
    assert_true(json_is_real(json_array_get(json_object_get(root, "b"), 1)));
    assert_true(json_is_integer(json_object_get(root, "c")));
    json_decref(root);
    assert_null(api_json_load("{\"a\":1,\"a\":2}", 13, &fault));
    assert_non_null(strstr(fault.text, "duplicate"));
}

static void test_too_many_values(void **state)
{
    struct buf text;
    json_error_t fault;
    (void)state;
    buf_init(&text, MIB);
    (void)buf_append_text(&text, "[0");
    for (int i = 0; i < LIMIT_API_JSON_CONTAINERS; i++)
        (void)buf_append_text(&text, ",[]");
    (void)buf_append_char(&text, ']');
    assert_int_equal(text.failed, 0);
    assert_null(api_json_load(text.data, text.size, &fault));
    assert_non_null(strstr(fault.text, "objects and arrays"));
    text.size -= 4;
    (void)buf_append_char(&text, ']');
    json_t *root = api_json_load(text.data, text.size, &fault);
    assert_int_equal(json_array_size(root), LIMIT_API_JSON_CONTAINERS);
    json_decref(root);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_numbers),
        cmocka_unit_test(test_too_many_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
