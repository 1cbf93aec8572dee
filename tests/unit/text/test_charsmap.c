/* SentencePiece's double array, made by hand and broken. (Real ones: tests/e2e/test_tokenizer_models.py) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/text/charsmap.h"

#define LEAF (1U << 8)
#define TO(offset) ((uint32_t)(offset) << 10)

struct file {
    uint32_t trie_size;
    uint32_t units[8];
    char texts[8];
};

/* 'a' at 1 becomes "x", "ab" becomes "yz". The root leads to 'a' ^ 0x60 = 1, that to 2 ^ byte. */
static struct file sample(void)
{
    struct file file = {.trie_size = sizeof file.units, .texts = {'x', 0, 'y', 'z', 0, 0, 0, 0}};
    file.units[0] = TO('a' ^ 1);
    file.units[1] = TO(1 ^ 4) | LEAF | 'a'; /* its leaf is unit 4, its children 4 ^ byte */
    file.units[4] = 1U << 31;               /* text 0 */
    return file;
}

static size_t find(const struct file *file, const char *text, const char **ret_text)
{
    struct err err = ERR_INIT;
    struct charsmap map;
    size_t size = 0;
    *ret_text = NULL;
    assert_int_equal(charsmap_read(file, sizeof *file, &map, &err), 0);
    size_t found = charsmap_find(&map, text, strlen(text), ret_text, &size);
    if (found && found != CHARSMAP_TOO_LONG)
        assert_int_equal(size, strlen(*ret_text));
    return found;
}

static void finds(void **state)
{
    (void)state;
    struct file file = sample();
    const char *text;
    assert_int_equal(find(&file, "ab", &text), 1);
    assert_string_equal(text, "x");
    assert_int_equal(find(&file, "b", &text), 0);
    assert_int_equal(find(&file, "", &text), 0);
    /* The middle of a character is no end of a match: "a" before a byte that continues one. */
    assert_int_equal(find(&file, "a\x80", &text), 0);
    struct charsmap none = {.units = NULL};
    size_t size;
    assert_int_equal(charsmap_find(&none, "a", 1, &text, &size), 0);
}

static void leads_nowhere(void **state)
{
    (void)state;
    const char *text;
    struct file file = sample();
    file.units[4] = 1U << 31 | 8; /* behind the texts */
    assert_int_equal(find(&file, "a", &text), 0);
    file.units[4] = 0xFFFFFFFF;
    assert_int_equal(find(&file, "a", &text), 0);
    file = sample();
    memcpy(file.texts, "\xC3\xA9", 3);
    file.units[4] = 1U << 31 | 1; /* within a character */
    assert_int_equal(find(&file, "a", &text), 0);
    file = sample();
    file.units[0] = 0xFFFFFE00 | 'a'; /* far beyond the end */
    assert_int_equal(find(&file, "a", &text), 0);
    file = sample();
    file.units[1] = 0xFFFFFC00 | 1U << 9 | LEAF | 'a';
    assert_int_equal(find(&file, "ab", &text), 0);
}

/* 'a' leads to itself, for ever. */
static void leads_in_a_circle(void **state)
{
    (void)state;
    static char text[CHARSMAP_PIECE_BYTES_MAX + 2];
    const char *found;
    struct file file = sample();
    memset(text, 'a', CHARSMAP_PIECE_BYTES_MAX);
    file.units[1] = TO('a') | 'a';
    assert_int_equal(find(&file, text, &found), 0);
    text[CHARSMAP_PIECE_BYTES_MAX] = 'b';
    assert_int_equal(find(&file, text, &found), 0);
    text[CHARSMAP_PIECE_BYTES_MAX] = 'a';
    assert_true(find(&file, text, &found) == CHARSMAP_TOO_LONG);
}

static void refused(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct charsmap map;
    struct file file = sample();
    assert_int_equal(charsmap_read(&file, 0, &map, &err), 0);
    assert_null(map.units);
    assert_int_equal(charsmap_read(&file, 4, &map, &err), ERR_FORMAT);
    memset(file.units, 0, sizeof file.units);
    for (uint32_t size = 0; size < 80; size++) {
        file.trie_size = size;
        const int fits = size > 0 && size % 4 == 0 && size < sizeof file - 4;
        assert_int_equal(charsmap_read(&file, sizeof file, &map, &err), fits ? 0 : ERR_FORMAT);
    }
    file.trie_size = UINT32_MAX - 3;
    assert_int_equal(charsmap_read(&file, sizeof file, &map, &err), ERR_FORMAT);
    file = sample();
    file.texts[7] = 'x';
    assert_int_equal(charsmap_read(&file, sizeof file, &map, &err), ERR_FORMAT);
    assert_non_null(strstr(err.message, "does not end"));
    memcpy(file.texts, "\xFF\0\0\0\0\0\0", 8);
    assert_int_equal(charsmap_read(&file, sizeof file, &map, &err), ERR_FORMAT);
    assert_non_null(strstr(err.message, "not UTF-8"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds),
        cmocka_unit_test(leads_nowhere),
        cmocka_unit_test(leads_in_a_circle),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
