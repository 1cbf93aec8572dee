#include "daemon/base/name_rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void rules(void **state)
{
    (void)state;
    static const struct {
        const char *name, *rule;
    } cases[] = {
        {"step1250-seed-small-aux-2", "step{step}-seed-small-aux-2"},
        {"step69369-seed-default", "step{step}-seed-default"},
        {"seed3/step-10k", "seed3/step-{step}"},
        {"step1000-tokens4B-seed7", "step{step}-tokens{tokens}-seed7"},
        {"step5-tokens2.5T", "step{step}-tokens{tokens}"},
        {"step5-tokens2.", "step{step}-tokens{tokens}."},
        {"epoch=0-step=8-v1", "epoch={epoch}-step={step}-v1"},
        {"stage2-ingredient1-step11931-x", "stage{stage}-ingredient{ingredient}-step{step}-x"},
        {"global_step5_step6", "global_step{step}_step6"}, /* a placeholder stands once */
        {"steps-step1", "steps-step{step}"},
        {"main", ""},
        {"epoch-7", ""},
        {"checkpoint-7", ""}, /* of a step, mostly */
        {"step", ""},
        {"step-x", ""},
        {"step-{3}", ""},
        {"step-3-*", ""}, /* what holds a wildcard is no rule for itself alone */
        {"", ""},
    };
    char rule[NAME_RULE_SIZE], name[LIMIT_REVISION_NAME_BYTES + 2] = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(name_rule_write(cases[i].name, rule), cases[i].rule[0] != '\0');
        assert_string_equal(rule, cases[i].rule);
    }
    /* Rules are no longer than names, whatever fits. */
    memset(name, 'x', LIMIT_REVISION_NAME_BYTES + 1);
    memcpy(name, "step1stage1tokens1epoch1ingredient1", 35);
    assert_int_equal(name_rule_write(name, rule), 0);
    name[LIMIT_REVISION_NAME_BYTES] = '\0';
    assert_int_equal(name_rule_write(name, rule), 0);
    assert_string_equal(rule, "");
    name[LIMIT_REVISION_NAME_BYTES - 35] = '\0'; /* which the placeholders take */
    assert_int_equal(name_rule_write(name, rule), 1);
    assert_int_equal(strlen(rule), LIMIT_REVISION_NAME_BYTES);
}

static void checks(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        int code;
    } cases[] = {
        {"{epoch}", ERR_INVALID},
        {"step{step}", 0},
        {"{tokens}", 0},
        {"ckpt_{checkpoint}", 0},
        {"{checkpoint}-{checkpoint}", ERR_INVALID},
        {"", ERR_INVALID},
        {"main", ERR_INVALID},
        {"{stage}", ERR_INVALID},
        {"{step}{step}", ERR_INVALID},
        {"{steps}", ERR_INVALID},
        {"{step}}", ERR_INVALID},
        {"*{step}*", 0},
        {"****{step}", 0},
        {"*{step}****", ERR_INVALID},
        {"*", ERR_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = ERR_INIT;
        assert_int_equal(name_rule_check(cases[i].rule, &err), cases[i].code);
    }
}

static void wildcards(void **state)
{
    (void)state;
    static const struct {
        const char *rule, *name;
        int64_t step, tokens; /* step -2: does not match */
    } cases[] = {
        {"*", "", -1, -1},
        {"*", "anything at all", -1, -1},
        {"step*{step}", "step7", 7, -1},
        {"*step-{step}-*{tokens}", "step-50K-105b", 50000, 105000000000},
        {"*step-{step}-*{tokens}", "intermediate-step-1431k-3T", 1431000, 3000000000000},
        {"*step-{step}-*{tokens}", "intermediate-step-1195k-token-2.5T", 1195000, 2500000000000},
        {"*step-{step}-*{tokens}", "intermediate-step-1431k-3T-Chat", -2, -1},
        {"*step-{step}-*{tokens}", "intermediate", -2, -1},
        {"*{step}", "v2-step100", 100, -1}, /* the last piece ends with the name */
        {"*{step}*", "v2-step100", 2, -1},  /* as little text as possible */
        {"a*{step}", "a1234", 1234, -1},    /* from the first digit */
        {"a12*{step}", "a1234", -2, -1},    /* which is taken: 34 is no number of its own */
        {"a12*-{step}", "a1234-5", 5, -1},
        {"*{tokens}", "1.5T", -1, 1500000000000},
        {"1*{tokens}", "1.5T", -2, -1},
        {"1*{step}T", "1.5T", 5, -1},                /* steps have no fractions */
        {"*{step}", "99999999999999999999", -2, -1}, /* too large, not 9 */
        {"*{step}", "7-99999999999999999999", -2, -1},
        {"*{tokens}", "99999999999999999999.5", -2, -1},
        {"*{step}*", "99999999999999999999-5", 5, -1},
        {"*ab*abc*{step}", "ababcab-abc3", 3, -1},
        {"a*b*c{step}*d", "abcc1bc2d", 1, -1},
        {"*step{step}*", "step-step5", 5, -1},
        {"*a", "b", -2, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t numbers[NAME_RULE_PART_COUNT] = {-1, -1, -1, -1, -1};
        const int is_read = name_rule_read(cases[i].rule, cases[i].name, numbers);
        if (is_read != (cases[i].step != -2))
            fail_msg("%s, %s: %d", cases[i].rule, cases[i].name, is_read);
        if (is_read) {
            assert_int_equal(numbers[NAME_RULE_PART_STEP], cases[i].step);
            assert_int_equal(numbers[NAME_RULE_PART_TOKENS], cases[i].tokens);
        }
    }
}

/* Whether a rule of the letters here and two '*' matches, by trying every text for each. */
static int matches_by_trial(const char *rule, const char *name)
{
    const char *star = strchr(rule, '*');
    int64_t numbers[NAME_RULE_PART_COUNT];
    if (!star)
        return name_rule_read(rule, name, numbers);
    for (size_t begin = 0; begin <= strlen(name); begin++) {
        for (size_t end = begin; end <= strlen(name); end++) {
            char tried[100];
            (void)snprintf(tried, sizeof tried, "%.*s%.*s%s", (int)(star - rule), rule, (int)(end - begin),
                           name + begin, star + 1);
            /* a number is read from its first digit */
            const size_t at = (size_t)(star - rule) + end - begin;
            if (tried[at] == '{' && at && tried[at - 1] >= '0' && tried[at - 1] <= '9')
                continue;
            if (matches_by_trial(tried, name))
                return 1;
        }
    }
    return 0;
}

/* That the first place of a piece is always the best is shown against all places. */
static void wildcards_by_trial(void **state)
{
    (void)state;
    static const char *const pieces[] = {"a", "b", "1", "k", "{step}", "*", "*"};
    unsigned random = 1, matched = 0;
    for (int round = 0; round < 5000; round++) {
        char rule[64] = "", name[16] = "";
        int star_count = 0, step_count = 0;
#define NEXT(n) ((random = random * 1664525u + 1013904223u) >> 16) % (n)
        for (unsigned i = NEXT(7) + 1; i; i--) {
            const char *piece = pieces[NEXT(7)];
            star_count += *piece == '*';
            step_count += *piece == '{';
            if ((*piece != '*' || star_count <= 2) && (*piece != '{' || step_count <= 1))
                (void)snprintf(rule + strlen(rule), sizeof rule - strlen(rule), "%s", piece);
        }
        for (unsigned i = NEXT(9), at = 0; at < i; at++)
            name[at] = "ab12k"[NEXT(5)];
        int64_t numbers[NAME_RULE_PART_COUNT];
        const int is_read = name_rule_read(rule, name, numbers);
        if (is_read != matches_by_trial(rule, name))
            fail_msg("%s, %s: %d", rule, name, is_read);
        matched += (unsigned)is_read;
    }
    assert_in_range(matched, 300, 3000);
}

/* A matcher that takes choices back would try all places of three pieces for each of the last one, three
 * million, and need an hour for this. */
static void wildcards_cost_little(void **state)
{
    (void)state;
    char name[LIMIT_REVISION_NAME_BYTES];
    int64_t numbers[NAME_RULE_PART_COUNT];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (int i = 0; i < 2000; i++)
        assert_int_equal(name_rule_read("*a*a*a*aab{step}", name, numbers), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(checks), cmocka_unit_test(rules),
                                       cmocka_unit_test(wildcards), cmocka_unit_test(wildcards_by_trial),
                                       cmocka_unit_test(wildcards_cost_little)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
