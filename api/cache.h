/*
 * Answers that are kept in memory until what they depend on changes.
 *
 * The key of an answer is its ETag, which is made from the version of what was read (api/deliver.c), and its
 * coding. So an old answer is never found again and leaves by age: the least recently used go first when the
 * bound on bytes is reached. A body is shared by count, so that one that is being sent may leave.
 */
#ifndef BIFURCATED_API_CACHE_H
#define BIFURCATED_API_CACHE_H

#include "api/encode.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* A whole answer, ready to be sent; immutable once it is shared. */
struct api_answer {
    atomic_uint references;
    int status;
    const char *content_type;  /* static */
    const char *cache_control; /* static */
    enum api_encoding encoding;
    int varies;  /* the header Vary is sent */
    char *etag;  /* as sent, with quotes; or NULL */
    char *link;  /* of the header Link; or NULL */
    char *data;  /* owned; NULL if the body is in fd */
    int fd;      /* the body as a file in memory, which the kernel sends without copying it; or -1 */
    size_t size; /* bytes of the body */
};

/* Moves the body of an answer that is to be kept into a file in memory, if it is large enough to gain by
 * that. Leaves it where it is if there is none to be had. */
void api_answer_to_file(struct api_answer *answer);

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

/* Drops one reference; the last one frees. NULL is allowed. */
void api_answer_release(struct api_answer *answer);

#endif
