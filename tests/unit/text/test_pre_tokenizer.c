/* What is put before a piece, and cuts inside of cuts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/base/limits.h"
#include "daemon/text/pre_tokenizer.h"

#define MARK "\u2581"

/* "[a][ b]" */
static const char *cut(const struct pre_tokenizer *pre_tokenizer, const char *text, int is_first)
{
    static char shown[400];
    struct err err = ERR_INIT;
    struct pre_tokenizer_walk walk;
    struct buf rewritten;
    size_t size = strlen(text), length = 0, begin, end;
    buf_init(&rewritten, KIB);
    shown[0] = 0;
    assert_int_equal(pre_tokenizer_rewrite(pre_tokenizer, is_first, &rewritten, &text, &size, &err), 0);
    assert_int_equal(pre_tokenizer_walk_init(&walk, pre_tokenizer, &err), 0);
    pre_tokenizer_begin(&walk, text, size);
    for (;;) {
        assert_int_equal(pre_tokenizer_next(&walk, &begin, &end, &err), 0);
        if (begin == end)
            break;
        length += (size_t)snprintf(shown + length, sizeof shown - length, "[%.*s]", (int)(end - begin),
                                   text + begin);
    }
    pre_tokenizer_walk_free(&walk);
    buf_free(&rewritten);
    return shown;
}

static void one_word(void **state)
{
    (void)state;
    const struct pre_tokenizer plain = {0};
    assert_string_equal(cut(&plain, "a b", 1), "[a b]");
}

static void prefixes(void **state)
{
    (void)state;
    struct pre_tokenizer space = {.prefix = PRE_TOKENIZER_PREFIX_ALWAYS};
    struct pre_tokenizer mark = {.prefix = PRE_TOKENIZER_PREFIX_FIRST, .mark = MARK, .mark_size = 3};
    assert_string_equal(cut(&space, "a b", 0), "[ a b]");
    assert_string_equal(cut(&space, " a", 1), "[ a]");
    assert_string_equal(cut(&space, MARK "a", 1), "[ " MARK "a]");
    assert_string_equal(cut(&mark, "a b", 1), "[" MARK "a" MARK "b]");
    assert_string_equal(cut(&mark, "a b", 0), "[a" MARK "b]");
    assert_string_equal(cut(&mark, "  a", 1), "[" MARK MARK "a]");
    assert_string_equal(cut(&mark, MARK "a", 1), "[" MARK "a]");
    mark.prefix = PRE_TOKENIZER_PREFIX_NEVER;
    assert_string_equal(cut(&mark, "a ", 1), "[a" MARK "]");
}

static void cuts_inside_of_cuts(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct pre_tokenizer digits = {0}, marks = {.mark = MARK, .mark_size = 3};
    assert_int_equal(splitter_new_digits(1, &digits.splitters[digits.count++], &err), 0);
    assert_int_equal(splitter_new(splitter_gpt2, &digits.splitters[digits.count++], &err), 0);
    assert_string_equal(cut(&digits, "ab 12  c", 1), "[ab][ ][1][2][ ][ c]");
    assert_string_equal(cut(&digits, "  1", 1), "[  ][1]"); /* the lookahead sees the end of its piece */
    assert_string_equal(cut(&digits, "\U00011de3\u00bd", 1), "[\U00011de3][\u00bd]");
    assert_int_equal(splitter_new_before(0x2581, &marks.splitters[marks.count++], &err), 0);
    assert_string_equal(cut(&marks, "a  bc d", 1), "[a][" MARK "][" MARK "bc][" MARK "d]");
    pre_tokenizer_free(&digits);
    pre_tokenizer_free(&marks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_word),
        cmocka_unit_test(prefixes),
        cmocka_unit_test(cuts_inside_of_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
