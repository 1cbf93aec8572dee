/* Numbers, JSON and CSV: pure functions between bytes and values. */
#include "tests/unit/store/fixture.h"

#include "api/form/csv.h"
#include "api/form/json.h"
#include "api/form/number.h"

#include <jansson.h>

static void test_numbers_read_back(void **state)
{
    static const double values[] = {0.0,
                                    -0.0,
                                    0.1,
                                    1.0 / 3.0,
                                    1e300,
                                    5e-324,
                                    3.0,
                                    -2.5e-7,
                                    1e15,
                                    123456789012345678.0,
                                    2.2250738585072014e-308};
    char text[API_NUMBER_SIZE];
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        assert_true(api_number_format(values[i], text) > 0);
        double back = strtod(text, NULL);
        assert_memory_equal(&back, &values[i], sizeof back);
        assert_non_null(strpbrk(text, ".e"));
    }
    api_number_format(0.1, text);
    assert_string_equal(text, "0.1");
    assert_int_equal(api_number_format((double)NAN, text), 0);
    assert_int_equal(api_number_format((double)INFINITY, text), 0);
}

static void test_integers_are_strict(void **state)
{
    static const char *const wrong[] = {"",  "-", "+1", " 1", "1 ", "1.0", "0x1", "99999999999999999999",
                                        "11"};
    int64_t value = 7;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(api_number_parse(wrong[i], -5, 10, &value));
    assert_int_equal(value, 7);
    assert_true(api_number_parse("-5", -5, 10, &value));
    assert_int_equal(value, -5);
}

static void test_json(void **state)
{
    struct buf buf;
    struct api_json json;
    (void)state;
    buf_init(&buf, 4096);
    api_json_init(&json, &buf);
    api_json_open_object(&json, NULL);
    api_json_text(&json, "a\"\\\n", "\x01\x7f\xc3\xa9\xff\xe2\x82");
    api_json_real(&json, "nan", (double)NAN);
    api_json_integer(&json, "min", INT64_MIN);
    api_json_time(&json, "at", 1);
    api_json_time(&json, "never", 0);
    api_json_open_array(&json, "list");
    api_json_open_object(&json, NULL);
    api_json_close_object(&json);
    api_json_boolean(&json, NULL, 1);
    api_json_text_or_null(&json, NULL, "");
    api_json_close_array(&json);
    api_json_close_object(&json);
    assert_string_equal(
        buf_text(&buf),
        "{\"a\\\"\\\\\\u000a\":\"\\u0001\\u007f\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\","
        "\"nan\":null,\"min\":-9223372036854775808,\"at\":\"1970-01-01T00:00:00.001Z\","
        "\"never\":null,\"list\":[{},true,null]}");
    json_t *back = json_loadb(buf.data, buf.size, 0, NULL);
    assert_non_null(back);
    json_decref(back);
    buf_free(&buf);
}

static void test_csv(void **state)
{
    struct buf buf;
    struct api_csv csv;
    (void)state;
    buf_init(&buf, 4096);
    api_csv_init(&csv, &buf);
    api_csv_text(&csv, "plain");
    api_csv_text(&csv, "a,\"b\"\n");
    api_csv_text(&csv, NULL);
    api_csv_real(&csv, (double)NAN);
    api_csv_integer(&csv, -3);
    api_csv_end_line(&csv);
    api_csv_real(&csv, 0.1);
    api_csv_end_line(&csv);
    assert_string_equal(buf_text(&buf), "plain,\"a,\"\"b\"\"\n\",,,-3\r\n0.1\r\n");
    buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_read_back),
        cmocka_unit_test(test_integers_are_strict),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_csv),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
