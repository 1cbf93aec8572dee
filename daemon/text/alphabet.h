/*
 * The symbols that a word starts from, before any merge.
 *
 * In a byte-level vocabulary each byte is one, written as the character that stands for it (vocabulary.h).
 * In others each character is one; where the vocabulary lacks it, its bytes are, written "<0x0A>", if
 * `byte_fallback` says so and the vocabulary has all of them; else it is unknown. Unknown characters become
 * `unk_token`, one for several in a row with `fuse_unk`, or without that token nothing.
 * (tokenizers/src/models/bpe/model.rs, merge_word)
 */
#ifndef BIFURCATED_TEXT_ALPHABET_H
#define BIFURCATED_TEXT_ALPHABET_H

#include "daemon/base/buf.h"
#include "daemon/text/vocabulary.h"

#include <stddef.h>
#include <stdint.h>

#define ALPHABET_NO_ID UINT32_MAX

struct alphabet {
    int is_byte_level;
    int byte_fallback;
    uint32_t byte_ids[256];      /* the token of one byte */
    unsigned char has_byte[256]; /* whether there is one */
    uint32_t unk_id;             /* or ALPHABET_NO_ID */
    int fuse_unk;
};

/* Looks up the bytes; the other fields are set before. */
void alphabet_find_bytes(struct alphabet *alphabet, const struct vocabulary *vocabulary);

int alphabet_has_all_bytes(const struct alphabet *alphabet);

/* Writes the symbols of a word of valid UTF-8 to `ids`, at most one per byte; returns their number. */
size_t alphabet_spell(const struct alphabet *alphabet, const struct vocabulary *vocabulary, const char *word,
                      size_t size, uint32_t *ids);

#endif
