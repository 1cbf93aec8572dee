#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/base/step_unit.h"

#include <math.h>
#include <string.h>

static void test_names(void **state)
{
    (void)state;
    for (int unit = 0; unit < STEP_UNIT_COUNT; unit++)
        assert_int_equal(step_unit_find(step_unit_name((enum step_unit)unit)), unit);
    assert_int_equal(step_unit_find(NULL), STEP_UNIT_STEPS);
    assert_int_equal(step_unit_find("parsecs"), STEP_UNIT_STEPS);
}

static void test_texts(void **state)
{
    static const struct {
        enum step_unit unit;
        double number;
        const char *place, *every;
    } cases[] = {
        {STEP_UNIT_STEPS, 0, "step 0", "0 steps"},
        {STEP_UNIT_STEPS, 1, "step 1", "step"},
        {STEP_UNIT_STEPS, 143000, "step 143000", "143000 steps"},
        {STEP_UNIT_STEPS, 9007199254740992, "step 9007199254740992", "9007199254740992 steps"},
        {STEP_UNIT_TOKENS, 220e9, "220B tokens", "220B tokens"},
        {STEP_UNIT_TOKENS, 2097152, "2.097M tokens", "2.097M tokens"},
        {STEP_UNIT_TOKENS, 12272e9, "12.27T tokens", "12.27T tokens"},
        {STEP_UNIT_TOKENS, 999, "999 tokens", "999 tokens"},
        {STEP_UNIT_TOKENS, 999949, "999.9K tokens", "999.9K tokens"},
        {STEP_UNIT_TOKENS, 999950, "1M tokens", "1M tokens"},
        {STEP_UNIT_TOKENS, 9007199254740992, "9007T tokens", "9007T tokens"},
        {STEP_UNIT_WORDS, 900000, "900K words", "900K words"},
        {STEP_UNIT_WORDS, 1e9, "1B words", "1B words"},
        {STEP_UNIT_EPOCHS, 3, "epoch 3", "3 epochs"},
        {STEP_UNIT_EPOCHS, 1, "epoch 1", "epoch"},
        {STEP_UNIT_CHECKPOINTS, 358, "checkpoint 358", "358 checkpoints"},
        {STEP_UNIT_CHECKPOINTS, 1, "checkpoint 1", "checkpoint"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[STEP_UNIT_TEXT_SIZE];
        step_unit_write_place(cases[i].unit, cases[i].number, text);
        assert_string_equal(text, cases[i].place);
        step_unit_write_every(cases[i].unit, cases[i].number, text);
        assert_string_equal(text, cases[i].every);
    }
}

/* Whatever an answer holds has a text that ends. */
static void test_any_number(void **state)
{
    static const double numbers[] = {(double)NAN, (double)INFINITY, -(double)INFINITY,
                                     1.7e308,     -1.7e308,         5e-324};
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        for (int unit = 0; unit < STEP_UNIT_COUNT; unit++) {
            char text[STEP_UNIT_TEXT_SIZE];
            step_unit_write_place((enum step_unit)unit, numbers[i], text);
            assert_in_range(strlen(text), 5, STEP_UNIT_TEXT_SIZE - 1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_any_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
