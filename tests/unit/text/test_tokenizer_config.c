/* What may stand beside a tokenizer.json, and what is refused by the name of its key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/text/tokenizer_config.h"
#include "tests/unit/text/parts.h"

#define END "{\"id\":15,\"content\":\"<|endoftext|>\",\"normalized\":false,\"special\":true}"
#define GAP "{\"id\":16,\"content\":\"  \",\"normalized\":true,\"lstrip\":true}"
#define ADDED "[" END "," GAP "]"
#define DECODED(flags) "\"15\":{\"content\":\"<|endoftext|>\",\"special\":true" flags "}"
#define DECODED_GAP "\"16\":{\"content\":\"  \",\"normalized\":true,\"lstrip\":true}"
#define DECODER(list) "{\"added_tokens_decoder\":{" list "}}"
#define FILE_CLASS "\"tokenizer_class\":\"PreTrainedTokenizerFast\""
#define WITH_CLASS(decoder) "{" FILE_CLASS ",\"added_tokens_decoder\":{" decoder "}}"

#define LLAMA "\"tokenizer_class\":\"LlamaTokenizer\""
#define CRYSTAL "\"tokenizer_class\":\"CrystalCoderTokenizer\""
#define MODEL_OF_MARKS                                                                                       \
    "{\"byte_fallback\":true,\"vocab\":{\"<unk>\":0,\"<s>\":1,\"</s>\":2,\"\\u2581\":3},\"merges\":[]}"
#define NAMES_OF_MARKS                                                                                       \
    "[{\"id\":0,\"content\":\"<unk>\"},{\"id\":1,\"content\":\"<s>\"},{\"id\":2,\"content\":\"</s>\"}]"
#define MARKED(text, of)                                                                                     \
    {                                                                                                        \
        .parts = {.normalizer = "{\"type\":\"Prepend\",\"prepend\":\"\\u2581\"}",                            \
                  .pre_tokenizer = "null",                                                                   \
                  .model = MODEL_OF_MARKS,                                                                   \
                  .added_tokens = NAMES_OF_MARKS},                                                           \
        .config = (text), .type = (of)                                                                       \
    }
#define METASPACED(scheme, text, of)                                                                         \
    {                                                                                                        \
        .parts = {.normalizer = "null",                                                                      \
                  .pre_tokenizer = "{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\",\"split\":false,"    \
                                   "\"prepend_scheme\":\"" scheme "\"}",                                     \
                  .model = MODEL_OF_MARKS,                                                                   \
                  .added_tokens = NAMES_OF_MARKS},                                                           \
        .config = (text), .type = (of)                                                                       \
    }

struct beside {
    struct parts parts;
    const char *config, *map, *added; /* NULL: no file */
    const char *class, *type;
};

static const struct buf *as_buf(struct buf *buf, const char *text)
{
    buf_init(buf, MIB);
    if (!text)
        return NULL;
    assert_int_equal(buf_append(buf, text, strlen(text)), 0);
    return buf;
}

static int compare(struct beside beside, struct tokenizer_use *ret_use, struct err *err)
{
    struct tokenizer *tokenizer = NULL;
    struct buf config, map, added;
    if (!beside.parts.added_tokens)
        beside.parts.added_tokens = ADDED;
    if (load(beside.parts, &tokenizer, err))
        fail_msg("%s", err->message);
    const struct tokenizer_config files = {as_buf(&config, beside.config), as_buf(&map, beside.map),
                                           as_buf(&added, beside.added), beside.class ? beside.class : "",
                                           beside.type};
    int code = tokenizer_config_check(&files, tokenizer, ret_use, err);
    buf_free(&config);
    buf_free(&map);
    buf_free(&added);
    tokenizer_free(tokenizer);
    return code;
}

static const struct {
    struct beside beside;
    int64_t prefix;
} taken[] = {
    {{.config = NULL}, 15}, /* the class has a token of its own */
    {{.config = "{}"}, 15},
    {{.config = "{\"tokenizer_class\":\"GPTNeoXTokenizerFast\",\"bos_token\":null,\"eos_token\":\"  \"}"},
     16},
    {{.config = "{\"bos_token\":null,\"eos_token\":null}"}, TOKENIZER_CONFIG_NO_PREFIX},
    {{.config = "{" FILE_CLASS "}"}, TOKENIZER_CONFIG_NO_PREFIX},
    {{.config = "{" FILE_CLASS ",\"eos_token\":\"<|endoftext|>\"}"}, 15},
    {{.config = "{\"tokenizer_class\":\"OLMoTokenizer\",\"eos_token\":\"<|endoftext|>\"}"}, 15},
    {{.config =
          "{\"tokenizer_class\":\"OLMoTokenizer\",\"auto_map\":{\"AutoTokenizer\":[\"a.OLMoTokenizerFast\","
          "\"a.OLMoTokenizerFast\"]},\"eos_token\":\"<|endoftext|>\"}",
      .type = "hf_olmo"},
     15},
    {{.config = "{" FILE_CLASS ",\"auto_map\":{\"AutoConfig\":\"own.Config\",\"AutoTokenizer\":null}}"},
     TOKENIZER_CONFIG_NO_PREFIX},
    {{.config = "{\"tokenizer_class\":null}", .class = "PreTrainedTokenizerFast"},
     TOKENIZER_CONFIG_NO_PREFIX},
    {{.config = "{\"bos_token\":\"  \",\"add_prefix_space\":false,\"add_bos_token\":false}"}, 16},
    {{.config = "{\"bos_token\":\"<|endoftext|>\"}", .map = "{\"bos_token\":{\"content\":\"  \"}}"}, 16},
    {{.config = "{\"bos_token\":{\"__type\":\"AddedToken\",\"content\":\"<|endoftext|>\",\"lstrip\":true}}"},
     15},
    {{.config = "{\"added_tokens_decoder\":{" DECODED("") "," DECODED_GAP "}}",
      .map = "[]",
      .added = "no JSON"},
     15},
    {{.config = WITH_CLASS("")}, TOKENIZER_CONFIG_NO_PREFIX},
    {{.config =
          "{\"additional_special_tokens\":[\"<|endoftext|>\",{\"content\":\"  \"}],\"pad_token\":\"\"}"},
     15},
    {{.config = "{" FILE_CLASS ",\"add_bos_token\":true}"}, TOKENIZER_CONFIG_NO_PREFIX},
    {{.config = "{\"add_prefix_space\":true}",
      .parts.pre_tokenizer = "{\"type\":\"ByteLevel\",\"add_prefix_space\":true}"},
     15},
    {{.config = "{\"tokenizer_class\":\"GPT2Tokenizer\"}", .parts.normalizer = "null"}, 15},
    {{.config = "{" FILE_CLASS "}",
      .parts.normalizer = "null",
      .parts.model = BPE("\"ignore_merges\":true,")},
     TOKENIZER_CONFIG_NO_PREFIX},
    {{.config = "{\"fast_tokenizer_files\":[\"tokenizer.json\"],\"model_max_length\":"
                "1000000000000000019884624838656,\"errors\":3}"},
     15},
    {{.config = "{}", .added = "{\"  \":16}"}, 15},
};

/* What shows in some texts only: a normalizer, and tokens that a class has by itself. */
static const struct {
    struct beside beside;
    int64_t prefix;
    unsigned doubts;
} doubtful[] = {
    {{.parts.normalizer = "null"}, 15, TOKENIZER_DOUBT_AS_NEOX | TOKENIZER_DOUBT_PADDING},
    {{.config = "{\"tokenizer_class\":\"GPT2Tokenizer\"}"}, 15, TOKENIZER_DOUBT_AS_GPT2},
    {{.parts.pre_tokenizer = "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}"},
     15,
     TOKENIZER_DOUBT_AS_NEOX | TOKENIZER_DOUBT_PADDING},
    {{.parts.model = BPE("\"ignore_merges\":true,"), .config = "{\"pad_token\":\"  \"}"},
     15,
     TOKENIZER_DOUBT_AS_NEOX},
    {{.parts.model = BPE("\"unk_token\":\"a\","), .config = "{\"pad_token\":\"  \"}"},
     15,
     TOKENIZER_DOUBT_AS_NEOX},
    {{.config = "{" FILE_CLASS "}", .type = "qwen2"}, TOKENIZER_CONFIG_NO_PREFIX, TOKENIZER_DOUBT_AS_QWEN2},
    {{.type = "qwen2"}, 15, TOKENIZER_DOUBT_AS_QWEN2},
    {{.type = "smollm3"}, TOKENIZER_CONFIG_NO_PREFIX, 0},
    {{.config = "{\"tokenizer_class\":\"GPT2Tokenizer\",\"bos_token\":\"  \"}", .type = "olmo2"}, 16, 0},
    {{.config = "{\"tokenizer_class\":\"GPT2Tokenizer\",\"bos_token\":\"  \"}", .type = "llama"},
     16,
     TOKENIZER_DOUBT_AS_GPT2},
    {MARKED("{" LLAMA "}", "llama"), 1, TOKENIZER_DOUBT_AS_LLAMA},
    {MARKED("{" LLAMA ",\"legacy\":true,\"add_prefix_space\":null,\"add_bos_token\":true}", "llama"), 1,
     TOKENIZER_DOUBT_AS_LEGACY_LLAMA},
    {MARKED("{" LLAMA ",\"bos_token\":\"<s>\"}", "mistral"), 1, 0},
    {MARKED("{" FILE_CLASS ",\"add_prefix_space\":true}", "llama"), TOKENIZER_CONFIG_NO_PREFIX, 0},
    {METASPACED("first", "{" LLAMA "}", "llama"), 1, 0},
    {METASPACED("first", "{" LLAMA ",\"legacy\":true}", "llama"), 1, TOKENIZER_DOUBT_AS_LEGACY_LLAMA},
    {METASPACED("always", "{" LLAMA ",\"legacy\":true}", "llama"), 1, 0},
    {{.parts.added_tokens = "[]"},
     TOKENIZER_CONFIG_FOREIGN_PREFIX,
     TOKENIZER_DOUBT_END | TOKENIZER_DOUBT_PADDING},
    {{.parts.added_tokens = "[]", .config = "{\"bos_token\":null,\"eos_token\":null,\"unk_token\":null}"},
     TOKENIZER_CONFIG_NO_PREFIX,
     TOKENIZER_DOUBT_PADDING},
    {{.parts.added_tokens = "[]", .config = "{\"bos_token\":null,\"pad_token\":null}"},
     TOKENIZER_CONFIG_FOREIGN_PREFIX,
     TOKENIZER_DOUBT_END},
    {{.parts.added_tokens = "[]",
      .config = "{\"bos_token\":null,\"unk_token\":\"\"}",
      .map = "{\"eos_token\":null,\"pad_token\":null}"},
     TOKENIZER_CONFIG_NO_PREFIX,
     0},
    {{.parts.added_tokens = "[]",
      .parts.normalizer = "null",
      .config = "{\"tokenizer_class\":\"GPT2Tokenizer\"}"},
     TOKENIZER_CONFIG_FOREIGN_PREFIX,
     TOKENIZER_DOUBT_END},
    {{.parts.added_tokens = "[]", .config = "{" FILE_CLASS "}"}, TOKENIZER_CONFIG_NO_PREFIX, 0},
};

static void expect(struct beside beside, int64_t prefix, unsigned doubts, unsigned asked, size_t number)
{
    struct err err = ERR_INIT;
    struct tokenizer_use use = {.prefix_id = -7};
    if (compare(beside, &use, &err))
        fail_msg("case %zu: %s", number, err.message);
    if (use.prefix_id != prefix || (use.doubts & asked) != doubts)
        fail_msg("case %zu: prefix %d, doubts %u", number, (int)use.prefix_id, use.doubts);
}

static void test_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        expect(taken[i].beside, taken[i].prefix, 0, ~TOKENIZER_DOUBT_PADDING, i); /* not all name one */
    for (size_t i = 0; i < sizeof doubtful / sizeof doubtful[0]; i++)
        expect(doubtful[i].beside, doubtful[i].prefix, doubtful[i].doubts, ~0U, i);
}

static const struct {
    struct beside beside;
    int code;
    const char *message;
} refused[] = {
    {{.config = ""}, ERR_FORMAT, "tokenizer_config.json: "},
    {{.config = "[]"}, ERR_FORMAT, "tokenizer_config.json: not a JSON object"},
    {{.config = "{\"a\":1,\"a\":1}"}, ERR_FORMAT, "tokenizer_config.json: "},
    {{.config = "{\"tokenizer_class\":3}"}, ERR_FORMAT, "tokenizer_class: not a string"},
    {{.config = "{\"tokenizer_class\":\"T5Tokenizer\"}"},
     ERR_UNSUPPORTED,
     "\"T5Tokenizer\" is not supported"},
    {{.class = "OPTTokenizer"}, ERR_UNSUPPORTED, "\"OPTTokenizer\" is not supported"},
    {MARKED("{}", "gpt_neox"), ERR_UNSUPPORTED, "passes over pre_tokenizer of tokenizer.json"},
    {{.config = "{" LLAMA "}", .type = "llama"}, ERR_UNSUPPORTED, "passes over pre_tokenizer"},
    {MARKED("{}", "llama"), ERR_UNSUPPORTED, "tokenizer_class: not named, and for a model of the type"},
    {MARKED("{" LLAMA ",\"add_prefix_space\":true}", "llama"), ERR_UNSUPPORTED,
     "add_prefix_space: of LlamaTokenizer only null"},
    {MARKED("{" LLAMA ",\"from_slow\":true}", "llama"), ERR_UNSUPPORTED, "from_slow: true"},
    {MARKED("{" LLAMA ",\"legacy\":1}", "llama"), ERR_FORMAT, "legacy: not true or false"},
    {MARKED("{" LLAMA ",\"add_eos_token\":true}", "llama"), ERR_UNSUPPORTED, "add_eos_token: true"},
    {MARKED("{" CRYSTAL ",\"add_eos_token\":true}", "crystalcoder"), ERR_UNSUPPORTED, "add_eos_token: true"},
    {MARKED("{" CRYSTAL ",\"add_bos_token\":true}", "crystalcoder"), ERR_UNSUPPORTED, "add_bos_token: true"},
    {MARKED("{" LLAMA ",\"auto_map\":{\"AutoTokenizer\":[null,\"own.OwnTokenizer\"]}}", "llama"),
     ERR_UNSUPPORTED, "auto_map: AutoTokenizer: it is not known what"},
    {{.config = "{" FILE_CLASS ",\"auto_map\":{\"AutoTokenizer\":\"own.PreTrainedTokenizerFast\"}}"},
     ERR_UNSUPPORTED,
     "auto_map: AutoTokenizer: it is not known what"},
    {{.config = "{\"tokenizer_class\":\"OLMoTokenizer\",\"auto_map\":{\"AutoTokenizer\":[\"a.OLMoTokenizer\","
                "\"a.OtherTokenizerFast\"]}}",
      .type = "hf_olmo"},
     ERR_UNSUPPORTED,
     "auto_map: AutoTokenizer: it is not known what"},
    {MARKED("{" LLAMA "}", "mistral"), ERR_UNSUPPORTED, "bos_token: not named, and transformers 4 and 5"},
    {{.config = "{\"tokenizer_class\":\"GPT2Tokenizer\",\"bos_token\":null}", .type = "olmo2"},
     ERR_UNSUPPORTED,
     "eos_token: not named, and transformers 4 and 5"},
    {{.parts.pre_tokenizer = "null", .config = "{" LLAMA "}", .type = "llama"},
     ERR_UNSUPPORTED,
     "bos_token: not named, and \"<s>\" is not an added token"},
    {{.config = "{}", .type = "opt"}, ERR_UNSUPPORTED, "of the type \"opt\""},
    {{.parts.added_tokens = "[" GAP "," END "]"}, ERR_UNSUPPORTED, "passes over the order of added_tokens"},
    {{.parts.added_tokens = "[{\"id\":1e99,\"content\":\"a\"}," END "," GAP "]"},
     ERR_UNSUPPORTED,
     "passes over the order of added_tokens"},
    {{.config = "{\"add_prefix_space\":true}"}, ERR_UNSUPPORTED, "add_prefix_space: true here"},
    {{.config = "{" FILE_CLASS "}",
      .parts.pre_tokenizer = "{\"type\":\"ByteLevel\",\"add_prefix_space\":true}"},
     ERR_UNSUPPORTED,
     "add_prefix_space: false here"},
    {{.config = "{\"add_prefix_space\":\"yes\"}"}, ERR_FORMAT, "add_prefix_space: not true or false"},
    {{.config = "{\"add_bos_token\":true}"}, ERR_UNSUPPORTED, "add_bos_token: true"},
    {{.config = "{\"add_eos_token\":true}"}, ERR_UNSUPPORTED, "add_eos_token: true"},
    {{.config = "{\"split_special_tokens\":true}"}, ERR_UNSUPPORTED, "split_special_tokens: true"},
    {{.config = "{\"fast_tokenizer_files\":\"x\"}"}, ERR_FORMAT, "fast_tokenizer_files: not a list"},
    {{.config = "{\"fast_tokenizer_files\":[\"tokenizer.4.0.0.json\"]}"},
     ERR_UNSUPPORTED,
     "fast_tokenizer_files"},
    {{.config = "{\"added_tokens_decoder\":[]}"}, ERR_FORMAT, "added_tokens_decoder: not an object"},
    {{.config = DECODER("\"15\":\"x\"")}, ERR_FORMAT, "added_tokens_decoder: 15: content: not a string"},
    {{.config = DECODER("\"17\":{\"content\":\"<s>\"}")},
     ERR_UNSUPPORTED,
     "17: \"<s>\" is not an added token"},
    {{.config = DECODER("\"9\":{\"content\":\"  \"}")}, ERR_UNSUPPORTED, "the id in tokenizer.json is 16"},
    {{.config = DECODER("\"16x\":{\"content\":\"  \"}")}, ERR_UNSUPPORTED, "the id in tokenizer.json is 16"},
    {{.config = DECODER(DECODED(",\"lstrip\":true"))}, ERR_UNSUPPORTED, "15: lstrip differs"},
    {{.config = DECODER(DECODED(",\"rstrip\":true"))}, ERR_UNSUPPORTED, "15: rstrip differs"},
    {{.config = DECODER(DECODED(",\"normalized\":true"))}, ERR_UNSUPPORTED, "15: normalized differs"},
    {{.config = DECODER(DECODED(",\"single_word\":true"))}, ERR_UNSUPPORTED, "15: single_word differs"},
    {{.config = DECODER(DECODED(",\"single_word\":1"))}, ERR_FORMAT, "15: single_word: not true or false"},
    {{.config = DECODER(DECODED(""))}, ERR_UNSUPPORTED, "added_tokens_decoder: lacks an added token"},
    {{.config = "{\"pad_token\":\"[PAD]\"}"}, ERR_UNSUPPORTED, "pad_token: \"[PAD]\" is not an added token"},
    {{.config = "{\"image_token\":\"a\"}"}, ERR_UNSUPPORTED, "image_token: \"a\" is not an added token"},
    {{.config = "{\"bos_token\":{\"content\":\"\\u0000\"}}"}, ERR_UNSUPPORTED, "bos_token: "},
    {{.config = "{\"additional_special_tokens\":[\"<s>\"]}"},
     ERR_UNSUPPORTED,
     "additional_special_tokens: \"<s>\""},
    {{.config = "{\"extra_special_tokens\":{\"x\":\"<s>\"}}"},
     ERR_UNSUPPORTED,
     "extra_special_tokens: \"<s>\""},
    {{.config =
          "{" FILE_CLASS ",\"added_tokens_decoder\":{},\"bos_token\":{\"content\":\"  \",\"lstrip\":false}}"},
     ERR_UNSUPPORTED,
     "bos_token: lstrip differs"},
    {{.map = "{\"bos_token\":\"<s>\"}"}, ERR_UNSUPPORTED, "special_tokens_map.json: bos_token: \"<s>\""},
    {{.map = "[3]"}, ERR_FORMAT, "special_tokens_map.json: not a JSON object"},
    {{.added = "{\"<s>\":17}"}, ERR_UNSUPPORTED, "added_tokens.json: \"<s>\" is not an added token"},
    {{.added = "{\"  \":17}"}, ERR_UNSUPPORTED, "added_tokens.json: \"  \""},
    {{.added = "{\"  \":\"16\"}"}, ERR_UNSUPPORTED, "added_tokens.json: \"  \""},
    {{.added = "["}, ERR_FORMAT, "added_tokens.json: "},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct err err = ERR_INIT;
        struct tokenizer_use use = {.prefix_id = -7};
        int code = compare(refused[i].beside, &use, &err);
        if (code != refused[i].code || !strstr(err.message, refused[i].message))
            fail_msg("case %zu: code %d, \"%s\" instead of \"%s\"", i, code, err.message, refused[i].message);
        assert_int_equal(use.prefix_id, -7);
    }
}

/* In memory, brackets cost a hundred times their text. */
static void test_bounds(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct tokenizer *tokenizer = NULL;
    struct buf text;
    struct tokenizer_use use;
    buf_init(&text, 32 * MIB);
    assert_int_equal(load((struct parts){.added_tokens = ADDED}, &tokenizer, &err), 0);
    const struct tokenizer_config files = {.config = &text, .tokenizer_class = ""};
    (void)buf_append(&text, "{\"x\":[", 6);
    for (size_t i = 0; i < LIMIT_TOKENIZER_CONFIG_CONTAINERS; i++)
        (void)buf_append(&text, "[],", 3);
    (void)buf_append(&text, "0]}", 3);
    assert_int_equal(tokenizer_config_check(&files, tokenizer, &use, &err), ERR_LIMIT);
    while (text.size <= LIMIT_TOKENIZER_CONFIG_BYTES)
        (void)buf_append(&text, "                ", 16);
    err = (struct err)ERR_INIT;
    assert_int_equal(tokenizer_config_check(&files, tokenizer, &use, &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "tokenizer_config.json: "));
    buf_free(&text);
    tokenizer_free(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
