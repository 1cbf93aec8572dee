/*
 * Answers that are kept in memory until what they depend on changes.
 *
 * The key of an answer is its ETag, which is made from the version of what was read (api/http/deliver.c), and
 * its coding. So an old answer is never found again and leaves by age: the least recently used go first when
 * the bound on bytes is reached. A body is shared by count, so that one that is being sent may leave.
 */
#ifndef BIFURCATED_API_HTTP_CACHE_H
#define BIFURCATED_API_HTTP_CACHE_H

#include "api/http/answer.h"

#include <stddef.h>
#include <stdint.h>

struct api_cache;

/* At most `bytes_max` of answers; 0 keeps none. NULL without memory. */
struct api_cache *api_cache_new(size_t bytes_max);
void api_cache_free(struct api_cache *cache);

/* The answer under `key` with one more reference, or NULL. */
struct api_answer *api_cache_get(struct api_cache *cache, const char *key);

/* Keeps an answer (taking a reference of its own); one that is larger than an eighth of the bound is not. */
void api_cache_put(struct api_cache *cache, const char *key, struct api_answer *answer);

struct api_cache_counts {
    uint64_t hits, misses, evictions;
    size_t bytes, entries;
};
void api_cache_count(struct api_cache *cache, struct api_cache_counts *ret_counts);

#endif
