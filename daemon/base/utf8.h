/*
 * Well-formed UTF-8 (Unicode standard, table 3-7): no overlong forms, no surrogates, nothing above U+10FFFF.
 * In a header alone, since errors need it wherever daemon/base/err.c is compiled.
 */
#ifndef BIFURCATED_BASE_UTF8_H
#define BIFURCATED_BASE_UTF8_H

#include <stddef.h>
#include <string.h>

/* The bytes (1 to 4) of the character at `text`, of which `left` bytes are there; 0 if it is not well-formed.
 */
static inline size_t utf8_length(const char *text, size_t left)
{
    const unsigned char *bytes = (const unsigned char *)text;
    if (left == 0)
        return 0;
    unsigned char lead = bytes[0];
    if (lead < 0x80)
        return 1;
    size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((lead == 0xe0 && bytes[1] < 0xa0) || (lead == 0xed && bytes[1] > 0x9f) ||
        (lead == 0xf0 && bytes[1] < 0x90) || (lead == 0xf4 && bytes[1] > 0x8f))
        return 0;
    return length;
}

static inline int utf8_is_valid(const char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        size_t length = utf8_length(text + i, size - i);
        if (length == 0)
            return 0;
        i += length;
    }
    return 1;
}

/* One line only: control characters of foreign text (a server's reply, a file name) become spaces, and what
 * is not UTF-8, or was cut inside of a character, '?'. */
static inline void utf8_make_printable(char *text)
{
    size_t left = strlen(text);
    while (left) {
        size_t length = utf8_length(text, left);
        if (!length)
            *text = '?';
        else if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = ' ';
        text += length ? length : 1;
        left -= length ? length : 1;
    }
}

#endif
