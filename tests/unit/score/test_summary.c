/* Perplexity, accuracy and their standard errors against values worked out by hand. */
#include "gpu/score_summary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static uint32_t counts[] = {1, 2, 3};
static double logprobs[] = {-1, -2, -3, -0.5, -0.5, -1};
static uint8_t hits[] = {1, 1, 0, 1, 1, 1};

static struct score_summary summarize(enum score_mode mode, size_t documents, size_t targets)
{
    struct score_request request = {.document_count = documents, .target_count = counts};
    struct score_result result = {.target_total = targets, .logprobs = logprobs, .is_argmax = hits};
    struct score_summary summary;
    score_summarize(mode, &request, &result, &summary);
    return summary;
}

static void assert_near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-14 * fabs(expected)))
        fail_msg("%.17g is not %.17g", value, expected);
}

static void last_word(void **state)
{
    (void)state;
    /* L = -1, -5, -2: mean -8/3, squared differences 25/9, 49/9, 4/9 */
    struct score_summary summary = summarize(SCORE_MODE_LAST_WORD, 3, 6);
    assert_int_equal(summary.document_count, 3);
    assert_int_equal(summary.token_count, 6);
    assert_near(summary.nll_sum, 8);
    assert_near(summary.perplexity, exp(8.0 / 3));
    assert_near(summary.perplexity_stderr, exp(8.0 / 3) * sqrt(78.0 / 9 / 2 / 3));
    assert_near(summary.accuracy, 2.0 / 3);
    assert_near(summary.accuracy_stderr, sqrt(2.0 / 9 / 2));
}

static void tokens(void **state)
{
    (void)state;
    /* r = 8/6; y - r n: 1 - 4/3, 5 - 8/3, 2 - 4 */
    struct score_summary summary = summarize(SCORE_MODE_TOKENS, 3, 6);
    double squares = 1.0 / 9 + 49.0 / 9 + 4;
    assert_near(summary.perplexity, exp(8.0 / 6));
    assert_near(summary.perplexity_stderr, exp(8.0 / 6) * sqrt(1.5 * squares) / 6);
    /* a = 5/6; hits 1, 1, 3 minus a n */
    squares = 1.0 / 36 + 4.0 / 9 + 1.0 / 4;
    assert_near(summary.accuracy, 5.0 / 6);
    assert_near(summary.accuracy_stderr, sqrt(1.5 * squares) / 6);
}

static void text_mean(void **state)
{
    (void)state;
    struct score_summary summary = summarize(SCORE_MODE_TEXT_MEAN, 3, 6);
    double p[] = {exp(1.0), exp(2.5), exp(2.0 / 3)}, mean = (p[0] + p[1] + p[2]) / 3, squares = 0;
    for (int i = 0; i < 3; i++)
        squares += (p[i] - mean) * (p[i] - mean);
    assert_near(summary.perplexity, mean);
    assert_near(summary.perplexity_stderr, sqrt(squares / 2 / 3));
    assert_near(summary.accuracy, 5.0 / 6);
}

static void edges(void **state)
{
    (void)state;
    for (int mode = 0; mode < SCORE_MODE_COUNT; mode++) {
        struct score_summary none = summarize((enum score_mode)mode, 0, 0);
        assert_true(isnan(none.perplexity) && isnan(none.accuracy) && none.nll_sum == 0);
        struct score_summary one = summarize((enum score_mode)mode, 1, 1);
        assert_near(one.perplexity, exp(1.0));
        assert_true(isnan(one.perplexity_stderr) && isnan(one.accuracy_stderr));
        assert_near(one.accuracy, 1);
        double kept = logprobs[2];
        logprobs[2] = (double)NAN;
        struct score_summary broken = summarize((enum score_mode)mode, 3, 6);
        assert_int_equal(broken.nan_count, 1);
        assert_true(isnan(broken.perplexity) && isnan(broken.perplexity_stderr) && isnan(broken.nll_sum));
        assert_true(isfinite(broken.accuracy));
        logprobs[2] = (double)-INFINITY; /* a probability of 0 */
        broken = summarize((enum score_mode)mode, 3, 6);
        assert_int_equal(broken.nan_count, 1);
        assert_true(isinf(broken.perplexity) && isinf(broken.nll_sum));
        logprobs[2] = kept;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(last_word),
        cmocka_unit_test(tokens),
        cmocka_unit_test(text_mean),
        cmocka_unit_test(edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
