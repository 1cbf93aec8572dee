/* Places inside of a word that no merge can cross. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/text/seams.h"
#include "tests/unit/text/vocabularies.h"

#define MARK "\u2581"

/* "a|b": where a word is parted. */
static const char *part(const struct seams *seams, const struct vocabulary *vocabulary, const char *word)
{
    static char shown[200];
    size_t length = 0, size = strlen(word);
    shown[0] = 0;
    for (size_t begin = 0, end; begin < size; begin = end) {
        end = seams_next(seams, vocabulary, word, size, begin);
        assert_true(end > begin && end <= size);
        length += (size_t)snprintf(shown + length, sizeof shown - length, begin ? "|%.*s" : "%.*s",
                                   (int)(end - begin), word + begin);
    }
    return shown;
}

static void no_merge_crosses(void **state)
{
    (void)state;
    static const char *const tokens[] = {"<unk>", "a", "e", MARK, NULL};
    struct vocabulary vocabulary;
    struct alphabet alphabet = {.unk_id = 0};
    struct seams seams = {0};
    fill(&vocabulary, tokens);
    seams_see(&seams, MARK "a", 4);
    seams_see(&seams, MARK MARK, 6);
    seams_see(&seams, "ae" MARK "a", 6);
    seams_finish(&seams, &alphabet, &vocabulary);
    assert_string_equal(part(&seams, &vocabulary, MARK "a" MARK "a"), MARK "a|" MARK "a");
    assert_string_equal(part(&seams, &vocabulary, "a" MARK MARK "e" MARK "a"), "a|" MARK MARK "e" MARK "a");
    assert_string_equal(part(&seams, &vocabulary, "x" MARK "y" MARK), "x|" MARK "y|" MARK);
    /* One joins the unknown token, which any character that has none becomes. */
    seams_see(&seams, "<unk>" MARK, 8);
    seams_finish(&seams, &alphabet, &vocabulary);
    assert_string_equal(part(&seams, &vocabulary, "x" MARK "a" MARK), "x" MARK "a|" MARK);
    vocabulary_free(&vocabulary);
}

static void no_seams(void **state)
{
    (void)state;
    static const char *const without[] = {"a", NULL}, *const with[] = {"a", "0", MARK, NULL};
    struct vocabulary vocabulary;
    struct alphabet alphabet = {.unk_id = ALPHABET_NO_ID};
    struct seams seams = {0};
    fill(&vocabulary, without);
    seams_finish(&seams, &alphabet, &vocabulary);
    assert_string_equal(part(&seams, &vocabulary, "a" MARK "a"), "a" MARK "a");
    vocabulary_free(&vocabulary);
    fill(&vocabulary, with);
    seams_finish(&seams, &alphabet, &vocabulary);
    assert_string_equal(part(&seams, &vocabulary, "a" MARK "a"), "a|" MARK "a");
    assert_string_equal(part(&seams, &vocabulary, "0" MARK "a"), "0|" MARK "a");
    for (int c = '?'; c <= '?' + SEAMS_JOINED_MAX; c++) { /* not '>', which joins the unknown */
        const char token[] = {(char)c, MARK[0], MARK[1], MARK[2]};
        seams_see(&seams, token, sizeof token);
    }
    seams_finish(&seams, &alphabet, &vocabulary);
    assert_string_equal(part(&seams, &vocabulary, "0" MARK "a"), "0" MARK "a");
    vocabulary_free(&vocabulary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_merge_crosses),
        cmocka_unit_test(no_seams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
