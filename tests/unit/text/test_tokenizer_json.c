/* What a tokenizer.json may hold, and what is refused by the name of its field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/text/parts.h"

#define CL100K                                                                                               \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}"                     \
    "| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define SPLIT(expression, more)                                                                              \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" expression "\"},\"behavior\":\"Isolated\"" more "}"
#define SEQUENCE(list) "{\"type\":\"Sequence\",\"pretokenizers\":[" list "]}"
#define SPELL(prefix, regex)                                                                                 \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":" prefix ",\"use_regex\":" regex "}"

#define DIGITS(each) "{\"type\":\"Digits\",\"individual_digits\":" each "}"
#define METASPACE(more) "{\"type\":\"Metaspace\"," more "}"
#define REPLACE(pattern) "{\"type\":\"Replace\",\"pattern\":{" pattern "},\"content\":\"\"}"
#define NESTED(list) "{\"type\":\"Sequence\",\"normalizers\":[" list "]}"
#define LONG "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define BPE_MARKS                                                                                            \
    "{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"fuse_unk\":true,\"byte_fallback\":true,\"vocab\":{"         \
    "\"<unk>\":0,\"<s>\":1,\"\\u2581\":2,\"<0xC2>\":3,\"<0x80>\":4,\"\\u2581a\":5,\"a\":6},"                 \
    "\"merges\":[[\"\\u2581\",\"a\"]]}"
/* Gemma's: marks in place of spaces, and a cut at spaces. */
#define MARKS(pattern)                                                                                       \
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\"" pattern "\"},\"content\":\"\\u2581\"}"
#define SPACES(more)                                                                                         \
    "{\"type\":\"Split\",\"pattern\":{\"String\":\" \"},\"behavior\":\"MergedWithPrevious\"" more "}"
#define BPE_11 "{\"vocab\":{" VOCAB ",\"11\":15,\"\\u01201\":16},\"merges\":[\"1 1\",\"\\u0120 1\"]}"

static void split_before_byte_level(void **state)
{
    (void)state;
    struct parts split = {
        .pre_tokenizer = SEQUENCE(SPLIT(CL100K, ",\"invert\":false") "," SPELL("false", "false")),
        .post_processor =
            "{\"type\":\"Sequence\",\"processors\":[" BYTE_LEVEL ",{\"type\":"
            "\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}]}]}"};
    struct parts alone = {.pre_tokenizer = SEQUENCE(BYTE_LEVEL), .post_processor = "null", .decoder = "null"};
    check(split, "1111", "8 8 8 8");
    check(split, "?ab ab", "13 4 3 4");
    check(alone, "abc", "7");
}

static void cut_at_spaces_that_are_marks(void **state)
{
    (void)state;
    const struct parts whole = {.normalizer = MARKS(" "),
                                .pre_tokenizer = SPACES(",\"invert\":false"),
                                .post_processor = "null",
                                .decoder = "null",
                                .added_tokens = "[]",
                                .model = BPE_MARKS};
    check(whole, "a a  a", "6 5 2 5");
}

/* Of expressions that match every character, what lies between the matches is nothing. */
static void matches_alone(void **state)
{
    (void)state;
    struct parts parts = {
        .pre_tokenizer = SEQUENCE("{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" CL100K
                                  "\"},\"behavior\":\"Removed\",\"invert\":true}," SPELL("false", "false"))};
    check(parts, "?ab ab", "13 4 3 4");
}

static void cut_after_cut(void **state)
{
    (void)state;
    struct parts each = {.pre_tokenizer = SEQUENCE(DIGITS("true") "," SPELL("false", "true")),
                         .model = BPE_11};
    struct parts runs = {.pre_tokenizer = SEQUENCE(DIGITS("false") "," SPELL("false", "true")),
                         .model = BPE_11};
    struct parts after = {.pre_tokenizer =
                              SEQUENCE(SPLIT(CL100K, "") "," DIGITS("true") "," SPELL("false", "false")),
                          .model = BPE_11};
    check(each, "a11 1a", "0 8 8 3 8 0");
    check(runs, "a11 1a", "0 15 3 8 0");
    check(after, "a11 1a", "0 8 8 3 8 0");
    check((struct parts){.model = BPE_11}, "a11 1a", "0 15 16 0");
}

/* Tokens around a text are left out. */
static void templates(void **state)
{
    (void)state;
    struct parts parts = {.post_processor =
                              "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"a\","
                              "\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[],"
                              "\"special_tokens\":{}}"};
    check(parts, "abc", "7");
}

/* Llama's: whole texts, spaces as marks, bytes for what the vocabulary lacks. */
static void marks(void **state)
{
    (void)state;
    struct parts llama = {
        .normalizer =
            "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\\u2581\"},"
            "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\\u2581\"}]}",
        .pre_tokenizer = "null",
        .decoder = "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}]}",
        .added_tokens = "[{\"content\":\"<s>\",\"special\":true,\"normalized\":false}]",
        .model = BPE_MARKS};
    struct parts metaspace = llama;
    metaspace.normalizer = "null";
    metaspace.pre_tokenizer =
        METASPACE("\"replacement\":\"\\u2581\",\"prepend_scheme\":\"first\",\"split\":false");
    check(llama, "", "");
    check(llama, "a a", "5 5");
    check(llama, " a", "2 5");
    check(llama, "\xC2\x80", "2 3 4");
    check(llama, "x", "2 0");
    check(llama, "a<s>a", "5 1 5"); /* each piece is behind a mark */
    check(metaspace, "a<s>a", "5 1 6");
    check(metaspace, " a", "5");
    check(metaspace, "\u2581a", "5");
}

static const struct {
    struct parts parts;
    int code;
    const char *message;
} cases[] = {
    {{.version = "\"2.0\""}, ERR_UNSUPPORTED, "version"},
    {{.normalizer = "{\"type\":\"Lowercase\"}"}, ERR_UNSUPPORTED, "normalizer: type: \"Lowercase\""},
    {{.normalizer = "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"NFKC\"}]}"},
     ERR_UNSUPPORTED,
     "normalizer: normalizers[1]: type: \"NFKC\""},
    {{.normalizer = "3"}, ERR_FORMAT, "normalizer: not an object"},
    {{.normalizer = "{\"type\":3}"}, ERR_FORMAT, "normalizer: type"},
    {{.normalizer = "{\"type\":\"Prepend\"}"}, ERR_FORMAT, "normalizer: prepend: not a string"},
    {{.normalizer = "{\"type\":\"Prepend\",\"prepend\":\"" LONG "\"}"}, ERR_LIMIT, "prepend: more than 64"},
    {{.normalizer = REPLACE("\"Regex\":\"(a+)+b\"")}, ERR_UNSUPPORTED, "normalizer: pattern: only a String"},
    {{.normalizer = REPLACE("\"String\":\"\"")}, ERR_UNSUPPORTED, "pattern.String: nothing"},
    {{.normalizer = REPLACE("\"String\":3")}, ERR_FORMAT, "pattern: String: not a string"},
    {{.normalizer = "{\"type\":\"Replace\"}"}, ERR_FORMAT, "pattern: String: not a string"},
    {{.normalizer = NESTED(NESTED(NESTED(NESTED(NESTED(NESTED(NESTED(NESTED(NESTED("")))))))))},
     ERR_UNSUPPORTED,
     "type: \"Sequence\" is not supported"},
    {{.normalizer = REPLACE("\"String\":\"x\""), .added_tokens = "[{\"content\":\"xx\"}]"},
     ERR_UNSUPPORTED,
     "added_tokens[0]: content: the normalizer leaves nothing"},
    {{.pre_tokenizer = METASPACE("\"replacement\":\"ab\"")}, ERR_FORMAT, "replacement: not one character"},
    {{.pre_tokenizer = METASPACE("\"replacement\":3")}, ERR_FORMAT, "replacement: not one character"},
    {{.pre_tokenizer = METASPACE("\"replacement\":\"_\",\"prepend_scheme\":3")},
     ERR_FORMAT,
     "prepend_scheme: not a string"},
    {{.pre_tokenizer = METASPACE("\"replacement\":\"_\",\"prepend_scheme\":\"First\"")},
     ERR_UNSUPPORTED,
     "prepend_scheme: neither"},
    {{.pre_tokenizer = METASPACE("\"replacement\":\"_\",\"add_prefix_space\":false")},
     ERR_FORMAT,
     "pre_tokenizer: add_prefix_space: false, but"},
    {{.pre_tokenizer = METASPACE("\"replacement\":\"_\",\"split\":1")}, ERR_FORMAT, "split: not true"},
    {{.pre_tokenizer = METASPACE("\"replacement\":\"_\",\"prepend_scheme\":\"first\""),
      .normalizer = REPLACE("\"String\":\"x\"")},
     ERR_UNSUPPORTED,
     "prepend_scheme: \"first\" after another normalizer"},
    {{.pre_tokenizer = SEQUENCE(METASPACE("\"replacement\":\"_\"") "," BYTE_LEVEL)},
     ERR_UNSUPPORTED,
     "pretokenizers[0]: type: \"Metaspace\""},
    {{.pre_tokenizer = "{\"type\":\"Whitespace\"}"}, ERR_UNSUPPORTED, "pre_tokenizer: type: \"Whitespace\""},
    {{.pre_tokenizer = "{\"type\":\"ByteLevel\",\"use_regex\":1}"}, ERR_FORMAT, "pre_tokenizer: use_regex"},
    {{.pre_tokenizer = SEQUENCE(BYTE_LEVEL "," DIGITS("true"))},
     ERR_UNSUPPORTED,
     "pre_tokenizer: pretokenizers[0]: type: \"ByteLevel\""},
    {{.pre_tokenizer = SEQUENCE(DIGITS("1") "," BYTE_LEVEL)},
     ERR_FORMAT,
     "pretokenizers[0]: individual_digits: not true"},
    {{.pre_tokenizer = SEQUENCE(DIGITS("true") "," SEQUENCE(BYTE_LEVEL))},
     ERR_UNSUPPORTED,
     "pretokenizers[1]: type: \"Sequence\""},
    {{.pre_tokenizer = "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
                       "\"x+\"},\"behavior\":\"Isolated\",\"invert\":false}," BYTE_LEVEL "]}"},
     ERR_UNSUPPORTED,
     "pretokenizers[0]: pattern.Regex"},
    {{.pre_tokenizer = "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
                       "\"x+\"},\"behavior\":\"Removed\",\"invert\":false}," BYTE_LEVEL "]}"},
     ERR_UNSUPPORTED,
     "pretokenizers[0]: invert: false with \"Removed\""},
    {{.pre_tokenizer = "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
                       "\"x+\"},\"behavior\":\"Contiguous\",\"invert\":false}," BYTE_LEVEL "]}"},
     ERR_UNSUPPORTED,
     "pretokenizers[0]: behavior"},
    {{.post_processor = "{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\"}},"
                        "{\"Sequence\":{\"id\":\"A\"}}]}"},
     ERR_UNSUPPORTED,
     "post_processor: single: only a template"},
    {{.post_processor = "{\"type\":\"TemplateProcessing\",\"single\":[3]}"},
     ERR_FORMAT,
     "post_processor: single[0]: neither"},
    {{.post_processor = "{\"type\":\"BertProcessing\"}"}, ERR_UNSUPPORTED, "post_processor: type"},
    {{.pre_tokenizer = SEQUENCE(SPLIT(CL100K, ",\"invert\":true") "," BYTE_LEVEL)},
     ERR_UNSUPPORTED,
     "pretokenizers[0]: invert: true with \"Isolated\""},
    {{.pre_tokenizer = SEQUENCE(SPLIT(CL100K, "") "," SPELL("true", "false"))},
     ERR_UNSUPPORTED,
     "pretokenizers[1]: add_prefix_space: true after a cut"},
    {{.pre_tokenizer =
          SEQUENCE(DIGITS("true") "," DIGITS("true") "," DIGITS("true") "," DIGITS("true") "," BYTE_LEVEL)},
     ERR_UNSUPPORTED,
     "pretokenizers[4]: more than 4 cuts"},
    {{.pre_tokenizer = SEQUENCE(SPLIT(CL100K, ""))}, ERR_UNSUPPORTED, "pretokenizers[0]: type: \"Split\""},
    {{.pre_tokenizer = SPACES("")}, ERR_UNSUPPORTED, "pre_tokenizer: type: \"Split\" alone"},
    {{.normalizer = MARKS("a"), .pre_tokenizer = SPACES("")}, ERR_UNSUPPORTED, "type: \"Split\" alone"},
    {{.normalizer = MARKS(" "), .pre_tokenizer = SPACES(",\"invert\":true")},
     ERR_UNSUPPORTED,
     "type: \"Split\" alone"},
    {{.pre_tokenizer = SEQUENCE("")}, ERR_FORMAT, "pre_tokenizer: pretokenizers"},
    {{.pre_tokenizer = "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":"
                       "{\"String\":\" \"},\"behavior\":\"Isolated\"}," BYTE_LEVEL "]}"},
     ERR_UNSUPPORTED,
     "pretokenizers[0]: pattern: only a Regex"},
    {{.normalizer = "{\"type\":\"Sequence\"}"}, ERR_FORMAT, "normalizer: normalizers"},
    {{.post_processor = "{\"type\":\"TemplateProcessing\"}"}, ERR_FORMAT, "post_processor: single"},
    {{.post_processor = "{\"type\":\"Sequence\"}"}, ERR_FORMAT, "post_processor: processors"},
    {{.post_processor = "{\"type\":\"Sequence\",\"processors\":[" BYTE_LEVEL ",{\"type\":\"x\"}]}"},
     ERR_UNSUPPORTED,
     "post_processor: processors[1]: type"},
    {{.decoder = "{\"type\":\"WordPiece\"}"}, ERR_UNSUPPORTED, "decoder: type: \"WordPiece\""},
    {{.decoder = "{\"type\":\"Sequence\"}"}, ERR_FORMAT, "decoder: decoders: not a list"},
    {{.decoder = "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},{\"type\":\"CTC\"}]}"},
     ERR_UNSUPPORTED,
     "decoder: decoders[1]: type: \"CTC\""},
    {{.model = "null"}, ERR_FORMAT, "model: missing"},
    {{.model = "{\"type\":\"Unigram\",\"vocab\":[]}"}, ERR_UNSUPPORTED, "model: type: \"Unigram\""},
    {{.model = BPE("\"dropout\":0.1,")}, ERR_UNSUPPORTED, "model: dropout"},
    {{.model = BPE("\"continuing_subword_prefix\":\"##\",")}, ERR_UNSUPPORTED, "continuing_subword_prefix"},
    {{.model = BPE("\"end_of_word_suffix\":\"</w>\",")}, ERR_UNSUPPORTED, "end_of_word_suffix"},
    {{.model = BPE("\"byte_fallback\":true,")}, ERR_UNSUPPORTED, "model: byte_fallback: true with ByteLevel"},
    {{.model = BPE("\"byte_fallback\":1,")}, ERR_FORMAT, "model: byte_fallback: not true"},
    {{.model = BPE("\"unk_token\":\"[UNK]\",")}, ERR_FORMAT, "model: unk_token"},
    {{.model = "{\"merges\":[]}"}, ERR_FORMAT, "model: vocab"},
    {{.model = "{\"vocab\":{\"a\":-1},\"merges\":[]}"}, ERR_FORMAT, "vocab"},
    {{.model = "{\"vocab\":{\"a\":\"x\"},\"merges\":[]}"}, ERR_FORMAT, "vocab"},
    {{.model = "{\"vocab\":{\"a\":4294967295},\"merges\":[]}"}, ERR_LIMIT, "4294967295"},
    {{.model = "{\"vocab\":{\"a\":1,\"b\":1},\"merges\":[]}"}, ERR_FORMAT, "two tokens have the id 1"},
    {{.model = "{\"vocab\":{\"a\":1,\"a\":2},\"merges\":[]}"}, ERR_FORMAT, "not JSON"},
    {{.model = "{\"vocab\":{}}"}, ERR_FORMAT, "model: merges"},
    {{.model = "{\"vocab\":{\"a\":0},\"merges\":[\"a b\"]}"}, ERR_FORMAT, "merges[0]: \"b\" is not in"},
    {{.model = "{\"vocab\":{\"a\":0},\"merges\":[\"a a\"]}"}, ERR_FORMAT, "the result \"aa\""},
    {{.model = "{\"vocab\":{\"a\":0},\"merges\":[\"a\"]}"}, ERR_FORMAT, "merges[0]: neither"},
    {{.model = "{\"vocab\":{\"a\":0},\"merges\":[\"a a a\"]}"}, ERR_FORMAT, "merges[0]: neither"},
    {{.model = "{\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}"}, ERR_FORMAT, "merges[0]: neither"},
    {{.added_tokens = "{}"}, ERR_FORMAT, "added_tokens"},
    {{.added_tokens = "[{\"id\":3}]"}, ERR_FORMAT, "added_tokens[0]: content"},
    {{.added_tokens = "[{\"content\":\"x\",\"lstrip\":\"yes\"}]"}, ERR_FORMAT, "added_tokens[0]: lstrip"},
    {{.added_tokens = "[{\"content\":\"\\u00e9\"},{\"content\":\"e\\u0301\"}]"},
     ERR_UNSUPPORTED,
     "added_tokens[1]"},
    {{.model = "{\"vocab\":{\"a\":0,\"b\":2},\"merges\":[]}", .added_tokens = "[{\"content\":\"x\"}]"},
     ERR_UNSUPPORTED,
     "added_tokens[0]: its id would be 2"},
};

static void refusals_name_the_field(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = ERR_INIT;
        struct tokenizer *tokenizer = NULL;
        int code = load(cases[i].parts, &tokenizer, &err);
        if (code != cases[i].code || !strstr(err.message, cases[i].message))
            fail_msg("case %zu: %d, %s", i, code, err.message);
        assert_null(tokenizer);
    }
}

static void broken_json(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "{", "[]", "null", "{\"model\":", "\"x\"", "{\"version\":\"1.0\"}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct err err = ERR_INIT;
        struct tokenizer *tokenizer = NULL;
        assert_true(tokenizer_load(texts[i], strlen(texts[i]), &tokenizer, &err) < 0);
        assert_null(tokenizer);
        assert_int_equal(strncmp(err.message, "tokenizer.json: ", 16), 0);
    }
    tokenizer_free(NULL);
    tokenizer_encoder_free(NULL);
}

/* Brackets that would cost the parser a hundred bytes each. */
static void too_many_values(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct tokenizer *tokenizer = NULL;
    size_t size = LIMIT_TOKENIZER_JSON_CONTAINERS + 1;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, '[', size);
    assert_int_equal(tokenizer_load(text, size, &tokenizer, &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "tokenizer.json: the JSON holds more than"));
    assert_null(tokenizer);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(split_before_byte_level),
        cmocka_unit_test(cut_at_spaces_that_are_marks),
        cmocka_unit_test(matches_alone),
        cmocka_unit_test(cut_after_cut),
        cmocka_unit_test(templates),
        cmocka_unit_test(marks),
        cmocka_unit_test(refusals_name_the_field),
        cmocka_unit_test(broken_json),
        cmocka_unit_test(too_many_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
