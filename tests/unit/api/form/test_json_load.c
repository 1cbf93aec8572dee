/* The JSON of requests: numbers without a fraction are integers, and what is too much is not parsed. */
#include "tests/unit/base/no_memory.h"
#include "tests/unit/store/fixture.h"

#include "api/form/json_load.h"
#include "daemon/base/buf.h"
#include "daemon/base/limits.h"

static void test_whole_numbers(void **state)
{
    static const char text[] = "{\"a\":7.0,\"b\":[7e0,7.5],\"c\":7}";
    struct err fault = ERR_INIT;
    (void)state;
    json_t *root = api_json_load(text, sizeof text - 1, &fault);
    assert_true(json_is_integer(json_object_get(root, "a")));
    assert_true(json_is_integer(json_array_get(json_object_get(root, "b"), 0)));
    assert_true(json_is_real(json_array_get(json_object_get(root, "b"), 1)));
    assert_true(json_is_integer(json_object_get(root, "c")));
    json_decref(root);
    assert_null(api_json_load("{\"a\":1,\"a\":2}", 13, &fault));
    assert_int_equal(fault.code, ERR_INVALID);
    assert_non_null(strstr(fault.message, "not JSON: line 1, column "));
    assert_non_null(strstr(fault.message, "duplicate"));
}

static void test_too_many_values(void **state)
{
    struct buf text;
    struct err fault = ERR_INIT;
    (void)state;
    buf_init(&text, MIB);
    (void)buf_append_text(&text, "[0");
    for (int i = 0; i < LIMIT_API_JSON_CONTAINERS; i++)
        (void)buf_append_text(&text, ",[]");
    (void)buf_append_char(&text, ']');
    assert_int_equal(text.failed, 0);
    assert_null(api_json_load(text.data, text.size, &fault));
    assert_int_equal(fault.code, ERR_INVALID);
    assert_non_null(strstr(fault.message, "objects and arrays"));
    text.size -= 4;
    (void)buf_append_char(&text, ']');
    json_t *root = api_json_load(text.data, text.size, &fault);
    assert_int_equal(json_array_size(root), LIMIT_API_JSON_CONTAINERS);
    json_decref(root);
    buf_free(&text);
}

/* Whatever allocation fails, it is memory that was lacking, and no fault of the one who asks. */
static void test_memory(void **state)
{
    static const char text[] = "{\"a\": [7.0, {\"b\": 7e0}, \"text\"], \"c\": 8.0}";
    unsigned failures = 0;
    (void)state;
    for (unsigned nth = 1;; nth++) {
        struct err fault = ERR_INIT;
        countdown = nth;
        json_t *root = api_json_load(text, sizeof text - 1, &fault);
        if (countdown) { /* there are fewer */
            assert_int_equal(json_integer_value(json_object_get(root, "c")), 8);
            json_decref(root);
            break;
        }
        failures++;
        assert_null(root);
        assert_int_equal(fault.code, ERR_NO_MEMORY);
    }
    assert_true(failures > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_numbers),
        cmocka_unit_test(test_too_many_values),
        cmocka_unit_test_setup_teardown(test_memory, let_memory_fail, restore_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
