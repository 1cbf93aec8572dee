#include "daemon/text/unicode.h"

#include <string.h>
#include <utf8proc.h>

/* Bounds of the second byte by the first (Unicode standard, table 3-7); the rest are 80..BF. */
static size_t sequence_length(unsigned char first, unsigned char *ret_low, unsigned char *ret_high)
{
    *ret_low = 0x80;
    *ret_high = 0xBF;
    if (first < 0x80)
        return 1;
    if (first < 0xC2)
        return 0;
    if (first < 0xE0)
        return 2;
    if (first < 0xF0) {
        if (first == 0xE0)
            *ret_low = 0xA0;
        if (first == 0xED)
            *ret_high = 0x9F;
        return 3;
    }
    if (first > 0xF4)
        return 0;
    if (first == 0xF0)
        *ret_low = 0x90;
    if (first == 0xF4)
        *ret_high = 0x8F;
    return 4;
}

size_t unicode_decode(const unsigned char *text, size_t size, uint32_t *ret_codepoint, int *ret_ok)
{
    unsigned char low, high;
    size_t length = sequence_length(text[0], &low, &high);
    *ret_ok = 0;
    *ret_codepoint = UNICODE_REPLACEMENT;
    if (length == 0)
        return 1;
    for (size_t i = 1; i < length; i++) {
        if (i == size || text[i] < low || text[i] > high)
            return i;
        low = 0x80;
        high = 0xBF;
    }
    *ret_ok = 1;
    return unicode_decode_valid(text, ret_codepoint);
}

size_t unicode_decode_valid(const unsigned char *text, uint32_t *ret_codepoint)
{
    uint32_t first = text[0];
    if (first < 0x80) {
        *ret_codepoint = first;
        return 1;
    }
    if (first < 0xE0) {
        *ret_codepoint = (first & 0x1FU) << 6 | (text[1] & 0x3FU);
        return 2;
    }
    if (first < 0xF0) {
        *ret_codepoint = (first & 0x0FU) << 12 | (text[1] & 0x3FU) << 6 | (text[2] & 0x3FU);
        return 3;
    }
    *ret_codepoint =
        (first & 0x07U) << 18 | (text[1] & 0x3FU) << 12 | (text[2] & 0x3FU) << 6 | (text[3] & 0x3FU);
    return 4;
}

size_t unicode_encode(uint32_t codepoint, unsigned char *out)
{
    if (codepoint < 0x80) {
        out[0] = (unsigned char)codepoint;
        return 1;
    }
    if (codepoint < 0x800) {
        out[0] = (unsigned char)(0xC0U | codepoint >> 6);
        out[1] = (unsigned char)(0x80U | (codepoint & 0x3FU));
        return 2;
    }
    if (codepoint < 0x10000) {
        out[0] = (unsigned char)(0xE0U | codepoint >> 12);
        out[1] = (unsigned char)(0x80U | (codepoint >> 6 & 0x3FU));
        out[2] = (unsigned char)(0x80U | (codepoint & 0x3FU));
        return 3;
    }
    out[0] = (unsigned char)(0xF0U | codepoint >> 18);
    out[1] = (unsigned char)(0x80U | (codepoint >> 12 & 0x3FU));
    out[2] = (unsigned char)(0x80U | (codepoint >> 6 & 0x3FU));
    out[3] = (unsigned char)(0x80U | (codepoint & 0x3FU));
    return 4;
}

size_t unicode_valid_prefix(const char *text, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t i = 0;
    while (i < size) {
        uint64_t word;
        while (i + sizeof word <= size) {
            memcpy(&word, bytes + i, sizeof word);
            if (word & UINT64_C(0x8080808080808080))
                break;
            i += sizeof word;
        }
        if (i == size)
            break;
        uint32_t codepoint;
        int ok;
        size_t length = unicode_decode(bytes + i, size - i, &codepoint, &ok);
        if (!ok)
            break;
        i += length;
    }
    return i;
}

void unicode_repair(const char *text, size_t size, struct buf *out)
{
    size_t i = 0;
    while (i < size) {
        size_t valid = unicode_valid_prefix(text + i, size - i);
        (void)buf_append(out, text + i, valid);
        i += valid;
        if (i == size)
            break;
        uint32_t codepoint;
        int ok;
        i += unicode_decode((const unsigned char *)text + i, size - i, &codepoint, &ok);
        (void)buf_append(out, "\xEF\xBF\xBD", 3);
    }
}

int unicode_is_space(uint32_t codepoint)
{
    return (codepoint >= 0x09 && codepoint <= 0x0D) || codepoint == 0x20 || codepoint == 0x85 ||
           codepoint == 0xA0 || codepoint == 0x1680 || (codepoint >= 0x2000 && codepoint <= 0x200A) ||
           codepoint == 0x2028 || codepoint == 0x2029 || codepoint == 0x202F || codepoint == 0x205F ||
           codepoint == 0x3000;
}

int unicode_is_python_space(uint32_t codepoint)
{
    return unicode_is_space(codepoint) || (codepoint >= 0x1C && codepoint <= 0x1F);
}

/* What Unicode 15.1 and 16 added, which Debian's utf8proc does not know. */
static int is_newer_word(uint32_t codepoint)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0x897, 0x897},     {0x1C89, 0x1C8A},   {0xA7CB, 0xA7CD},   {0xA7DA, 0xA7DC},   {0x105C0, 0x105F3},
        {0x10D40, 0x10D65}, {0x10D69, 0x10D6D}, {0x10D6F, 0x10D85}, {0x10EC2, 0x10EC4}, {0x10EFC, 0x10EFC},
        {0x11380, 0x11389}, {0x1138B, 0x1138B}, {0x1138E, 0x1138E}, {0x11390, 0x113B5}, {0x113B7, 0x113C0},
        {0x113C2, 0x113C2}, {0x113C5, 0x113C5}, {0x113C7, 0x113CA}, {0x113CC, 0x113D3}, {0x113E1, 0x113E2},
        {0x116D0, 0x116E3}, {0x11BC0, 0x11BE0}, {0x11BF0, 0x11BF9}, {0x11F5A, 0x11F5A}, {0x13460, 0x143FA},
        {0x16100, 0x16139}, {0x16D40, 0x16D6C}, {0x16D70, 0x16D79}, {0x18CFF, 0x18CFF}, {0x1CCF0, 0x1CCF9},
        {0x1E5D0, 0x1E5FA}, {0x2EBF0, 0x2EE5D},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (codepoint >= ranges[i].first && codepoint <= ranges[i].last)
            return 1;
    return 0;
}

int unicode_is_word(uint32_t codepoint)
{
    switch (utf8proc_category((utf8proc_int32_t)codepoint)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return 1;
    case UTF8PROC_CATEGORY_SO: /* the circled and squared Latin letters are Other_Alphabetic */
        return (codepoint >= 0x24B6 && codepoint <= 0x24E9) ||
               (codepoint >= 0x1F130 && codepoint <= 0x1F149) ||
               (codepoint >= 0x1F150 && codepoint <= 0x1F169) ||
               (codepoint >= 0x1F170 && codepoint <= 0x1F189);
    case UTF8PROC_CATEGORY_CN:
        return is_newer_word(codepoint);
    default:
        return codepoint == 0x200C || codepoint == 0x200D;
    }
}

size_t unicode_previous(const char *text, size_t end)
{
    do {
        end--;
    } while (end > 0 && ((unsigned char)text[end] & 0xC0U) == 0x80U);
    return end;
}
