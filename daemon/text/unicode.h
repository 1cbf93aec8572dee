/*
 * UTF-8 and the few questions about characters that a tokenizer asks.
 */
#ifndef BIFURCATED_TEXT_UNICODE_H
#define BIFURCATED_TEXT_UNICODE_H

#include "daemon/base/buf.h"

#include <stddef.h>
#include <stdint.h>

#define UNICODE_REPLACEMENT 0xFFFDU
#define UNICODE_UTF8_BYTES_MAX 4

/* Reads the character at `text` (size at least 1). Returns its bytes (1 to 4) and fills *ret_codepoint; for
 * ill-formed bytes *ret_codepoint is UNICODE_REPLACEMENT, *ret_ok 0, and the result is the length of the
 * maximal ill-formed part, as the Unicode standard recommends for replacing (chapter 3.9, table 3-8). */
size_t unicode_decode(const unsigned char *text, size_t size, uint32_t *ret_codepoint, int *ret_ok);

/* The same for text that is known to be valid UTF-8. */
size_t unicode_decode_valid(const unsigned char *text, uint32_t *ret_codepoint);

/* Writes a character as UTF-8 and returns its bytes; out has room for UNICODE_UTF8_BYTES_MAX. */
size_t unicode_encode(uint32_t codepoint, unsigned char *out);

/* Length of the longest valid UTF-8 prefix. */
size_t unicode_valid_prefix(const char *text, size_t size);

/* Appends the text with each maximal ill-formed part replaced by U+FFFD: Python's decode(errors="replace").
 */
void unicode_repair(const char *text, size_t size, struct buf *out);

/* White_Space, as \s of the regular expressions of `tokenizers`. */
int unicode_is_space(uint32_t codepoint);

/* What Python's str.isspace() says and str.rstrip() removes: White_Space and U+001C to U+001F. */
int unicode_is_python_space(uint32_t codepoint);

/* A word character (\w of Unicode's regular expressions: Alphabetic, marks, decimal digits, connectors,
 * joiners). */
int unicode_is_word(uint32_t codepoint);

/* Byte just before which the character that ends at `end` begins; end > 0, valid UTF-8. */
size_t unicode_previous(const char *text, size_t end);

#endif
