#include "daemon/measure/passages_cache.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An entry is itself, its key and six arrays; the allocator needs some bytes for each of them. */
#define BLOCKS 8
#define BLOCK_BYTES 16

struct entry {
    struct passages passages;
    char *key;
    uint64_t bytes;
    size_t holders;
    struct entry *next; /* most recently used first */
};

struct known_use {
    char digest[DIGEST_SHA256_HEX_SIZE];
    struct tokenizer_use use;
};

struct passages_cache {
    struct keyed_locks making;
    pthread_mutex_t lock; /* of all below; nobody holds it while making */
    struct entry *entries;
    uint64_t bytes_max;
    struct passages_cache_counters counters;
    struct known_use uses[PASSAGES_CACHE_USES]; /* a ring */
    size_t next_use;
};

int passages_cache_new(uint64_t bytes_max, struct passages_cache **ret_cache, struct err *err)
{
    struct passages_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return err_set(err, ERR_NO_MEMORY, "passages: out of memory");
    cache->bytes_max = bytes_max;
    keyed_locks_init(&cache->making);
    (void)pthread_mutex_init(&cache->lock, NULL);
    *ret_cache = cache;
    return 0;
}

static void free_entry(struct entry *entry)
{
    passages_free(&entry->passages);
    free(entry->key);
    free(entry);
}

void passages_cache_free(struct passages_cache *cache)
{
    if (!cache)
        return;
    while (cache->entries) {
        struct entry *entry = cache->entries;
        cache->entries = entry->next;
        free_entry(entry);
    }
    (void)pthread_mutex_destroy(&cache->lock);
    keyed_locks_destroy(&cache->making);
    free(cache);
}

uint64_t passages_cache_bytes_of(const struct passages *passages, const char *key)
{
    uint64_t per_passage = sizeof *passages->begin + sizeof *passages->length +
                           sizeof *passages->target_first + sizeof *passages->target_count +
                           sizeof *passages->text;
    return passages->token_count * sizeof *passages->tokens + passages->count * per_passage +
           sizeof(struct entry) + strlen(key) + 1 + (uint64_t)BLOCKS * BLOCK_BYTES;
}

/* -- Under the lock ------------------------------------------------------------------------------- */

/* Finds an entry and moves it to the front. */
static struct entry *take(struct passages_cache *cache, const char *key)
{
    for (struct entry **at = &cache->entries; *at; at = &(*at)->next) {
        struct entry *entry = *at;
        if (strcmp(entry->key, key) != 0)
            continue;
        *at = entry->next;
        entry->next = cache->entries;
        cache->entries = entry;
        entry->holders++;
        return entry;
    }
    return NULL;
}

/* The least recently used entry that nobody holds. */
static struct entry **last_free(struct passages_cache *cache)
{
    struct entry **found = NULL;
    for (struct entry **at = &cache->entries; *at; at = &(*at)->next)
        if ((*at)->holders == 0)
            found = at;
    return found;
}

static void evict(struct passages_cache *cache)
{
    while (cache->counters.bytes > cache->bytes_max) {
        struct entry **at = last_free(cache);
        if (!at)
            return;
        struct entry *entry = *at;
        *at = entry->next;
        cache->counters.bytes -= entry->bytes;
        cache->counters.entry_count--;
        free_entry(entry);
    }
}

/* -- Verbs ---------------------------------------------------------------------------------------- */

int passages_cache_lock(struct passages_cache *cache, struct keyed_lock *own, const atomic_bool *cancel,
                        struct err *err)
{
    return keyed_locks_take(&cache->making, own, cancel, err);
}

void passages_cache_unlock(struct passages_cache *cache, struct keyed_lock *own)
{
    keyed_locks_give(&cache->making, own);
}

const struct passages *passages_cache_find(struct passages_cache *cache, const char *key)
{
    (void)pthread_mutex_lock(&cache->lock);
    struct entry *entry = take(cache, key);
    if (entry)
        cache->counters.hit_count++;
    else
        cache->counters.miss_count++;
    (void)pthread_mutex_unlock(&cache->lock);
    return entry ? &entry->passages : NULL;
}

int passages_cache_keep(struct passages_cache *cache, const char *key, struct passages *passages,
                        const struct passages **ret_passages, struct err *err)
{
    struct entry *made = calloc(1, sizeof *made);
    char *copy = strdup(key);
    if (!made || !copy) {
        passages_free(passages);
        free(made);
        free(copy);
        return err_set(err, ERR_NO_MEMORY, "passages: out of memory");
    }
    *made = (struct entry){
        .passages = *passages,
        .key = copy,
        .bytes = passages_cache_bytes_of(passages, key),
        .holders = 1,
    };
    *passages = (struct passages){.tokens = NULL};
    (void)pthread_mutex_lock(&cache->lock);
    struct entry *present = take(cache, key);
    if (!present) {
        made->next = cache->entries;
        cache->entries = made;
        cache->counters.bytes += made->bytes;
        cache->counters.entry_count++;
        evict(cache);
    }
    (void)pthread_mutex_unlock(&cache->lock);
    if (present)
        free_entry(made);
    *ret_passages = present ? &present->passages : &made->passages;
    return 0;
}

void passages_cache_give_back(struct passages_cache *cache, const struct passages *passages)
{
    (void)pthread_mutex_lock(&cache->lock);
    for (struct entry *entry = cache->entries; entry; entry = entry->next)
        if (&entry->passages == passages)
            entry->holders--;
    evict(cache);
    (void)pthread_mutex_unlock(&cache->lock);
}

int passages_cache_find_use(struct passages_cache *cache, const char *digest, struct tokenizer_use *ret_use)
{
    int is_known = 0;
    (void)pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < PASSAGES_CACHE_USES && !is_known; i++) {
        is_known = strcmp(cache->uses[i].digest, digest) == 0;
        if (is_known)
            *ret_use = cache->uses[i].use;
    }
    (void)pthread_mutex_unlock(&cache->lock);
    return is_known;
}

void passages_cache_keep_use(struct passages_cache *cache, const char *digest,
                             const struct tokenizer_use *use)
{
    (void)pthread_mutex_lock(&cache->lock);
    struct known_use *known = &cache->uses[cache->next_use];
    cache->next_use = (cache->next_use + 1) % PASSAGES_CACHE_USES;
    (void)snprintf(known->digest, sizeof known->digest, "%s", digest);
    known->use = *use;
    (void)pthread_mutex_unlock(&cache->lock);
}

void passages_cache_count(struct passages_cache *cache, struct passages_cache_counters *ret_counters)
{
    (void)pthread_mutex_lock(&cache->lock);
    *ret_counters = cache->counters;
    (void)pthread_mutex_unlock(&cache->lock);
}
