/* Which token stands before each text: what transformers 4.57 and 5.24 made of the same files (encode("Hello
 * world")). */
#include "daemon/base/limits.h"
#include "daemon/text/tokenizer_start.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define SPECIAL(name) "{\"SpecialToken\":{\"id\":\"" name "\",\"type_id\":0}}"
#define TEXT "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}"
#define OF(single)                                                                                           \
    "{\"type\":\"TemplateProcessing\",\"single\":[" single "],\"special_tokens\":{"                          \
    "\"<s>\":{\"id\":\"<s>\",\"ids\":[1],\"tokens\":[\"<s>\"]},"                                             \
    "\"two\":{\"id\":\"two\",\"ids\":[1,2],\"tokens\":[\"<s>\",\"</s>\"]}}}"
#define TEMPLATE OF(SPECIAL("<s>") "," TEXT)
#define BYTES "{\"type\":\"ByteLevel\",\"add_prefix_space\":true}"
#define SEQUENCE(parts) "{\"type\":\"Sequence\",\"processors\":[" parts "]}"

enum { NONE = TOKENIZER_START_NONE, UNKNOWN = TOKENIZER_START_UNKNOWN };

static int64_t find(const char *post_processor, const char *config, const char *class, const char *type)
{
    struct err err = ERR_INIT;
    struct buf json, text;
    int64_t id = 0;
    buf_init(&json, MIB);
    buf_init(&text, MIB);
    (void)buf_appendf(&json, "{\"post_processor\":%s}", post_processor);
    (void)buf_appendf(&text, "%s", config ? config : "");
    if (tokenizer_start_find(&json, config ? &text : NULL, class, type, &id, &err))
        fail_msg("%s: %s", post_processor, err.message);
    buf_free(&json);
    buf_free(&text);
    return id;
}

static void as_transformers_does(void **state)
{
    (void)state;
    static const struct {
        const char *post_processor, *config, *class;
        int64_t id;
        const char *type; /* NULL: smollm3 */
    } cases[] = {
        {BYTES, NULL, "GPTNeoXTokenizer", NONE, NULL},
        {TEMPLATE, NULL, "GPTNeoXTokenizerFast", NONE, NULL},
        {BYTES, "{\"add_bos_token\":true}", "GPTNeoXTokenizerFast", UNKNOWN, NULL},
        {"null", NULL, "PreTrainedTokenizerFast", NONE, NULL},
        {TEMPLATE, NULL, "PreTrainedTokenizerFast", 1, NULL},
        {TEMPLATE, "{\"add_bos_token\":false}", "PreTrainedTokenizerFast", 1, NULL},
        {SEQUENCE(BYTES "," TEMPLATE), "{\"tokenizer_class\":\"GPT2Tokenizer\"}", "LlamaTokenizer", 1, NULL},
        {TEMPLATE, NULL, "LlamaTokenizer", 1, NULL},
        {TEMPLATE, "{\"add_bos_token\":true}", "LlamaTokenizerFast", 1, NULL},
        {TEMPLATE, "{\"add_bos_token\":false}", "LlamaTokenizer", UNKNOWN, NULL},
        {BYTES, NULL, "LlamaTokenizer", UNKNOWN, NULL},
        {TEMPLATE, "{\"add_bos_token\":true}", "GemmaTokenizer", 1, NULL},
        {TEMPLATE, "{\"add_bos_token\":false}", "GemmaTokenizerFast", UNKNOWN, NULL},
        {"null", NULL, "GemmaTokenizer", UNKNOWN, NULL},
        {"null", "{\"add_bos_token\":false}", "LlamaTokenizer", NONE, NULL},
        {"null", NULL, "", NONE, NULL},
        {TEMPLATE, NULL, "", 1, NULL},
        {TEMPLATE, NULL, "", NONE, "gpt_neox"},
        {TEMPLATE, NULL, "GPTNeoXTokenizer", UNKNOWN, "olmo2"},
        {BYTES, NULL, "GPTNeoXTokenizer", NONE, "olmo2"},
        {TEMPLATE, NULL, "Qwen2Tokenizer", 1, "qwen2"},
        {OF(TEXT), NULL, "CrystalCoderTokenizer", NONE, "crystalcoder"}, /* of transformers 4 alone */
        {TEMPLATE, NULL, "CrystalCoderTokenizerFast", UNKNOWN, "crystalcoder"},
        {OF(TEXT), NULL, "PreTrainedTokenizerFast", NONE, NULL},
        {OF(SPECIAL("<s>") "," TEXT "," SPECIAL("<s>")), NULL, "PreTrainedTokenizerFast", UNKNOWN, NULL},
        {OF(TEXT "," SPECIAL("<s>")), NULL, "PreTrainedTokenizerFast", UNKNOWN, NULL},
        {OF(SPECIAL("two") "," TEXT), NULL, "PreTrainedTokenizerFast", UNKNOWN, NULL},
        {OF(SPECIAL("unheard") "," TEXT), NULL, "PreTrainedTokenizerFast", UNKNOWN, NULL},
        {OF(""), NULL, "PreTrainedTokenizerFast", UNKNOWN, NULL},
        {SEQUENCE(TEMPLATE "," TEMPLATE), NULL, "PreTrainedTokenizerFast", UNKNOWN, NULL},
        {SEQUENCE(SEQUENCE(SEQUENCE(SEQUENCE(SEQUENCE(SEQUENCE(TEMPLATE)))))), NULL, "", NONE, NULL},
        {"[1]", "{\"add_bos_token\":7,\"tokenizer_class\":8}", "GPT2Tokenizer", NONE, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t id = find(cases[i].post_processor, cases[i].config, cases[i].class,
                          cases[i].type ? cases[i].type : "smollm3");
        if (id != cases[i].id)
            fail_msg("case %zu: %lld", i, (long long)id);
    }
}

static void what_is_no_json_is_told(void **state)
{
    struct err err = ERR_INIT;
    struct buf json;
    int64_t id;
    (void)state;
    buf_init(&json, MIB);
    (void)buf_appendf(&json, "{");
    assert_int_equal(tokenizer_start_find(&json, NULL, "", "llama", &id, &err), ERR_FORMAT);
    assert_non_null(strstr(err.message, "tokenizer.json: "));
    buf_free(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_transformers_does),
        cmocka_unit_test(what_is_no_json_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
