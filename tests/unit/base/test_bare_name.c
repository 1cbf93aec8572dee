/* What the hub calls models now that once had no owner. */
#include "daemon/base/bare_name.h"
#include "tests/unit/base/fixture.h"

static void test_names(void **state)
{
    static const char *const names[][2] = {
        {"gpt2", "openai-community/gpt2"},
        {"gpt2-xl", "openai-community/gpt2-xl"},
        {"distilgpt2", "distilbert/distilgpt2"},
        {"bert-base-uncased", "google-bert/bert-base-uncased"},
        {"xlm-roberta-base", "FacebookAI/xlm-roberta-base"},
        {"t5-small", "google-t5/t5-small"},
        {"gpt2-huge", ""},
        {"gpt", ""},
        {"bert-", ""},
        {"bert", ""},
        {"", ""},
        {"bert-\n", ""},
        {"pythia-14m", ""},
        {"bert-0123456789012345678901234567890123456789012345678901234567890123456789", ""},
    };
    char full[BARE_NAME_SIZE];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_string_equal(bare_name_complete(names[i][0], full), names[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
