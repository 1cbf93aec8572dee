/* UTF-8, and the questions about characters. */
#include "daemon/text/unicode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int is_surrogate(uint32_t codepoint)
{
    return codepoint >= 0xD800 && codepoint <= 0xDFFF;
}

static void every_character_there_and_back(void **state)
{
    (void)state;
    for (uint32_t codepoint = 0; codepoint < 0x110000; codepoint++) {
        unsigned char text[UNICODE_UTF8_BYTES_MAX];
        uint32_t decoded;
        int ok;
        size_t size = unicode_encode(codepoint, text);
        assert_int_equal(size, 1 + (codepoint > 0x7F) + (codepoint > 0x7FF) + (codepoint > 0xFFFF));
        size_t used = unicode_decode(text, size, &decoded, &ok);
        assert_int_equal(ok, !is_surrogate(codepoint));
        assert_int_equal(decoded, ok ? codepoint : UNICODE_REPLACEMENT);
        assert_int_equal(used, ok ? size : 1);
        assert_int_equal(unicode_valid_prefix((const char *)text, size), ok ? size : 0);
        if (ok)
            assert_int_equal(unicode_previous((const char *)text, size), 0);
        for (size_t cut = 1; cut < size && ok; cut++) {
            assert_int_equal(unicode_decode(text, cut, &decoded, &ok), cut);
            assert_false(ok);
            ok = 1;
        }
    }
}

/* Expected: what Python's decode(errors="replace") gives. */
static void ill_formed_parts(void **state)
{
    (void)state;
#define R "\xEF\xBF\xBD"
    static const struct {
        const char *text, *repaired;
    } cases[] = {
        {"", ""},
        {"plain text of more than eight bytes", "plain text of more than eight bytes"},
        {"\x80", R},
        {"a\xC0\xAF"
         "b",
         "a" R R "b"},
        {"\xC1\xBF", R R},
        {"\xE0\x80\x80", R R R},
        {"\xE0\xA0", R},
        {"\xE2\x82"
         "x",
         R "x"},
        {"\xED\xA0\x80", R R R},
        {"\xF0\x80\x80\x80", R R R R},
        {"\xF0\x9F\x98", R},
        {"\xF0\x9F\x98\xF0\x9F\x98\x80", R "\xF0\x9F\x98\x80"},
        {"\xF4\x90\x80\x80", R R R R},
        {"\xF5\x80", R R},
        {"12345678\xFF"
         "12345678\xC3",
         "12345678" R "12345678" R},
        {"\xC3\xA9\xC3", "\xC3\xA9" R},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out;
        buf_init(&out, 100);
        unicode_repair(cases[i].text, strlen(cases[i].text), &out);
        assert_string_equal(buf_text(&out), cases[i].repaired);
        assert_int_equal(unicode_valid_prefix(buf_text(&out), out.size), out.size);
        buf_free(&out);
    }
}

static void spaces(void **state)
{
    (void)state;
    static const uint32_t space[] = {0x09,   0x0A,   0x0B,   0x0C,   0x0D,   0x20,   0x85,   0xA0,   0x1680,
                                     0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008,
                                     0x2009, 0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
    size_t next = 0, count = sizeof space / sizeof space[0];
    for (uint32_t codepoint = 0; codepoint < 0x110000; codepoint++) {
        int is_space = next < count && space[next] == codepoint;
        next += (size_t)is_space;
        assert_int_equal(unicode_is_space(codepoint), is_space);
        assert_int_equal(unicode_is_python_space(codepoint),
                         is_space || (codepoint >= 0x1C && codepoint <= 0x1F));
    }
}

static void words(void **state)
{
    (void)state;
    static const uint32_t yes[] = {'a',    'Z',    '0',    '_',    0xE9,   0x301,   0x661,
                                   0x2160, 0x24B6, 0x200D, 0x203F, 0x4E00, 0x13460, 0x2EE5D /* Unicode 16 */};
    static const uint32_t no[] = {' ',    '-',     '<',    0xB2,    0xBD,   0x2000,
                                  0x20AC, 0x1F600, 0x200B, 0x1345F, 0x2EE5E};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        assert_true(unicode_is_word(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        assert_false(unicode_is_word(no[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character_there_and_back),
        cmocka_unit_test(ill_formed_parts),
        cmocka_unit_test(spaces),
        cmocka_unit_test(words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
