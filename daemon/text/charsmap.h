/*
 * SentencePiece's "precompiled_charsmap": which pieces of a text become which others (NFKC and the like), as
 * a trie in a double array and the texts that it points to. (sentencepiece/src/normalizer.cc,
 * DecodePrecompiledCharsMap; darts-clone's darts.h)
 */
#ifndef BIFURCATED_TEXT_CHARSMAP_H
#define BIFURCATED_TEXT_CHARSMAP_H

#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Borrows the bytes that it was read from. Zeroed, it leaves everything as it is. */
struct charsmap {
    const unsigned char *units; /* four bytes each, little-endian */
    size_t unit_count;
    const char *texts; /* each ends with a zero byte */
    size_t texts_size;
};

/* ERR_FORMAT for a size that does not fit, or texts that do not end or are not UTF-8. What the trie says is
 * checked where it is walked: what leads out of it leads nowhere. */
int charsmap_read(const void *data, size_t size, struct charsmap *ret_map, struct err *err);

/* A trie may lead in a circle, and each place of a text is walked from. */
#define CHARSMAP_PIECE_BYTES_MAX 256
#define CHARSMAP_TOO_LONG SIZE_MAX

/* The longest piece at the front of `text` that becomes another: its bytes, with what it becomes borrowed
 * through *ret_text; 0 if there is none, CHARSMAP_TOO_LONG if more than CHARSMAP_PIECE_BYTES_MAX bytes may.
 */
size_t charsmap_find(const struct charsmap *map, const char *text, size_t size, const char **ret_text,
                     size_t *ret_size);

#endif
