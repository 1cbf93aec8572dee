#include "tests/unit/base/fixture.h"

#include "daemon/base/utf8.h"

/* The same question by another way: decoded by its bits, and compared with the smallest number of its length.
 */
static size_t expected_length(const unsigned char *b, size_t left)
{
    static const struct {
        unsigned char mask, lead;
        uint32_t lowest;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t length = 1; length <= 4; length++) {
        if ((b[0] & forms[length - 1].mask) != forms[length - 1].lead)
            continue;
        uint32_t point = b[0] & (unsigned)(unsigned char)~forms[length - 1].mask;
        if (length > left)
            return 0;
        for (size_t i = 1; i < length; i++) {
            if ((b[i] & 0xc0) != 0x80)
                return 0;
            point = point << 6 | (b[i] & 0x3fU);
        }
        int is_good =
            point >= forms[length - 1].lowest && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
        return is_good ? length : 0;
    }
    return 0;
}

/* Every pair of first bytes, behind them what matters of the others, of every length. */
static void test_all_beginnings(void **state)
{
    static const unsigned char others[] = {0x00, 0x41, 0x7f, 0x80, 0xbf, 0xc0, 0xff};
    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            for (size_t k = 0; k < sizeof others * sizeof others; k++) {
                unsigned char b[4] = {(unsigned char)first, (unsigned char)second, others[k % sizeof others],
                                      others[k / sizeof others]};
                for (size_t left = 1; left <= 4; left++)
                    if (utf8_length((const char *)b, left) != expected_length(b, left))
                        fail_msg("%02x %02x %02x %02x of %zu", b[0], b[1], b[2], b[3], left);
            }
        }
    }
    assert_int_equal(utf8_length("", 0), 0);
}

static void test_texts(void **state)
{
    (void)state;
    assert_true(utf8_is_valid("", 0));
    assert_true(utf8_is_valid("a\0b\xc3\xa9\xf4\x8f\xbf\xbf", 9));
    assert_false(utf8_is_valid("a\xc3\xa9", 2));
    assert_false(utf8_is_valid("\xc3\xa9\xe9", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_beginnings),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
