/* Tokens seen by a run: batches are given, names are rounded as publishers do, and the truth is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/analysis/tokens_seen.h"
#include "tests/unit/analysis/near.h"

#include <math.h>

#define NONE (double)NAN
#define BATCH 4194304.0

static void test_exact_batch(void **state)
{
    const double steps[] = {0, 1, 512, 1000, 143000};
    double tokens[5];
    (void)state;
    for (int i = 0; i < 5; i++)
        tokens[i] = 2097152 * steps[i];
    tokens_seen_refine(steps, tokens, 5);
    for (int i = 0; i < 5; i++)
        assert_near(tokens[i], 2097152 * steps[i], 0);
}

/* OLMo's names are of whole billions, rounded in any way; some revisions may say nothing. */
static void test_rounded_names(void **state)
{
    double (*const ways[])(double) = {round, ceil, floor};
    const double steps[] = {0, 150, 600, 1000, 5000, 20000, 100000, 400000, 928646};
    (void)state;
    for (size_t way = 0; way < 3; way++) {
        double tokens[9];
        for (int i = 0; i < 9; i++)
            tokens[i] = i == 3 ? NONE : 1e9 * ways[way](BATCH * steps[i] / 1e9);
        tokens_seen_refine(steps, tokens, 9);
        for (int i = 0; i < 9; i++)
            assert_near(tokens[i], BATCH * steps[i], 0.005 * BATCH * steps[i]);
    }
}

/* Apertus doubles its batch: what comes after is what its names say, and no step is taken for tokens. */
static void test_batch_that_grows(void **state)
{
    const double change = 1678000;
    const double steps[] = {50000, 600000, 1678000, 2000000, 2300000, 2400000, 2627139};
    double tokens[7], truth[7];
    (void)state;
    for (int i = 0; i < 7; i++) {
        truth[i] = BATCH * (fmin(steps[i], change) + 2 * fmax(steps[i] - change, 0));
        tokens[i] = i == 5 ? NONE : 1e9 * round(truth[i] / 1e9);
    }
    tokens_seen_refine(steps, tokens, 7);
    for (int i = 0; i < 7; i++) {
        if (i == 5)
            assert_true(isnan(tokens[i]));
        else
            assert_near(tokens[i], truth[i], 0.005 * truth[i]);
    }
}

static void test_what_is_not_known(void **state)
{
    struct {
        double steps[3], tokens[3], expected[3];
    } cases[] = {
        {{0, 10, 20}, {NONE, NONE, NONE}, {NONE, NONE, NONE}},
        {{0, 150, 300}, {0, 1e9, 2e9}, {0, NONE, NONE}},           /* known to one of one or two digits */
        {{10, 20, 30}, {100e9, 101e9, 1e9}, {100e9, 101e9, NONE}}, /* fewer than before: another count */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tokens_seen_refine(cases[i].steps, cases[i].tokens, 3);
        for (int k = 0; k < 3; k++) {
            if (isnan(cases[i].expected[k]))
                assert_true(isnan(cases[i].tokens[k]));
            else
                assert_near(cases[i].tokens[k], cases[i].expected[k], 0.01 * cases[i].expected[k]);
        }
    }
    tokens_seen_refine(NULL, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_batch),
        cmocka_unit_test(test_rounded_names),
        cmocka_unit_test(test_batch_that_grows),
        cmocka_unit_test(test_what_is_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
