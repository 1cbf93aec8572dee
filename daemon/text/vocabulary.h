/*
 * A vocabulary: tokens, as written in tokenizer.json, and their ids, both ways.
 *
 * Tokens of a byte-level vocabulary are written with one printable character per byte (GPT-2's encoder.py):
 * bytes that are printable in Latin-1 stand for themselves, the others are U+0100 onwards, in order.
 */
#ifndef BIFURCATED_TEXT_VOCABULARY_H
#define BIFURCATED_TEXT_VOCABULARY_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct vocabulary_entry {
    size_t offset; /* in text */
    uint32_t size; /* bytes */
    uint32_t id;
};

struct vocabulary {
    struct buf text; /* all tokens, one after the other */
    struct vocabulary_entry *entries;
    size_t count;
    size_t capacity;
    uint32_t *slots; /* entry + 1, or 0; open addressing */
    size_t slot_count;
    uint64_t seed;
    uint32_t *by_id;   /* entry + 1 by id, or 0; made by vocabulary_index_ids */
    uint32_t id_limit; /* largest id + 1 */
};

void vocabulary_init(struct vocabulary *vocabulary);
void vocabulary_free(struct vocabulary *vocabulary);

/* Adds a token. ERR_FORMAT for a token that is there already, ERR_LIMIT for an id or count past
 * LIMIT_VOCABULARY. */
int vocabulary_add(struct vocabulary *vocabulary, const char *token, size_t size, uint32_t id,
                   struct err *err);

/* Call after the last vocabulary_add: makes lookups by id possible. ERR_FORMAT if two tokens share an id. */
int vocabulary_index_ids(struct vocabulary *vocabulary, struct err *err);

/* Returns 1 and fills *ret_id, or 0. */
int vocabulary_find(const struct vocabulary *vocabulary, const char *token, size_t size, uint32_t *ret_id);

/* The token of an id, borrowed; NULL if there is none. */
const char *vocabulary_token(const struct vocabulary *vocabulary, uint32_t id, size_t *ret_size);

/* The character that stands for a byte. */
uint32_t vocabulary_byte_to_char(unsigned char byte);

/* Appends bytes in the vocabulary's spelling. */
void vocabulary_spell(const char *bytes, size_t size, struct buf *out);

#endif
