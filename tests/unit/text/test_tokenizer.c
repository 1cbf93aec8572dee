/* A tokenizer on small vocabularies, where every id can be worked out by hand; and what it refuses. The
 * comparison with the `tokenizers` package is tests/e2e/test_tokenizer.py. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/text/parts.h"

static void merges_go_by_rank(void **state)
{
    (void)state;
    struct parts plain = {0};
    check(plain, "", "");
    check(plain, "a", "0");
    check(plain, "ab", "4");
    check(plain, "abc", "7");   /* a b, then ab c; b c has a later rank than a b */
    check(plain, "aab", "0 4"); /* a b before a a */
    check(plain, "aaa", "5 0"); /* leftmost first */
    check(plain, "aaaa", "5 5");
    check(plain, "bcbc", "14 14");
    check(plain, "a ab", "0 3 4"); /* inside " ab", a b has a lower rank than the space and a */
    check(plain, "a aa", "0 3 5"); /* so has a a */
    check(plain, "a a", "0 6");
    check(plain, "a  a", "0 3 6");  /* the first space is a word of its own */
    check(plain, "ab1ab", "4 8 4"); /* letters and numbers are cut apart */
}

static void merges_have_two_spellings(void **state)
{
    (void)state;
    struct parts pairs = {.model = "{\"vocab\":{" VOCAB "},\"merges\":[[\"a\",\"b\"],[\"ab\",\"c\"]]}"};
    struct parts versioned = {.model = "{\"vocab\":{" VOCAB "},\"merges\":[\"#version: 0.2\",\"a b\"]}"};
    check(pairs, "abc aab", "7 3 0 4");
    check(versioned, "abc", "4 2");
}

static void a_later_merge_of_a_pair_wins(void **state)
{
    (void)state;
    /* "a b" takes rank 2 instead of 0, behind b c. */
    struct parts twice = {.model = "{\"vocab\":{" VOCAB "},\"merges\":[\"a b\",\"b c\",\"a b\"]}"};
    check(twice, "abc", "0 14");
}

static void bytes_without_a_token(void **state)
{
    (void)state;
    struct parts drop = {0};
    struct parts unk = {.model = BPE("\"unk_token\":\"?\",")};
    struct parts fuse = {.model = BPE("\"unk_token\":\"?\",\"fuse_unk\":true,")};
    check(drop, "axyb", "4"); /* dropped before merging, as `tokenizers` does */
    check(unk, "axyb", "0 13 13 1");
    check(fuse, "axybz", "0 13 1 13");
    check(fuse, "xy", "13");
}

static void composed_first(void **state)
{
    (void)state;
    struct parts nfc = {0};
    struct parts none = {.normalizer = "null"};
    struct parts sequence = {.normalizer = "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"}]}"};
    check(nfc, "e\u0301", "11");
    check(sequence, "e\u0301", "11");
    check(none, "e\u0301", "12");
}

static void prefix_space_and_regex(void **state)
{
    (void)state;
    struct parts prefix = {.pre_tokenizer =
                               "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true}",
                           .added_tokens = "[{\"id\":15,\"content\":\"<x>\",\"normalized\":false}]"};
    struct parts whole = {.pre_tokenizer =
                              "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}"};
    check(prefix, "a", "6");
    check(prefix, " a", "6");
    check(prefix, "a<x>a", "6 15 6"); /* each piece gets its space */
    check(whole, "a1ab", "0 8 4");
    check(whole, "bc a", "14 6");
}

static void ignored_merges(void **state)
{
    (void)state;
    struct parts parts = {.model = "{\"ignore_merges\":true,\"vocab\":{" VOCAB
                                   ",\"\\u0120bcb\":15},\"merges\":[\"b c\"]}"};
    check(parts, "a bcb", "0 15");
    check(parts, "a bcbc", "0 3 14 14");
}

static void added_tokens(void **state)
{
    (void)state;
    struct parts parts = {.added_tokens =
                              "[{\"id\":99,\"content\":\"<x>\",\"normalized\":false,\"special\":true},"
                              "{\"id\":99,\"content\":\"\",\"normalized\":false},"
                              "{\"id\":99,\"content\":\"ab\",\"normalized\":true,\"single_word\":true},"
                              "{\"id\":99,\"content\":\"<l>\",\"lstrip\":true,\"normalized\":false},"
                              "{\"id\":99,\"content\":\"<r>\",\"rstrip\":true,\"normalized\":true},"
                              "{\"id\":99,\"content\":\"<xx>\",\"normalized\":false}]"};
    check(parts, "a<x>b", "0 15 1"); /* ids follow the vocabulary, whatever the file says */
    struct parts nested = {.added_tokens = "[{\"content\":\"<x\",\"normalized\":false},"
                                           "{\"content\":\"<x>a\",\"normalized\":false},"
                                           "{\"content\":\"x\",\"normalized\":false}]"};
    check(nested, "<x>aa", "16 0"); /* the longest that begins there */
    check(nested, "<x>ba", "15 1 0");
    check(nested, "x<x", "17 15");
    check(parts, "<xx><x", "18");    /* longest; '<' and 'x' have no bytes here */
    check(parts, "ab abc", "4 3 7"); /* its own id is that of the vocabulary */
    check(parts, "a  <l>  a", "0 16 3 6");
    check(parts, "a  <r>  a", "0 3 3 17 0");
    /* Of white space that a token takes, which is itself such a token, nothing is left. */
    struct parts greedy = {.added_tokens = "[{\"content\":\"\\t\",\"lstrip\":true,\"rstrip\":true},"
                                           "{\"content\":\" \",\"lstrip\":true}]"};
    check(greedy, "a\t\t\ta\t", "0 15 0 15");
    check(greedy, "a\t a a", "0 15 0 16 0");
}

static void invalid_utf8_becomes_replacement(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct tokenizer *tokenizer = NULL;
    struct parts parts = {.model = "{\"vocab\":{\"a\":0,\"\\u00ef\":1,\"\\u00bf\":2,\"\\u00bd\":3,\"x\":4,"
                                   "\"\\u00ef\\u00bf\":5,\"\\u00ef\\u00bf\\u00bd\":6},"
                                   "\"merges\":[\"\\u00ef \\u00bf\",\"\\u00ef\\u00bf \\u00bd\"]}"};
    assert_int_equal(load(parts, &tokenizer, &err), 0);
    assert_string_equal(encode(tokenizer, "a\xFFx", 3), "0 6 4");
    assert_string_equal(encode(tokenizer, "\xE2\x82", 2), "6");         /* one truncated character */
    assert_string_equal(encode(tokenizer, "\xED\xA0\x80", 3), "6 6 6"); /* a surrogate */
    assert_string_equal(encode(tokenizer, "\xF0\x9F\x98x", 4), "6 4");
    assert_string_equal(encode(tokenizer, "\xC0\xAF\0x", 4), "6 6 4"); /* overlong; NUL has no token */
    tokenizer_free(tokenizer);
}

static void questions(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct tokenizer *tokenizer = NULL;
    uint32_t id = 77;
    struct parts parts = {.added_tokens = "[{\"id\":15,\"content\":\"<x>\",\"normalized\":false}]"};
    assert_int_equal(load(parts, &tokenizer, &err), 0);
    assert_int_equal(tokenizer_id_limit(tokenizer), 16);
    assert_true(tokenizer_find(tokenizer, "<x>", 3, &id));
    assert_int_equal(id, 15);
    assert_true(tokenizer_find(tokenizer, "abc", 3, &id));
    assert_int_equal(id, 7);
    assert_false(tokenizer_find(tokenizer, "abcd", 4, &id));
    assert_int_equal(id, 7);
    tokenizer_free(tokenizer);
}

static void holes_between_ids(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct tokenizer *tokenizer = NULL;
    struct parts parts = {.model = "{\"vocab\":{\"a\":0,\"b\":9},\"merges\":[]}"};
    assert_int_equal(load(parts, &tokenizer, &err), 0);
    assert_int_equal(tokenizer_id_limit(tokenizer), 10);
    tokenizer_free(tokenizer);
}

/* A failed encode leaves the array as it was. */
static void bounds_of_a_text(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct tokenizer *tokenizer = NULL;
    struct tokenizer_encoder *encoder = NULL;
    struct token_ids ids;
    struct parts whole = {.pre_tokenizer =
                              "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}"};
    char *text = malloc(LIMIT_WORD_BYTES + 1);
    assert_non_null(text);
    memset(text, 'c', LIMIT_WORD_BYTES + 1);
    token_ids_init(&ids, 8);
    assert_int_equal(load(whole, &tokenizer, &err), 0);
    assert_int_equal(tokenizer_encoder_new(tokenizer, &encoder, &err), 0);
    assert_int_equal(tokenizer_encode(encoder, "cccc", 4, &ids, &err), 0);
    assert_int_equal(tokenizer_encode(encoder, "ccccc", 5, &ids, &err), ERR_LIMIT);
    assert_int_equal(ids.count, 4);
    assert_int_equal(tokenizer_encode(encoder, text, LIMIT_WORD_BYTES + 1, &ids, &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "16777217 bytes"));
    assert_int_equal(ids.count, 4);
    assert_int_equal(tokenizer_encode(encoder, text, LIMIT_TEXT_BYTES + 1, &ids, &err), ERR_LIMIT);
    assert_int_equal(ids.count, 4);
    token_ids_free(&ids);
    tokenizer_encoder_free(encoder);
    tokenizer_free(tokenizer);
    free(text);
}

/* An encoder of the plain tokenizer, and room for so many ids. */
struct plain {
    struct tokenizer *tokenizer;
    struct tokenizer_encoder *encoder;
    struct token_ids ids;
};

static void open_plain(struct plain *plain, size_t ids_max)
{
    struct err err = ERR_INIT;
    struct parts parts = {0};
    *plain = (struct plain){0};
    token_ids_init(&plain->ids, ids_max);
    assert_int_equal(load(parts, &plain->tokenizer, &err), 0);
    assert_int_equal(tokenizer_encoder_new(plain->tokenizer, &plain->encoder, &err), 0);
}

static int encode_plain(struct plain *plain, const char *text)
{
    struct err err = ERR_INIT;
    return tokenizer_encode(plain->encoder, text, strlen(text), &plain->ids, &err);
}

static void close_plain(struct plain *plain)
{
    token_ids_free(&plain->ids);
    tokenizer_encoder_free(plain->encoder);
    tokenizer_free(plain->tokenizer);
}

static void words_before_a_failure_are_taken_back(void **state)
{
    (void)state;
    struct plain plain;
    open_plain(&plain, 6);
    assert_int_equal(encode_plain(&plain, "c"), 0);
    assert_int_equal(encode_plain(&plain, "c1c1c1c"), ERR_LIMIT);
    assert_int_equal(plain.ids.count, 1);
    assert_int_equal(encode_plain(&plain, "c1c1c"), 0);
    assert_int_equal(plain.ids.count, 6);
    close_plain(&plain);
}

static void cutting_is_cancelled(void **state)
{
    (void)state;
    struct plain plain;
    atomic_bool cancel = true;
    open_plain(&plain, 8);
    tokenizer_encoder_set_cancel(plain.encoder, &cancel);
    assert_int_equal(encode_plain(&plain, "c1c"), ERR_CANCELLED);
    assert_int_equal(plain.ids.count, 0);
    atomic_store(&cancel, false);
    assert_int_equal(encode_plain(&plain, "c1c"), 0);
    assert_int_equal(plain.ids.count, 3);
    close_plain(&plain);
}

static void doubtful_texts_are_refused(void **state)
{
    static const struct {
        const char *text;
        unsigned doubts; /* that it has */
    } cases[] = {
        {"c", 0},
        {"\u00e9", 0},                               /* composed already */
        {"ab c", 0},                                 /* cut alike, as GPT-2 does */
        {"e\u0301e\u0301", TOKENIZER_DOUBT_AS_GPT2}, /* which leaves the marks where they are */
        {"c<|endoftext|>", TOKENIZER_DOUBT_END},
        {"<|endoftext", 0},
        {"<|padding|>", TOKENIZER_DOUBT_PADDING},
    };
    struct plain plain;
    struct err err = ERR_INIT;
    (void)state;
    open_plain(&plain, 100);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (unsigned j = 0; j < 8; j++) {
            const unsigned doubts = (j & 1 ? TOKENIZER_DOUBT_END : 0U) |
                                    (j & 2 ? TOKENIZER_DOUBT_PADDING : 0U) |
                                    (j & 4 ? TOKENIZER_DOUBT_AS_GPT2 : 0U);
            plain.ids.count = 0;
            assert_int_equal(tokenizer_encoder_set_doubts(plain.encoder, doubts, &err), 0);
            int is_refused = encode_plain(&plain, cases[i].text) == ERR_UNSUPPORTED;
            assert_int_equal(is_refused, (doubts & cases[i].doubts) != 0);
            assert_int_equal(plain.ids.count > 0, !is_refused);
        }
    }
    close_plain(&plain);
}

/* -- One tokenizer, several threads ---------------------------------------------------------------- */

struct thread {
    const struct tokenizer *tokenizer;
    struct token_ids ids;
    int code;
};

static void *encode_many(void *argument)
{
    struct thread *thread = argument;
    struct err err = ERR_INIT;
    struct tokenizer_encoder *encoder = NULL;
    char text[16];
    thread->code = tokenizer_encoder_new(thread->tokenizer, &encoder, &err);
    for (unsigned i = 0; i < 3000 && !thread->code; i++) {
        int size = snprintf(text, sizeof text, "%s %sb\u00e9", i % 3 ? "ab" : "aa", i % 5 ? "c" : "bc");
        thread->code = tokenizer_encode(encoder, text, (size_t)size, &thread->ids, &err);
    }
    tokenizer_encoder_free(encoder);
    return NULL;
}

static void threads_share_a_tokenizer(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct tokenizer *tokenizer = NULL;
    struct parts plain = {0};
    struct thread threads[4];
    pthread_t handles[4];
    assert_int_equal(load(plain, &tokenizer, &err), 0);
    for (int i = 0; i < 4; i++) {
        threads[i] = (struct thread){.tokenizer = tokenizer};
        token_ids_init(&threads[i].ids, MIB);
        assert_int_equal(pthread_create(&handles[i], NULL, encode_many, &threads[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(handles[i], NULL), 0);
        assert_int_equal(threads[i].code, 0);
        assert_int_equal(threads[i].ids.count, threads[0].ids.count);
        assert_memory_equal(threads[i].ids.data, threads[0].ids.data,
                            threads[0].ids.count * sizeof(uint32_t));
    }
    assert_true(threads[0].ids.count > 9000);
    for (int i = 0; i < 4; i++)
        token_ids_free(&threads[i].ids);
    tokenizer_free(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_go_by_rank),
        cmocka_unit_test(merges_have_two_spellings),
        cmocka_unit_test(a_later_merge_of_a_pair_wins),
        cmocka_unit_test(bytes_without_a_token),
        cmocka_unit_test(composed_first),
        cmocka_unit_test(prefix_space_and_regex),
        cmocka_unit_test(ignored_merges),
        cmocka_unit_test(added_tokens),
        cmocka_unit_test(invalid_utf8_becomes_replacement),
        cmocka_unit_test(questions),
        cmocka_unit_test(holes_between_ids),
        cmocka_unit_test(bounds_of_a_text),
        cmocka_unit_test(words_before_a_failure_are_taken_back),
        cmocka_unit_test(cutting_is_cancelled),
        cmocka_unit_test(doubtful_texts_are_refused),
        cmocka_unit_test(threads_share_a_tokenizer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
