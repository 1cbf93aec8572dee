/*
 * The merges of a BPE model, and the merging of one word.
 *
 * A word starts as one symbol per byte. The pair of neighbours with the lowest rank (the leftmost among
 * equals) is merged, again and again, until no pair has a merge. With a heap over candidate pairs and doubly
 * linked symbols a word of n bytes costs O(n log n), however unfortunate it is.
 */
#ifndef BIFURCATED_TEXT_MERGES_H
#define BIFURCATED_TEXT_MERGES_H

#include "daemon/base/err.h"
#include "daemon/text/token_ids.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct merge {
    uint64_t pair;   /* left id << 32 | right id; MERGES_NO_PAIR in a free slot */
    uint32_t rank;   /* its position in the list */
    uint32_t new_id; /* what the pair becomes */
};

#define MERGES_NO_PAIR UINT64_MAX

struct merges {
    struct merge *slots; /* open addressing */
    size_t slot_count;
    size_t count;
    uint64_t seed;
};

/* Makes room for `count` merges. */
int merges_init(struct merges *merges, size_t count, struct err *err);
void merges_free(struct merges *merges);

/* Adds one of the `count` merges; a pair that is there already takes the later rank (as a Python dict or Rust
 * map that is filled in order). */
void merges_add(struct merges *merges, uint32_t left, uint32_t right, uint32_t rank, uint32_t new_id);

/* The merge of a pair, or NULL. */
const struct merge *merges_find(const struct merges *merges, uint32_t left, uint32_t right);

/* Scratch memory for merging, kept from word to word. */
struct merges_scratch {
    const atomic_bool *cancel; /* set by the owner; may be NULL */
    struct merges_symbol *symbols;
    struct merges_candidate *heap;
    size_t symbol_capacity;
    size_t heap_capacity;
    size_t heap_count;
};

void merges_scratch_free(struct merges_scratch *scratch);

/* Merges in place: `ids` holds the `count` ids of a word's symbols (at most LIMIT_WORD_BYTES); the result is
 * written over its front and its length returned through *ret_count. ERR_NO_MEMORY; ERR_CANCELLED once
 * *cancel is true: the longest words take half a minute. */
int merges_apply(const struct merges *merges, struct merges_scratch *scratch, uint32_t *ids, size_t count,
                 size_t *ret_count, struct err *err);

#endif
