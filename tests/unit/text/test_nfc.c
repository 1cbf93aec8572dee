/* NFC as `tokenizers` makes it: utf8proc's, but for the marks that came after Unicode 9. */
#include "daemon/base/limits.h"
#include "daemon/text/nfc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <utf8proc.h>

static void check(const char *text, const char *expected)
{
    struct err err = ERR_INIT;
    struct nfc_scratch scratch = {0};
    struct buf out;
    buf_init(&out, MIB);
    assert_int_equal(nfc_compose(&scratch, text, strlen(text), &out, &err), 0);
    assert_string_equal(buf_text(&out), expected);
    if (nfc_is_plain(text, strlen(text)))
        assert_string_equal(text, expected);
    buf_free(&out);
    nfc_scratch_free(&scratch);
}

static void by_hand(void **state)
{
    (void)state;
    check("", "");
    check("plain", "plain");
    check("caf\u00e9 \u02ff", "caf\u00e9 \u02ff");
    check("cafe\u0301", "caf\u00e9");
    check("xe\u0301\u0301y", "x\u00e9\u0301y");
    check("\u00e9\u0323", "\u1eb9\u0301"); /* taken apart, ordered, put together */
    check("e\u0301\u0323", "\u1eb9\u0301");
    check("\u0301a", "\u0301a"); /* a mark without a base */
    check("\u0301\u0323", "\u0323\u0301");
    check("\u212b \u2126", "\u00c5 \u03a9"); /* singletons */
    check("\u0958", "\u0915\u093c");         /* excluded from composition */
    check("\u0344", "\u0308\u0301");
    check("\u1100\u1161\u11a8", "\uac01"); /* Hangul */
    check("\uac00\u11a8\u11a8", "\uac01\u11a8");
    check("\u09c7\u09be", "\u09cb"); /* the second is no mark of a nonzero class */
    check("\u4e00\u201c\u2019", "\u4e00\u201c\u2019");
    check("\U0001d157\U0001d165", "\U0001d157\U0001d165");
}

/* U+1DF6 (class 232) would be ordered behind U+0301 (230) by newer tables; to `tokenizers` it is a letter. */
static void marks_after_unicode_9_are_inert(void **state)
{
    (void)state;
    check("a\u1df6\u0301", "a\u1df6\u0301");
    check("a\u1df6\u0301\u0323", "a\u1df6\u0323\u0301");
    check("e\u08d3\u0301", "e\u08d3\u0301");
    check("e\u0301\u0898\u0323", "\u00e9\u0898\u0323");
}

static size_t encode(uint32_t codepoint, char *out)
{
    return (size_t)utf8proc_encode_char((utf8proc_int32_t)codepoint, (utf8proc_uint8_t *)out);
}

/* Random runs of bases and marks of old blocks, against utf8proc as a whole. */
static void as_utf8proc(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct nfc_scratch scratch = {0};
    struct buf out;
    uint64_t random = 1;
    buf_init(&out, MIB);
    for (int round = 0; round < 20000; round++) {
        char text[400];
        size_t size = 0;
        while (size < 390 && (random = random * 6364136223846793005U + 1442695040888963407U) >> 60) {
            static const uint32_t first[] = {0x20,  0x41,  0xC0,   0x300,  0x320, 0x591,
                                             0x915, 0x9BE, 0x1100, 0x1161, 0xAC00};
            uint32_t low = first[(random >> 20) % (sizeof first / sizeof first[0])];
            size += encode(low + (uint32_t)(random >> 40) % 16, text + size);
        }
        text[size] = 0;
        buf_clear(&out);
        assert_int_equal(nfc_compose(&scratch, text, size, &out, &err), 0);
        char *expected = (char *)utf8proc_NFC((const utf8proc_uint8_t *)text);
        assert_string_equal(buf_text(&out), expected);
        free(expected);
    }
    buf_free(&out);
    nfc_scratch_free(&scratch);
}

/* Half a million marks: ordering must be stable, and not quadratic. */
static void long_runs(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct nfc_scratch scratch = {0};
    struct buf text, out;
    enum { PAIRS = 250000 };
    buf_init(&text, 4 * MIB);
    buf_init(&out, 4 * MIB);
    (void)buf_append_text(&text, "z");
    for (int i = 0; i < PAIRS; i++)
        (void)buf_append_text(&text, i % 2 ? "\u0301\u0323" : "\u0300\u0324");
    assert_false(text.failed);
    assert_int_equal(nfc_compose(&scratch, text.data, text.size, &out, &err), 0);
    /* z and the first mark below make one character; then the marks below, then those above, in their order
     */
    assert_int_equal(memcmp(out.data, "z\u0324\u0323\u0324", 7), 0);
    assert_int_equal(out.size, text.size);
    assert_int_equal(memcmp(out.data + out.size - 8, "\u0300\u0301\u0300\u0301", 8), 0);
    buf_free(&text);
    buf_free(&out);
    nfc_scratch_free(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(marks_after_unicode_9_are_inert),
        cmocka_unit_test(as_utf8proc),
        cmocka_unit_test(long_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
