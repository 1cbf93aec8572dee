/* Passages against golden/passages.json, which oracle.py makes with lm-evaluation-harness and `tokenizers`;
 * and their edges. */
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/text/passages.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define GOLDEN "tests/unit/text/golden/"

struct fixture {
    struct tokenizer *tokenizer;
    struct tokenizer_encoder *encoder;
    uint32_t prefix;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    struct err err = ERR_INIT;
    struct buf json;
    buf_init(&json, MIB);
    if (file_read(GOLDEN "tokenizer.json", &json, &err) ||
        tokenizer_load(json.data, json.size, &fixture.tokenizer, &err) ||
        tokenizer_encoder_new(fixture.tokenizer, &fixture.encoder, &err)) {
        print_error("%s\n", err.message);
        return 1;
    }
    buf_free(&json);
    *state = &fixture;
    return !tokenizer_find(fixture.tokenizer, "<|end|>", 7, &fixture.prefix);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    tokenizer_encoder_free(fixture->encoder);
    tokenizer_free(fixture->tokenizer);
    return 0;
}

static uint32_t number(const json_t *object, const char *name)
{
    return (uint32_t)json_integer_value(json_object_get(object, name));
}

static struct passages_options options_of(const json_t *golden)
{
    const json_t *given = json_object_get(golden, "options");
    struct passages_options options = {
        .context_tokens = number(given, "context_tokens"),
        .window_tokens = number(given, "window_tokens"),
        .stride_tokens = number(given, "stride_tokens"),
        .prefix_id = json_object_get(given, "prefix_id")
                         ? json_integer_value(json_object_get(given, "prefix_id"))
                         : PASSAGES_NO_PREFIX,
    };
    struct err err = ERR_INIT;
    assert_int_equal(
        passages_mode_parse(json_string_value(json_object_get(golden, "mode")), &options.mode, &err), 0);
    return options;
}

static void check_passage(const struct passages *passages, size_t i, const json_t *golden)
{
    const json_t *tokens = json_object_get(golden, "tokens");
    assert_int_equal(passages->text[i], number(golden, "text"));
    assert_int_equal(passages->length[i], json_array_size(tokens));
    assert_int_equal(passages->target_first[i], number(golden, "target_first"));
    assert_int_equal(passages->target_count[i], number(golden, "target_count"));
    assert_true(passages->begin[i] + passages->length[i] <= passages->token_count);
    for (size_t j = 0; j < passages->length[i]; j++)
        assert_int_equal(passages->tokens[passages->begin[i] + j],
                         json_integer_value(json_array_get(tokens, j)));
}

static void check_case(struct fixture *fixture, const json_t *texts, const json_t *golden)
{
    struct err err = ERR_INIT;
    struct passages passages = {0};
    struct passages_builder *builder = NULL;
    struct passages_options options = options_of(golden);
    const json_t *expected = json_object_get(golden, "passages"), *text;
    size_t i;
    uint64_t target_total = 0;
    print_message("%s\n", json_string_value(json_object_get(golden, "name")));
    assert_int_equal(passages_builder_new(&options, fixture->encoder, &builder, &err), 0);
    json_array_foreach(texts, i, text)
    {
        if (passages_builder_add(builder, json_string_value(text), json_string_length(text), &err))
            fail_msg("%s", err.message);
    }
    assert_int_equal(passages_builder_finish(builder, &passages, &err), 0);
    passages_builder_free(builder);
    assert_int_equal(passages.count, json_array_size(expected));
    assert_true(passages.count > 0);
    for (i = 0; i < passages.count; i++) {
        check_passage(&passages, i, json_array_get(expected, i));
        target_total += passages.target_count[i];
    }
    assert_int_equal(passages.target_total, target_total);
    assert_int_equal(passages.text_count, json_array_size(texts));
    assert_int_equal(passages.skipped_count, number(golden, "skipped"));
    assert_int_equal(passages.truncated_count, number(golden, "truncated"));
    passages_free(&passages);
}

static void equal_to_the_goldens(void **state)
{
    json_error_t reason;
    json_t *golden = json_load_file(GOLDEN "passages.json", 0, &reason);
    const json_t *cases = json_object_get(golden, "cases"), *one;
    size_t i;
    assert_true(json_array_size(cases) >= 10);
    json_array_foreach(cases, i, one) check_case(*state, json_object_get(golden, "texts"), one);
    json_decref(golden);
}

/* -- Edges
 * ----------------------------------------------------------------------------------------------------- */

static struct passages build(struct fixture *fixture, struct passages_options options,
                             const char *const *texts)
{
    struct err err = ERR_INIT;
    struct passages passages = {0};
    struct passages_builder *builder = NULL;
    if (passages_builder_new(&options, fixture->encoder, &builder, &err))
        fail_msg("%s", err.message);
    for (; *texts; texts++) {
        if (passages_builder_add(builder, *texts, strlen(*texts), &err))
            fail_msg("%s", err.message);
    }
    assert_int_equal(passages_builder_finish(builder, &passages, &err), 0);
    passages_builder_free(builder);
    return passages;
}

static void nothing_to_score(void **state)
{
    struct fixture *fixture = *state;
    const char *const none[] = {NULL};
    const char *const empty[] = {"", "<|end|>", "", NULL};
    for (int mode = PASSAGES_MODE_LAST_WORD; mode <= PASSAGES_MODE_TEXT_MEAN; mode++) {
        struct passages_options options = {.mode = (enum passages_mode)mode,
                                           .context_tokens = 8,
                                           .prefix_id = PASSAGES_NO_PREFIX,
                                           .separator = ""};
        struct passages passages = build(fixture, options, none);
        assert_int_equal(passages.count, 0);
        assert_int_equal(passages.text_count, 0);
        assert_int_equal(passages.skipped_count, 0);
        passages_free(&passages);
        if (mode == PASSAGES_MODE_LAST_WORD) /* an error there: no context and no prefix */
            continue;
        passages = build(fixture, options, empty);
        assert_int_equal(passages.count, 0);
        assert_int_equal(passages.text_count, 3);
        assert_int_equal(passages.skipped_count, 3);
        passages_free(&passages);
    }
}

/* Before the context, but where a text has it already, or has no context. */
static void texts_start_with_the_prefix(void **state)
{
    struct fixture *fixture = *state;
    static const char *const texts[] = {"a b c", "<|end|>a b c", "c", NULL};
    static const struct {
        uint32_t length, begins;
    } added[] = {{1, 1}, {0, 1}, {0, 1}};
    struct passages_options options = {
        .mode = PASSAGES_MODE_LAST_WORD, .context_tokens = 64, .prefix_id = fixture->prefix};
    struct passages without = build(fixture, options, texts);
    options.starts_with_prefix = 1;
    struct passages with = build(fixture, options, texts);
    assert_true(without.count == 3 && with.count == 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(with.length[i], without.length[i] + added[i].length);
        assert_int_equal(with.target_first[i], without.target_first[i] + added[i].length);
        assert_int_equal(with.target_count[i], without.target_count[i]);
        assert_int_equal(with.tokens[with.begin[i]] == fixture->prefix, added[i].begins);
        assert_memory_equal(with.tokens + with.begin[i] + added[i].length, without.tokens + without.begin[i],
                            without.length[i] * sizeof *with.tokens);
    }
    /* Which the context may cut away again. */
    options.context_tokens = with.length[0] - 2;
    struct passages cut = build(fixture, options, (const char *const[]){"a b c", NULL});
    assert_int_not_equal(cut.tokens[cut.begin[0]], fixture->prefix);
    passages_free(&cut);
    passages_free(&with);
    passages_free(&without);
}

static void no_answer_names_the_text(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    struct passages_builder *builder = NULL;
    struct passages passages = {0};
    struct passages_options options = {
        .mode = PASSAGES_MODE_LAST_WORD, .context_tokens = 3, .prefix_id = PASSAGES_NO_PREFIX};
    assert_int_equal(passages_builder_new(&options, fixture->encoder, &builder, &err), 0);
    assert_int_equal(passages_builder_add(builder, "a b", 3, &err), 0);
    assert_int_equal(passages_builder_add(builder, "word", 4, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "text 2: "));
    passages_builder_free(builder);

    options.prefix_id = fixture->prefix;
    assert_int_equal(passages_builder_new(&options, fixture->encoder, &builder, &err), 0);
    assert_int_equal(passages_builder_add(builder, "a qqqqq", 7, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "text 1: the last word has"));
    assert_int_equal(passages_builder_finish(builder, &passages, &err), 0);
    assert_int_equal(passages.count, 0);
    passages_free(&passages);
    passages_builder_free(builder);
}

static void invalid_utf8_is_repaired(void **state)
{
    const char *const invalid[] = {"a\xFF \xE2\x80 b\xC0", NULL};
    const char *const repaired[] = {"a\xEF\xBF\xBD \xEF\xBF\xBD b\xEF\xBF\xBD", NULL};
    for (int mode = PASSAGES_MODE_LAST_WORD; mode <= PASSAGES_MODE_TEXT_MEAN; mode++) {
        struct passages_options options = {
            .mode = (enum passages_mode)mode, .context_tokens = 64, .prefix_id = PASSAGES_NO_PREFIX};
        struct passages a = build(*state, options, invalid), b = build(*state, options, repaired);
        assert_int_equal(a.count, 1);
        assert_int_equal(a.token_count, b.token_count);
        assert_int_equal(a.target_first[0], b.target_first[0]);
        assert_memory_equal(a.tokens, b.tokens, a.token_count * sizeof *a.tokens);
        passages_free(&a);
        passages_free(&b);
    }
}

/* Every token but the first is scored once, with enough before it, whatever the window and stride. */
static void windows_cover_each_token_once(void **state)
{
    const char *const texts[] = {"She walked along the forking paths, and at every fork",
                                 "she stopped to think.", NULL};
    for (uint32_t window = 2; window < 20; window++) {
        for (uint32_t stride = 1; stride < window; stride++) {
            struct passages_options options = {.mode = PASSAGES_MODE_TOKENS,
                                               .context_tokens = window - 1,
                                               .window_tokens = window,
                                               .stride_tokens = stride,
                                               .prefix_id = PASSAGES_NO_PREFIX};
            struct passages passages = build(*state, options, texts);
            uint64_t next = 1;
            for (size_t i = 0; i < passages.count; i++) {
                assert_int_equal(passages.begin[i], i * stride);
                assert_true(passages.length[i] <= window);
                assert_int_equal(passages.begin[i] + passages.target_first[i], next);
                assert_int_equal(passages.target_first[i] + passages.target_count[i], passages.length[i]);
                if (i > 0)
                    assert_int_equal(passages.target_first[i], window - stride);
                next += passages.target_count[i];
            }
            assert_int_equal(next, passages.token_count);
            assert_int_equal(passages.target_total, passages.token_count - 1);
            passages_free(&passages);
        }
    }
}

/* Where the request gives none, the window is the context and the stride half of it: what a result's
 * parameters say, too. */
static void standard_windows(void **state)
{
    const char *const texts[] = {"She walked along the forking paths, and at every fork she stopped.", NULL};
    for (uint32_t context = 2; context < 12; context++) {
        struct passages_options options = {
            .mode = PASSAGES_MODE_TOKENS, .context_tokens = context, .prefix_id = PASSAGES_NO_PREFIX};
        struct passages passages = build(*state, options, texts);
        assert_true(passages.count > 1);
        assert_int_equal(passages.length[0], context);
        assert_int_equal(passages.begin[1], context / 2);
        passages_free(&passages);
    }
}

/* A text of text_mean keeps as many tokens as the context has, and the rest is cut off. */
static void whole_texts_are_cut_to_the_context(void **state)
{
    const char *const texts[] = {"She walked along the forking paths, and at every fork she stopped.", NULL};
    struct passages_options options = {
        .mode = PASSAGES_MODE_TEXT_MEAN, .context_tokens = 64, .prefix_id = PASSAGES_NO_PREFIX};
    struct passages whole = build(*state, options, texts);
    const uint32_t count = whole.length[0];
    assert_in_range(count, 8, 63);
    for (options.context_tokens = count - 2; options.context_tokens <= count + 1; options.context_tokens++) {
        struct passages passages = build(*state, options, texts);
        const uint32_t kept = options.context_tokens < count ? options.context_tokens : count;
        assert_int_equal(passages.length[0], kept);
        assert_int_equal(passages.target_count[0], kept - 1);
        assert_int_equal(passages.truncated_count, kept < count);
        assert_memory_equal(passages.tokens, whole.tokens, kept * sizeof *whole.tokens);
        passages_free(&passages);
    }
    passages_free(&whole);
}

static void options_out_of_range(void **state)
{
    struct fixture *fixture = *state;
    static const struct passages_options wrong[] = {
        {.mode = PASSAGES_MODE_LAST_WORD, .context_tokens = 0, .prefix_id = -1},
        {.mode = PASSAGES_MODE_LAST_WORD, .context_tokens = UINT32_MAX, .prefix_id = -1},
        {.mode = PASSAGES_MODE_LAST_WORD, .context_tokens = 8, .prefix_id = -2},
        {.mode = PASSAGES_MODE_LAST_WORD, .context_tokens = 8, .prefix_id = LIMIT_VOCABULARY},
        {.mode = PASSAGES_MODE_TEXT_MEAN, .context_tokens = 1, .prefix_id = -1},
        {.mode = PASSAGES_MODE_TOKENS, .context_tokens = 8, .window_tokens = 10, .prefix_id = -1},
        {.mode = PASSAGES_MODE_TOKENS, .context_tokens = 8, .window_tokens = 1, .prefix_id = -1},
        {.mode = PASSAGES_MODE_TOKENS, .context_tokens = 8, .stride_tokens = 8, .prefix_id = -1},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct err err = ERR_INIT;
        struct passages_builder *builder = NULL;
        assert_int_equal(passages_builder_new(&wrong[i], fixture->encoder, &builder, &err), ERR_INVALID);
        assert_null(builder);
    }
    passages_builder_free(NULL);
    passages_free(NULL);
}

static void names(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    for (int i = PASSAGES_MODE_LAST_WORD; i <= PASSAGES_MODE_TEXT_MEAN; i++) {
        enum passages_mode mode;
        assert_int_equal(passages_mode_parse(passages_mode_name((enum passages_mode)i), &mode, &err), 0);
        assert_int_equal(mode, i);
    }
    enum passages_mode mode;
    assert_int_equal(passages_mode_parse("words", &mode, &err), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_to_the_goldens),
        cmocka_unit_test(nothing_to_score),
        cmocka_unit_test(texts_start_with_the_prefix),
        cmocka_unit_test(no_answer_names_the_text),
        cmocka_unit_test(invalid_utf8_is_repaired),
        cmocka_unit_test(windows_cover_each_token_once),
        cmocka_unit_test(standard_windows),
        cmocka_unit_test(whole_texts_are_cut_to_the_context),
        cmocka_unit_test(options_out_of_range),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
