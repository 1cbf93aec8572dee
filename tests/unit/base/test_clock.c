#include "tests/unit/base/fixture.h"

#include "daemon/base/clock.h"

static void test_format(void **state)
{
    (void)state;
    static const struct {
        int64_t wall_ms;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1, "1970-01-01T00:00:00.001Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {-1000, "1969-12-31T23:59:59.000Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {1795421700123, "2026-11-23T08:15:00.123Z"},
        {4294967296000, "2106-02-07T06:28:16.000Z"}, /* past 32 bits */
        {253402300799999, "9999-12-31T23:59:59.999Z"},
    };
    assert_int_equal(setenv("TZ", "Asia/Kolkata", 1), 0); /* of no influence */
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[CLOCK_TEXT_SIZE];
        clock_format(cases[i].wall_ms, text, sizeof text);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_format_stays_inside(void **state)
{
    (void)state;
    static const int64_t cases[] = {INT64_MAX, INT64_MIN, INT64_MAX / 2, 253402300800000};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[CLOCK_TEXT_SIZE + 1];
        memset(text, '#', sizeof text);
        clock_format(cases[i], text, CLOCK_TEXT_SIZE);
        assert_true(memchr(text, 0, CLOCK_TEXT_SIZE) != NULL);
        assert_int_equal(text[CLOCK_TEXT_SIZE], '#');
    }
}

static void test_clocks_go_forward(void **state)
{
    (void)state;
    int64_t start_ms = clock_monotonic_ms();
    double start_s = clock_monotonic_s();
    clock_sleep_ms(2);
    clock_sleep_ms(0);
    clock_sleep_ms(-5);
    assert_true(clock_monotonic_ms() - start_ms >= 1);
    assert_true(clock_monotonic_s() - start_s >= 0.002);
    assert_true(clock_wall_ms() > 1500000000000); /* after 2017 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_format_stays_inside),
        cmocka_unit_test(test_clocks_go_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
