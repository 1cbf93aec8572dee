/* tokenizer.model: what is read of it, and a catalogue of files that are refused. (Ids:
 * tests/e2e/test_tokenizer_models.py) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/base/limits.h"
#include "daemon/text/tokenizer_config.h"
#include "daemon/text/tokenizer_encoder.h"
#include "tests/unit/text/model_writer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Reads what follows a model that works, and compares code and message; 0: it is taken. */
static void check(const struct buf *file, int code, const char *words)
{
    struct err err = ERR_INIT;
    struct tokenizer *tokenizer = NULL;
    int found = tokenizer_load_sentencepiece(file->data, file->size, &tokenizer, &err);
    if (found != code || (code && !strstr(err.message, words)))
        fail_msg("%d (%s) instead of %d (%s)", found, err.message, code, words);
    tokenizer_free(tokenizer);
}

static void after_model(const void *more, size_t size, int code, const char *words)
{
    struct buf file;
    buf_init(&file, MIB);
    put_model(&file);
    (void)buf_append(&file, more, size);
    check(&file, code, words);
    buf_free(&file);
}

#define AFTER(bytes, code, words) after_model(bytes, sizeof(bytes) - 1, code, words)

static void piece_after_model(const char *text, size_t size, float score, unsigned type, int code,
                              const char *words)
{
    struct buf more;
    buf_init(&more, MIB);
    put_piece(&more, text, size, score, type);
    after_model(more.data, more.size, code, words);
    buf_free(&more);
}

static void pieces(void **state)
{
    (void)state;
    static char longest[LIMIT_ADDED_TOKEN_BYTES + 1];
    memset(longest, 'a', sizeof longest);
    piece_after_model("ba", 2, -1, SENTENCEPIECE_NORMAL, 0, "");
    piece_after_model("x\xCC\x81", 3, 0, SENTENCEPIECE_USER_DEFINED, 0, "");
    piece_after_model("", 0, 0, SENTENCEPIECE_NORMAL, ERR_FORMAT, "tokenizer.model: piece 7: it is empty");
    piece_after_model("a\xFF", 2, 0, SENTENCEPIECE_NORMAL, ERR_FORMAT, "piece 7: it is not UTF-8");
    piece_after_model("\xED\xA0\x80", 3, 0, SENTENCEPIECE_CONTROL, ERR_FORMAT, "piece 7: it is not UTF-8");
    piece_after_model("ab", 2, -1, SENTENCEPIECE_NORMAL, ERR_FORMAT, "piece 7: ");
    piece_after_model("<s>", 3, -1, SENTENCEPIECE_NORMAL, ERR_FORMAT, "piece 7: ");
    piece_after_model("aab", 3, NAN, SENTENCEPIECE_NORMAL, ERR_FORMAT, "piece 7: \"aab\": its score");
    piece_after_model("aab", 3, -INFINITY, SENTENCEPIECE_NORMAL, ERR_FORMAT,
                      "its score is not a finite number");
    piece_after_model("aab", 3, 0, SENTENCEPIECE_UNUSED, ERR_UNSUPPORTED, "\"aab\": the type UNUSED");
    piece_after_model("aab", 3, 0, 0, ERR_UNSUPPORTED, "piece 7: its type is not one of SentencePiece's");
    piece_after_model("aab", 3, 0, 7, ERR_UNSUPPORTED, "piece 7: its type is not one of SentencePiece's");
    piece_after_model("?", 1, 0, SENTENCEPIECE_UNKNOWN, ERR_UNSUPPORTED,
                      "\"?\": one character that is no part");
    piece_after_model("<u>", 3, 0, SENTENCEPIECE_UNKNOWN, ERR_FORMAT,
                      "pieces 0 and 7 are both for the unknown");
    piece_after_model("<0x0A>", 6, 0, SENTENCEPIECE_BYTE, ERR_FORMAT,
                      "piece 7 is for a byte, but byte_fallback");
    piece_after_model("acb", 3, 0, SENTENCEPIECE_NORMAL, ERR_UNSUPPORTED,
                      "\"acb\": its character \"c\" is no piece");
    piece_after_model(longest, LIMIT_SENTENCEPIECE_PIECE_BYTES, 0, SENTENCEPIECE_NORMAL, 0, "");
    piece_after_model(longest, LIMIT_SENTENCEPIECE_PIECE_BYTES + 1, 0, SENTENCEPIECE_NORMAL, ERR_LIMIT,
                      "piece 7: it has more than 256 bytes");
    piece_after_model(longest, LIMIT_ADDED_TOKEN_BYTES, 0, SENTENCEPIECE_USER_DEFINED, 0, "");
    piece_after_model(longest, sizeof longest, 0, SENTENCEPIECE_CONTROL, ERR_LIMIT, "more than 1024 bytes");
}

static void settings(void **state)
{
    (void)state;
    AFTER("", 0, "");
    AFTER("\xFA\x07\x03xyz", 0, ""); /* a field of later versions */
    AFTER("\x12\x02\x18\x01", ERR_UNSUPPORTED, "model_type: Unigram is not supported");
    AFTER("\x12\x02\x18\x03", ERR_UNSUPPORTED, "model_type: word is not supported");
    AFTER("\x12\x02\x18\x04", ERR_UNSUPPORTED, "model_type: character is not supported");
    AFTER("\x12\x02\x18\x05", ERR_UNSUPPORTED, "model_type: an unknown kind");
    AFTER("\x12\x02\x18\x00", ERR_UNSUPPORTED, "model_type: an unknown kind");
    AFTER("\x12\x03\x1A\x01x", ERR_FORMAT, "trainer_spec: field 3 is of another kind");
    AFTER("\x10\x02", ERR_FORMAT, "trainer_spec: field 2 is of another kind");
    AFTER("\x12\x02\x18\x81", ERR_FORMAT, "trainer_spec: a number that does not end at byte 1");
    AFTER("\x12\x03\x98\x02\x01", ERR_FORMAT, "byte_fallback: 0 pieces are for bytes, instead of 256");
    AFTER("\x1A\x03\x1A\x01x", ERR_FORMAT, "normalizer_spec: field 3 is of another kind");
    AFTER("\x0A\x02\x10\x01", ERR_FORMAT, "piece 7: field 2 is of another kind");
    AFTER("\x0A\x02", ERR_FORMAT, "tokenizer.model: a length beyond the end at byte");
    AFTER("\x1A\x06\x12\x04\x08\x00\x00\x00", ERR_FORMAT, "precompiled_charsmap: 4 bytes are too few");
}

/* SentencePiece's bytes are found by their names. */
static void bytes_by_name(void **state)
{
    (void)state;
    for (int wrong = 0; wrong < 2; wrong++) {
        struct buf file;
        char name[8];
        buf_init(&file, MIB);
        put_model(&file);
        for (unsigned i = 0; i < 256; i++) {
            (void)snprintf(name, sizeof name, wrong && i == 200 ? "<0xYY>" : "<0x%02X>", i);
            put_piece(&file, name, 6, 0, SENTENCEPIECE_BYTE);
        }
        put_bytes(&file, 2, "\x98\x02\x01", 3);
        check(&file, wrong ? ERR_FORMAT : 0, "byte_fallback: not all of \"<0x00>\" to");
        buf_free(&file);
    }
}

static void wholes(void **state)
{
    (void)state;
    struct buf file;
    buf_init(&file, MIB);
    check(&file, ERR_UNSUPPORTED, "it is not SentencePiece's");
    (void)buf_append_text(&file, "IQ== 0\nIg== 1\n"); /* tiktoken's */
    check(&file, ERR_UNSUPPORTED, "tiktoken has files of that name");
    buf_clear(&file);
    put_piece(&file, "a", 1, 0, SENTENCEPIECE_NORMAL);
    put_bytes(&file, 2, "\x18\x02", 2);
    check(&file, ERR_FORMAT, "no piece is for the unknown");
    buf_free(&file);
    struct err err = ERR_INIT;
    struct tokenizer *tokenizer = NULL;
    char *much = calloc(1, LIMIT_SENTENCEPIECE_BYTES + 1);
    assert_non_null(much);
    assert_int_equal(tokenizer_load_sentencepiece(much, LIMIT_SENTENCEPIECE_BYTES + 1, &tokenizer, &err),
                     ERR_LIMIT);
    free(much);
    /* Cut off anywhere, nothing is read that is not there, and no model without its settings is taken. */
    buf_init(&file, MIB);
    put_model(&file);
    for (size_t size = 1; size < file.size - 4; size++) {
        char *part = malloc(size);
        assert_non_null(part);
        memcpy(part, file.data, size);
        assert_int_not_equal(tokenizer_load_sentencepiece(part, size, &tokenizer, &err), 0);
        free(part);
    }
    buf_free(&file);
}

/* -- Texts ----------------------------------------------------------------------------------------------- */

/* Of what follows a model that works; cancelled from the beginning where that is asked for. */
static int encode(const void *more, size_t size, const struct buf *text, int is_cancelled, struct err *err)
{
    const atomic_bool cancel = is_cancelled;
    struct tokenizer *tokenizer = NULL;
    struct tokenizer_encoder *encoder = NULL;
    struct token_ids ids;
    struct buf file;
    buf_init(&file, MIB);
    put_model(&file);
    (void)buf_append(&file, more, size);
    token_ids_init(&ids, MIB);
    assert_int_equal(tokenizer_load_sentencepiece(file.data, file.size, &tokenizer, err), 0);
    assert_int_equal(tokenizer_encoder_new(tokenizer, &encoder, err), 0);
    tokenizer_encoder_set_cancel(encoder, &cancel);
    int code = tokenizer_encode(encoder, buf_text(text), text->size, &ids, err);
    assert_int_equal(ids.count, 0);
    tokenizer_encoder_free(encoder);
    tokenizer_free(tokenizer);
    token_ids_free(&ids);
    buf_free(&file);
    return code;
}

static void put_many(struct buf *text, char c, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)buf_append_char(text, c);
}

/* A text of nothing but spaces, which all go, is no less long than another. */
static void cancelled(void **state)
{
    (void)state;
    static const char removes[] = "\x1A\x02\x20\x01";
    struct err err = ERR_INIT;
    struct buf text;
    buf_init(&text, MIB);
    put_many(&text, ' ', 100000);
    assert_int_equal(encode(removes, sizeof removes - 1, &text, 0, &err), 0);
    assert_int_equal(encode(removes, sizeof removes - 1, &text, 1, &err), ERR_CANCELLED);
    buf_free(&text);
}

/* A charsmap that leads in a circle would be walked to the end of the text from each of its places. */
static void circle(void **state)
{
    (void)state;
    uint32_t map[] = {12, ('a' ^ 1U) << 10, (uint32_t)'a' << 10 | 'a', 0, 0};
    struct err err = ERR_INIT;
    struct buf normalizer, more, text;
    buf_init(&normalizer, MIB);
    buf_init(&more, MIB);
    buf_init(&text, MIB);
    put_bytes(&normalizer, 2, map, sizeof map);
    put_bytes(&more, 3, normalizer.data, normalizer.size);
    put_many(&text, 'a', 1000);
    assert_int_equal(encode(more.data, more.size, &text, 0, &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "precompiled_charsmap: it looks at more than 256 bytes"));
    buf_free(&normalizer);
    buf_free(&more);
    buf_free(&text);
}

/* -- Files beside it ------------------------------------------------------------------------------------- */

static const char *behind_model = ""; /* more of the file */

static int check_beside(const char *config, const char *map, const char *added, struct tokenizer_use *ret_use,
                        struct err *err)
{
    struct tokenizer *tokenizer = NULL;
    struct buf file, texts[3];
    const char *const given[] = {config, map, added};
    buf_init(&file, MIB);
    put_model(&file);
    (void)buf_append_text(&file, behind_model);
    assert_int_equal(tokenizer_load_sentencepiece(file.data, file.size, &tokenizer, err), 0);
    for (size_t i = 0; i < 3; i++) {
        buf_init(&texts[i], MIB);
        (void)buf_append_text(&texts[i], given[i] ? given[i] : "");
    }
    const struct tokenizer_config files = {config ? &texts[0] : NULL, map ? &texts[1] : NULL,
                                           added ? &texts[2] : NULL, "", "baichuan"};
    int code = tokenizer_config_check_sentencepiece(&files, tokenizer, ret_use, err);
    for (size_t i = 0; i < 3; i++)
        buf_free(&texts[i]);
    buf_free(&file);
    tokenizer_free(tokenizer);
    return code;
}

#define CLASS "{\"tokenizer_class\":\"BaichuanTokenizer\""
#define LLAMA "{\"tokenizer_class\":\"LlamaTokenizer\""

static void beside(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct tokenizer_use use;
    assert_int_equal(check_beside(CLASS "}", NULL, NULL, &use, &err), 0);
    assert_true(use.prefix_id == 1 && use.start_id == 1 && use.doubts == TOKENIZER_DOUBT_CONTROLS);
    assert_string_equal(use.foreign, "");
    assert_int_equal(check_beside(CLASS ",\"add_bos_token\":false,\"bos_token\":null}",
                                  "{\"pad_token\":\"[PAD]\"}", "{\"[PAD]\":7,\"PAD]\":8}", &use, &err),
                     0);
    assert_true(use.prefix_id == 2 && use.start_id == -1);
    assert_string_equal(use.foreign, "[PAD]\x1FPAD]\x1F");
    /* The map names what stands before a text where no decoder does. */
    assert_int_equal(check_beside(CLASS "}", "{\"bos_token\":\"</s>\"}", NULL, &use, &err), 0);
    assert_true(use.prefix_id == 2);
    assert_int_equal(
        check_beside(CLASS ",\"added_tokens_decoder\":{}}", "{\"bos_token\":\"</s>\"}", NULL, &use, &err), 0);
    assert_true(use.prefix_id == 1);
}

static void beside_by_own_class(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct tokenizer_use use;
    assert_int_equal(check_beside(CLASS ",\"pad_token\":\"\u2581x\",\"auto_map\":{\"AutoTokenizer\":"
                                        "[\"x--own.BaichuanTokenizer\",null]}}",
                                  NULL, NULL, &use, &err),
                     0);
    /* InternLM's takes what SentencePiece does: by the name, whatever the id that stands beside it. */
    behind_model = "\x12\x0A\xC8\x02\x01\xF2\x02\x04</s>";
    assert_int_equal(check_beside("{\"tokenizer_class\":\"InternLM2Tokenizer\",\"bos_token\":\"</s>\"}", NULL,
                                  NULL, &use, &err),
                     0);
    assert_true(use.prefix_id == 2 && use.start_id == 2);
    assert_int_equal(check_beside("{\"tokenizer_class\":\"InternLM2Tokenizer\"}", NULL, NULL, &use, &err),
                     ERR_UNSUPPORTED);
    behind_model = "";
}

static void beside_refused(void **state)
{
    (void)state;
    static const struct {
        const char *config, *map, *added, *words;
    } cases[] = {
        {"{\"tokenizer_class\":7}", NULL, NULL, "tokenizer_config.json: tokenizer_class: not a string"},
        {"[]", NULL, NULL, "tokenizer_config.json: not a JSON object"},
        {NULL, NULL, NULL, "tokenizer_class: not named"},
        {CLASS ",\"legacy\":false}", NULL, NULL, "legacy: false is not supported with a tokenizer.model"},
        {CLASS ",\"split_special_tokens\":true}", NULL, NULL, "split_special_tokens: true"},
        {CLASS ",\"sp_model_kwargs\":{\"enable_sampling\":true}}", NULL, NULL, "sp_model_kwargs: only {}"},
        {CLASS ",\"add_bos_token\":1}", NULL, NULL, "add_bos_token: not true or false"},
        {CLASS ",\"bos_token\":\"[B]\"}", NULL, NULL, "it is no piece of tokenizer.model"},
        {CLASS ",\"added_tokens_decoder\":7}", NULL, NULL, "added_tokens_decoder: not an object"},
        {CLASS ",\"added_tokens_decoder\":{\"x\":\"y\"}}", NULL, NULL, "added_tokens_decoder: x: not an id"},
        {CLASS ",\"added_tokens_decoder\":{\"3\":\"<s>\"}}", NULL, NULL,
         "\"<s>\" has another id in tokenizer.model, 1"},
        {CLASS ",\"pad_token\":\"a\\u001fb\"}", NULL, NULL, "pad_token: a token with such characters"},
        {CLASS "}", "{\"x_token\":\"a\\u0000b\"}", NULL,
         "special_tokens_map.json: x_token: a token with such"},
        {CLASS "}", NULL, "{\"ab\":4}", "added_tokens.json: \"ab\" has another id in tokenizer.model, 3"},
        {CLASS "}", NULL, "{\"\":9}", "added_tokens.json: a token with such characters"},
        {CLASS ",\"auto_map\":{\"AutoTokenizer\":[\"own.BaichuanTokenizer\",\"own.Fast\"]}}", NULL, NULL,
         "auto_map: AutoTokenizer: it is not known what"},
        {CLASS ",\"auto_map\":{\"AutoTokenizer\":\"own.OtherTokenizer\"}}", NULL, NULL, "auto_map: "},
        {LLAMA ",\"auto_map\":{\"AutoTokenizer\":[\"own.LlamaTokenizer\",null]}}", NULL, NULL, "auto_map: "},
        {LLAMA ",\"pad_token\":\"\u2581x\"}", NULL, NULL, "pad_token: a token with such characters"},
        {LLAMA "}", NULL, "{\"x y\":7}", "added_tokens.json: a token with such characters"},
        {"{\"tokenizer_class\":\"InternLMTokenizer\",\"bos_token\":\"</s>\"}", NULL, NULL,
         "InternLMTokenizer takes that of tokenizer.model"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = ERR_INIT;
        struct tokenizer_use use;
        if (!check_beside(cases[i].config, cases[i].map, cases[i].added, &use, &err) ||
            !strstr(err.message, cases[i].words))
            fail_msg("case %zu: %s instead of %s", i, err.message, cases[i].words);
    }
}

/* More tokens than are kept are refused, and not some of them passed over. */
static void beside_many(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct tokenizer_use use;
    struct buf added;
    buf_init(&added, MIB);
    for (int i = 0; i < 300; i++)
        (void)buf_appendf(&added, "%s\"x%d\":%d", i ? "," : "{", i, 100 + i);
    (void)buf_append_text(&added, "}");
    assert_int_equal(check_beside(CLASS "}", NULL, buf_text(&added), &use, &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "have more than 1024 bytes"));
    buf_free(&added);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces),        cmocka_unit_test(settings),
        cmocka_unit_test(bytes_by_name), cmocka_unit_test(wholes),
        cmocka_unit_test(beside),        cmocka_unit_test(beside_refused),
        cmocka_unit_test(beside_many),   cmocka_unit_test(beside_by_own_class),
        cmocka_unit_test(cancelled),     cmocka_unit_test(circle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
