/* The name that may be meant: near ones are found, far ones are not, whatever is typed. */
#include "daemon/base/guess.h"

#include "tests/unit/base/fixture.h"

#include <string.h>

static const char *const names[] = {"sweep", "sweeps", "series", "show", "token-file", "tokens", "at"};

static const char *guess_of(const char *typed)
{
    struct guess guess;
    guess_init(&guess, typed);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        guess_offer(&guess, names[i]);
    return guess.name;
}

static void expect(const char *typed, const char *name)
{
    const char *found = guess_of(typed);
    if (!name)
        assert_null(found);
    else if (!found || strcmp(found, name) != 0)
        fail_msg("\"%s\" is taken for %s instead of %s", typed, found ? found : "nothing", name);
}

static void test_one_slip_of_each_kind(void **state)
{
    (void)state;
    expect("serie", "series");
    expect("seriees", "series");
    expect("seriez", "series");
    expect("sereis", "series");
    expect("SERIES", "series");
    expect("seires", "series");
}

static void test_at_most_a_third_are_slips(void **state)
{
    (void)state;
    expect("seraez", "series");
    expect("sxraez", NULL);
    expect("xhow", "show");
    expect("xhox", NULL);
    expect("ax", NULL); /* of two letters none may be wrong */
    expect("", NULL);
    expect("plot", NULL);
}

static void test_the_nearest_and_of_equals_the_first(void **state)
{
    (void)state;
    expect("sweepss", "sweeps");
    expect("sweepz", "sweep"); /* as near to "sweeps" */
}

static void test_the_rest_of_a_name_is_one_slip(void **state)
{
    (void)state;
    expect("tok", "token-file");
    expect("token-f", "token-file");
    expect("tokensx", "tokens");
    expect("sweeps", "sweeps"); /* though the one before is near */
    expect("to", NULL);
}

static void test_of_numbers_the_nearest(void **state)
{
    (void)state;
    static const char *const steps[] = {"step0", "step1",  "step2",    "step4",
                                        "step8", "step16", "step1000", "step01000-x"};
    static const char *const pairs[][2] = {
        {"step3", "step2"}, /* of equally far ones the first */
        {"step7", "step8"},        {"step14", "step16"},         {"step999", "step1000"},
        {"STEP99999", "step1000"}, {"step900-x", "step01000-x"}, {"stpe16", "step16"},
        {"step1000", "step1000"},  {"STEP8", "step8"},           {"step0008", "step8"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct guess guess;
        guess_init(&guess, pairs[i][0]);
        for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++)
            guess_offer(&guess, steps[k]);
        assert_non_null(guess.name);
        assert_string_equal(guess.name, pairs[i][1]);
    }
    struct guess two;
    guess_init(&two, "stage2-step999");
    guess_offer(&two, "stage1-step1000"); /* two numbers are other ones: slips count, and are too many */
    assert_null(two.name);
}

static void test_long_words_are_near_to_nothing(void **state)
{
    (void)state;
    char longest[GUESS_WORD_BYTES_MAX + 2];
    struct guess guess;
    memset(longest, 'a', sizeof longest);
    longest[GUESS_WORD_BYTES_MAX + 1] = '\0';
    guess_init(&guess, longest);
    guess_offer(&guess, longest);
    assert_null(guess.name);
    guess_init(&guess, "series");
    guess_offer(&guess, longest);
    assert_null(guess.name);
    longest[GUESS_WORD_BYTES_MAX] = '\0';
    guess_init(&guess, longest);
    guess_offer(&guess, longest);
    assert_ptr_equal(guess.name, longest);
}

static void test_question(void **state)
{
    (void)state;
    char question[GUESS_QUESTION_SIZE];
    struct guess guess;
    guess_init(&guess, "toknes");
    assert_string_equal(guess_ask(&guess, "--", question), "");
    guess_offer(&guess, "tokens");
    assert_string_equal(guess_ask(&guess, "--", question), "; did you mean \"--tokens\"?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_slip_of_each_kind),
        cmocka_unit_test(test_at_most_a_third_are_slips),
        cmocka_unit_test(test_the_nearest_and_of_equals_the_first),
        cmocka_unit_test(test_the_rest_of_a_name_is_one_slip),
        cmocka_unit_test(test_of_numbers_the_nearest),
        cmocka_unit_test(test_long_words_are_near_to_nothing),
        cmocka_unit_test(test_question),
    };
    return cmocka_run_group_tests_name("base/guess", tests, NULL, NULL);
}
