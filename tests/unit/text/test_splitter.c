/* Words as the regular expressions cut them, with the characters on which Oniguruma and PCRE2 differ. */
#include "daemon/text/splitter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* "[a][ b]" */
static const char *cut(const struct splitter *splitter, const char *text)
{
    static char shown[400];
    struct err err = ERR_INIT;
    struct splitter_match *match = NULL;
    size_t size = strlen(text), length = 0, end;
    shown[0] = 0;
    assert_int_equal(splitter_match_new(splitter, &match, &err), 0);
    for (size_t begin = 0; begin < size; begin = end) {
        assert_int_equal(splitter_next(splitter, match, text, size, begin, &end, &err), 0);
        assert_true(end > begin && end <= size);
        length += (size_t)snprintf(shown + length, sizeof shown - length, "[%.*s]", (int)(end - begin),
                                   text + begin);
    }
    splitter_match_free(match);
    return shown;
}

static void gpt2(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct splitter *splitter = NULL;
    assert_int_equal(splitter_new(splitter_gpt2, &splitter, &err), 0);
    assert_string_equal(cut(splitter, "Hello, I am"), "[Hello][,][ I][ am]");
    assert_string_equal(cut(splitter, "I'm you'LL we've"), "[I]['m][ you]['][LL][ we]['ve]");
    assert_string_equal(cut(splitter, "a   b  "), "[a][  ][ b][  ]");
    assert_string_equal(cut(splitter, "a\n\n b"), "[a][\n\n][ b]");
    assert_string_equal(cut(splitter, "12\u00bd\u2160x"), "[12\u00bd\u2160][x]");
    assert_string_equal(cut(splitter, "a\u0301"), "[a][\u0301]");
    assert_string_equal(cut(splitter, "!\xC2\x85!"), "[!][\xC2\x85][!]");     /* white space */
    assert_string_equal(cut(splitter, "!\u180e!"), "[!\u180e!]");             /* not so */
    assert_string_equal(cut(splitter, "! \ufeff!"), "[!][ \ufeff!]");         /* nor this */
    assert_string_equal(cut(splitter, "a\u1c89b"), "[a\u1c89b]");             /* a letter since Unicode 16 */
    assert_string_equal(cut(splitter, "a\U00031350b"), "[a\U00031350b]");     /* 15 */
    assert_string_equal(cut(splitter, "1\U00010d40 2"), "[1\U00010d40][ 2]"); /* a digit since Unicode 16 */
    assert_string_equal(cut(splitter, "a\u0378b"), "[a][\u0378][b]");         /* not assigned */
    splitter_free(splitter);
}

static void cl100k(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct splitter *splitter = NULL;
    assert_int_equal(splitter_new("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
                                  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
                                  &splitter, &err),
                     0);
    assert_string_equal(cut(splitter, "I'M you'LL"), "[I]['M][ you]['LL]");
    assert_string_equal(cut(splitter, "12345 (x)\n\n y"), "[123][45][ (][x][)\n\n][ y]");
    assert_string_equal(cut(splitter, "a \n \n b"), "[a][ \n \n][ b]");
    splitter_free(splitter);
}

/* As `tokenizers` 0.23 cuts them. */
static void tekken(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct splitter *splitter = NULL;
    assert_int_equal(
        splitter_new("[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}"
                     "\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"
                     "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+"
                     "|\\s+(?!\\S)|\\s+",
                     &splitter, &err),
        0);
    assert_string_equal(cut(splitter, "HTTPServer isn't"), "[HTTPServer][ isn]['t]");
    assert_string_equal(cut(splitter, "camelCase ABC 12"), "[camel][Case][ ABC][ ][1][2]");
    assert_string_equal(cut(splitter, "https://x\n\n a"), "[https][://][x][\n\n][ a]");
    assert_string_equal(cut(splitter, "a\u0301b \u65e5\u672c"), "[a\u0301b][ \u65e5\u672c]");
    assert_string_equal(cut(splitter, "a\U00010d50b\u1c89"), "[a][\U00010d50b][\u1c89]"); /* upper since 16 */
    assert_string_equal(cut(splitter, "!\u0897."), "[!\u0897][.]"); /* a mark since 16 */
    splitter_free(splitter);
}

/* As `tokenizers` 0.23 cuts them. */
static void bloom(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct splitter *splitter = NULL;
    assert_int_equal(splitter_new(splitter_bloom, &splitter, &err), 0);
    assert_string_equal(cut(splitter, "Hello, I'm (here)"), "[Hello][,][ I'm][ (][here][)]");
    assert_string_equal(cut(splitter, "a   b  "), "[a][  ][ b][  ]");
    assert_string_equal(cut(splitter, "a\n\n b"), "[a][\n\n][ b]");
    assert_string_equal(cut(splitter, "1|2 [x] ]y"), "[1][|][2][ [x]][ ]y]");
    assert_string_equal(cut(splitter, "\u3002\uff0cz\u0964 \u06d4\u060c"),
                        "[\u3002\uff0c][z][\u0964 \u06d4\u060c]");
    assert_string_equal(cut(splitter, "x?! y.b . c\u2026"), "[x][?!][ y][.][b][ .][ c][\u2026]");
    assert_string_equal(cut(splitter, "!\u180e!"), "[!][\u180e][!]");
    assert_string_equal(cut(splitter, " ..."), "[ ...]");
    splitter_free(splitter);
}

static void unknown_expressions(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\\s+", "(", "'s|'t|'re|'ve|'m|'ll|'d"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct err err = ERR_INIT;
        struct splitter *splitter = NULL;
        assert_int_equal(splitter_new(texts[i], &splitter, &err), ERR_UNSUPPORTED);
        assert_null(splitter);
    }
    splitter_free(NULL);
    splitter_match_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpt2),
        cmocka_unit_test(bloom),
        cmocka_unit_test(cl100k),
        cmocka_unit_test(tekken),
        cmocka_unit_test(unknown_expressions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
