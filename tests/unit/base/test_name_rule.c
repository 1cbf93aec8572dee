#include "daemon/base/name_rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
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
        {"step", ""},
        {"step-x", ""},
        {"step-{3}", ""},
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
        {"", ERR_INVALID},
        {"main", ERR_INVALID},
        {"{stage}", ERR_INVALID},
        {"{step}{step}", ERR_INVALID},
        {"{steps}", ERR_INVALID},
        {"{step}}", ERR_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = ERR_INIT;
        assert_int_equal(name_rule_check(cases[i].rule, &err), cases[i].code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(checks), cmocka_unit_test(rules)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
