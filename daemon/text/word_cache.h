/*
 * The ids of words seen before: a bounded hash table that belongs to one encoder and so to one thread.
 *
 * Few words make up most of a text. When the table or its memory is full, it starts over, empty: what is
 * common comes back at once, and no text can make it grow.
 */
#ifndef BIFURCATED_TEXT_WORD_CACHE_H
#define BIFURCATED_TEXT_WORD_CACHE_H

#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

#define WORD_CACHE_WORD_BYTES_MAX 255 /* longer words are not kept */

struct word_cache_slot {
    uint64_t hash;
    uint32_t key; /* offset of the word in keys */
    uint32_t ids; /* offset of its ids in ids */
    uint16_t key_size;
    uint16_t id_count;
    uint32_t epoch; /* in use if equal to the cache's */
};

struct word_cache {
    struct word_cache_slot *slots;
    char *keys;
    uint32_t *ids;
    size_t key_size; /* bytes of keys in use */
    size_t id_count; /* ids in use */
    size_t count;    /* words */
    uint64_t seed;
    uint32_t epoch;
    uint64_t hit_count;
};

int word_cache_init(struct word_cache *cache, struct err *err);
void word_cache_free(struct word_cache *cache);

/* The ids of a word of at most WORD_CACHE_WORD_BYTES_MAX bytes, borrowed until the next word_cache_put; NULL
 * if it is not there. *ret_hash is for word_cache_put. A word may have no ids at all. */
const uint32_t *word_cache_get(struct word_cache *cache, const char *word, size_t size, uint64_t *ret_hash,
                               size_t *ret_count);

/* Keeps a word that word_cache_get did not find. */
void word_cache_put(struct word_cache *cache, const char *word, size_t size, uint64_t hash,
                    const uint32_t *ids, size_t count);

#endif
