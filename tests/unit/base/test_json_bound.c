#include "tests/unit/base/fixture.h"

#include "daemon/base/json_bound.h"

/* Whether exactly so many values and containers are counted: one less of either is refused. */
static void check_counts(const char *text, size_t values, size_t containers)
{
    struct err err = ERR_INIT;
    size_t size = strlen(text);
    if (json_bound_check(text, size, values, containers, &err))
        fail_msg("%s: %s", text, err.message);
    assert_int_equal(json_bound_check(text, size, values - 1, containers, &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "values"));
    if (containers) {
        assert_int_equal(json_bound_check(text, size, values, containers - 1, &err), ERR_LIMIT);
        assert_non_null(strstr(err.message, "objects and arrays"));
    }
}

static void test_counts(void **state)
{
    (void)state;
    check_counts("", 1, 0);
    check_counts("17", 1, 0);
    check_counts("[[],[],{}]", 7, 4);
    check_counts("{\"a\":[1,2,3],\"b\":{}}", 7, 3);
    check_counts("[[[[", 5, 4);
}

static void test_strings(void **state)
{
    (void)state;
    check_counts("\"[{,\"", 1, 0);
    check_counts("[\"a\\\"[,\",\"\\\\\",{}]", 5,
                 2); /* an escaped quote ends nothing, an escaped backslash does */
    check_counts("\"unended [[[", 1, 0);
    check_counts("\"unended \\", 1, 0);
}

static void test_bytes_of_any_kind(void **state)
{
    (void)state;
    static const char bytes[] = "[\0[\xff[,";
    struct err err = ERR_INIT;
    assert_int_equal(json_bound_check(bytes, sizeof bytes - 1, 5, 3, &err), 0);
    assert_int_equal(json_bound_check(bytes, sizeof bytes - 1, 5, 2, &err), ERR_LIMIT);
    assert_int_equal(json_bound_check(NULL, 0, 1, 0, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_bytes_of_any_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
