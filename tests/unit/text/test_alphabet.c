/* Symbols of a word, of vocabularies that lack some. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/base/limits.h"
#include "daemon/text/alphabet.h"
#include "tests/unit/text/vocabularies.h"

#define MARK "\u2581"

static const char *spell(const struct alphabet *alphabet, const struct vocabulary *vocabulary,
                         const char *word)
{
    static char shown[200];
    uint32_t ids[64];
    size_t length = 0, count = alphabet_spell(alphabet, vocabulary, word, strlen(word), ids);
    assert_true(count <= strlen(word));
    shown[0] = 0;
    for (size_t i = 0; i < count; i++)
        length += (size_t)snprintf(shown + length, sizeof shown - length, i ? " %u" : "%u", ids[i]);
    return shown;
}

static void characters_and_bytes(void **state)
{
    (void)state;
    static const char *const tokens[] = {"<unk>", "a", MARK, "\u00e9", "<0xE2>", "<0x82>", "<0xAC>", NULL};
    struct vocabulary vocabulary;
    struct alphabet alphabet = {.byte_fallback = 1, .unk_id = 0, .fuse_unk = 1};
    fill(&vocabulary, tokens);
    alphabet_find_bytes(&alphabet, &vocabulary);
    assert_false(alphabet_has_all_bytes(&alphabet));
    assert_string_equal(spell(&alphabet, &vocabulary, "a" MARK "\u00e9"), "1 2 3");
    assert_string_equal(spell(&alphabet, &vocabulary, "a\u20ac"), "1 4 5 6");
    assert_string_equal(spell(&alphabet, &vocabulary, "\u20ad\u20ada"), "0 1"); /* lacks a byte of it */
    assert_string_equal(spell(&alphabet, &vocabulary, "\u20ad\u20ac\u20ada"), "4 5 6 0 1");
    alphabet.fuse_unk = 0;
    assert_string_equal(spell(&alphabet, &vocabulary, "xya"), "0 0 1");
    alphabet.unk_id = ALPHABET_NO_ID;
    assert_string_equal(spell(&alphabet, &vocabulary, "xya"), "1");
    alphabet.byte_fallback = 0;
    assert_string_equal(spell(&alphabet, &vocabulary, "\u20aca"), "1");
    vocabulary_free(&vocabulary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_and_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
