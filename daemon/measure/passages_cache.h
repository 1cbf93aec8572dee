/*
 * Passages that tasks share: the revisions of a sweep score the same texts, which are tokenised once.
 *
 * Entries are kept under a text that holds everything they were made of (scoring_passages.h). One that is
 * held by somebody stays; of the others the least recently used ones go as soon as all entries together are
 * larger than the bound. A lock per key lets one of several who want the same make it, while the others wait.
 * Safe for threads.
 *
 * Beside them it keeps how texts are read with the last tokenizers that were looked through.
 */
#ifndef BIFURCATED_MEASURE_PASSAGES_CACHE_H
#define BIFURCATED_MEASURE_PASSAGES_CACHE_H

#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "daemon/base/keyed_lock.h"
#include "daemon/text/passages.h"
#include "daemon/text/tokenizer_config.h"

#include <stdatomic.h>

struct passages_cache;

struct passages_cache_counters {
    uint64_t hit_count, miss_count;
    uint64_t entry_count, bytes;
};

int passages_cache_new(uint64_t bytes_max, struct passages_cache **ret_cache, struct err *err);

/* Nobody may hold an entry any more. NULL is allowed. */
void passages_cache_free(struct passages_cache *cache);

/* Locks the key own->name (own->number is 0); whoever finds nothing while holding the lock makes the passages
 * and keeps them. ERR_CANCELLED as keyed_locks_take(). */
int passages_cache_lock(struct passages_cache *cache, struct keyed_lock *own, const atomic_bool *cancel,
                        struct err *err);
void passages_cache_unlock(struct passages_cache *cache, struct keyed_lock *own);

/* The passages under `key`, held for the caller until passages_cache_give_back, or NULL. */
const struct passages *passages_cache_find(struct passages_cache *cache, const char *key);

/* Moves *passages (which is empty afterwards, also after an error) under `key` and holds them for the caller.
 * If somebody else was faster, his entry is held, and *passages are freed. ERR_NO_MEMORY. */
int passages_cache_keep(struct passages_cache *cache, const char *key, struct passages *passages,
                        const struct passages **ret_passages, struct err *err);

/* Ends the holding of what find or keep gave. */
void passages_cache_give_back(struct passages_cache *cache, const struct passages *passages);

/* What was kept under a digest over the tokenizer's files. Returns 1 and fills *ret_use, or 0. The last
 * PASSAGES_CACHE_USES are kept. */
#define PASSAGES_CACHE_USES 16
int passages_cache_find_use(struct passages_cache *cache, const char *digest, struct tokenizer_use *ret_use);
void passages_cache_keep_use(struct passages_cache *cache, const char *digest,
                             const struct tokenizer_use *use);

/* For tests: what tells that texts were shared, or let go of. */
void passages_cache_count(struct passages_cache *cache, struct passages_cache_counters *ret_counters);

/* Bytes that an entry takes: its arrays and key, and what it costs to keep them. */
uint64_t passages_cache_bytes_of(const struct passages *passages, const char *key);

#endif
