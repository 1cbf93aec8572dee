/* What is the same in every revision of a sweep is loud once. */
#include "tests/unit/base/fixture.h"

#include "daemon/measure/log_repeats.h"

#include <stdio.h>

static enum log_level level_of(struct log_repeats *told, int64_t sweep_id, int code, int is_final,
                               const char *text)
{
    struct err reason = ERR_INIT;
    (void)err_set(&reason, code, "%s", text);
    return log_repeats_level(told, sweep_id, &reason, is_final);
}

static void test_reasons(void **state)
{
    (void)state;
    struct log_repeats told;
    log_repeats_init(&told);
    assert_int_equal(level_of(&told, 1, ERR_NOT_FOUND, 1, "revision step1: no tensor x; it has a"),
                     LOG_LEVEL_WARNING);
    assert_int_equal(level_of(&told, 1, ERR_NOT_FOUND, 1, "revision step2: no tensor x; it has b"),
                     LOG_LEVEL_DEBUG);
    assert_int_equal(level_of(&told, 2, ERR_NOT_FOUND, 1, "revision step2: no tensor x"), LOG_LEVEL_WARNING);
    assert_int_equal(level_of(&told, 1, ERR_NOT_FOUND, 0, "revision step2: no tensor x"), LOG_LEVEL_WARNING);
    assert_int_equal(level_of(&told, 1, ERR_NOT_FOUND, 1, "revision step2: no tensor y"), LOG_LEVEL_WARNING);
    assert_int_equal(log_repeats_level_of_caution(&told, 1, "left out: step0"), LOG_LEVEL_WARNING);
    assert_int_equal(log_repeats_level_of_caution(&told, 1, "left out: step0"), LOG_LEVEL_DEBUG);
    log_repeats_free(&told);
}

/* Of a sweep that is kept from the token each file is named, so the reasons differ. */
static void test_gated(void **state)
{
    (void)state;
    struct log_repeats told;
    log_repeats_init(&told);
    assert_int_equal(level_of(&told, 3, ERR_GATED, 0, "a is gated"), LOG_LEVEL_WARNING);
    assert_int_equal(level_of(&told, 3, ERR_GATED, 1, "b is gated"), LOG_LEVEL_DEBUG);
    assert_int_equal(level_of(&told, 4, ERR_GATED, 1, "b is gated"), LOG_LEVEL_WARNING);
    log_repeats_free(&told);
}

/* With many reasons the oldest is told anew, after so many others. */
static void test_memory(void **state)
{
    (void)state;
    struct log_repeats told;
    char text[32];
    log_repeats_init(&told);
    for (int i = 0; i <= LOG_REPEATS_MAX; i++) {
        (void)snprintf(text, sizeof text, "reason %d", i);
        assert_int_equal(level_of(&told, 1, ERR_IO, 1, text), LOG_LEVEL_WARNING);
    }
    assert_int_equal(level_of(&told, 1, ERR_IO, 1, "reason 1"), LOG_LEVEL_DEBUG);
    assert_int_equal(level_of(&told, 1, ERR_IO, 1, "reason 0"), LOG_LEVEL_WARNING);
    log_repeats_free(&told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reasons), cmocka_unit_test(test_gated),
                                       cmocka_unit_test(test_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
