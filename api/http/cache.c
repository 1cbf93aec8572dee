#include "api/http/cache.h"

#include "api/http/hash.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define BUCKET_COUNT 4096

/* Beside its body an answer takes the entry, its ETag and link, and two responses of libmicrohttpd with about
 * ten headers each: 40 blocks in all, which a small answer must not hide (measured: tests/proof/heap.py). */
#define ENTRY_OVERHEAD_BYTES 2048

struct entry {
    struct entry *next_in_bucket;
    struct entry *newer, *older; /* by last use */
    struct api_answer *answer;
    size_t bytes;
    uint64_t hash;
    char key[];
};

struct api_cache {
    pthread_mutex_t mutex;
    size_t bytes_max;
    struct api_cache_counts counts;
    struct entry *newest, *oldest;
    struct entry *buckets[BUCKET_COUNT];
};

struct api_cache *api_cache_new(size_t bytes_max)
{
    struct api_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return NULL;
    cache->bytes_max = bytes_max;
    pthread_mutex_init(&cache->mutex, NULL);
    return cache;
}

/* Keys are digests, nobody can choose them. */
static uint64_t hash_of(const char *key)
{
    return api_hash(key, strlen(key));
}

static void unlink_use(struct api_cache *cache, struct entry *entry)
{
    if (entry->newer)
        entry->newer->older = entry->older;
    else
        cache->newest = entry->older;
    if (entry->older)
        entry->older->newer = entry->newer;
    else
        cache->oldest = entry->newer;
}

static void link_newest(struct api_cache *cache, struct entry *entry)
{
    entry->newer = NULL;
    entry->older = cache->newest;
    if (cache->newest)
        cache->newest->newer = entry;
    else
        cache->oldest = entry;
    cache->newest = entry;
}

static struct entry **find(struct api_cache *cache, const char *key, uint64_t hash)
{
    struct entry **slot = &cache->buckets[hash % BUCKET_COUNT];
    while (*slot && ((*slot)->hash != hash || strcmp((*slot)->key, key) != 0))
        slot = &(*slot)->next_in_bucket;
    return slot;
}

static void drop_oldest(struct api_cache *cache)
{
    struct entry *entry = cache->oldest;
    /* The analyser takes it that find() may miss, so that a freed entry stays in the list. */
    struct entry **slot = find(cache, entry->key, entry->hash); // NOLINT(clang-analyzer-unix.Malloc)
    assert(*slot == entry);
    *slot = entry->next_in_bucket;
    unlink_use(cache, entry);
    cache->counts.bytes -= entry->bytes;
    cache->counts.entries--;
    api_answer_release(entry->answer);
    free(entry);
}

void api_cache_free(struct api_cache *cache)
{
    if (!cache)
        return;
    while (cache->oldest)
        drop_oldest(cache);
    pthread_mutex_destroy(&cache->mutex);
    free(cache);
}

struct api_answer *api_cache_get(struct api_cache *cache, const char *key)
{
    struct api_answer *answer = NULL;
    uint64_t hash = hash_of(key);
    pthread_mutex_lock(&cache->mutex);
    struct entry *entry = *find(cache, key, hash);
    if (entry) {
        unlink_use(cache, entry);
        link_newest(cache, entry);
        answer = entry->answer;
        atomic_fetch_add(&answer->references, 1);
        cache->counts.hits++;
    } else {
        cache->counts.misses++;
    }
    pthread_mutex_unlock(&cache->mutex);
    return answer;
}

void api_cache_put(struct api_cache *cache, const char *key, struct api_answer *answer)
{
    size_t bytes = answer->size + ENTRY_OVERHEAD_BYTES;
    if (bytes > cache->bytes_max / 8)
        return;
    size_t key_size = strlen(key) + 1;
    struct entry *entry = calloc(1, sizeof *entry + key_size);
    if (!entry)
        return; /* then it is made again next time */
    memcpy(entry->key, key, key_size);
    entry->hash = hash_of(key);
    entry->bytes = bytes;
    entry->answer = answer;
    pthread_mutex_lock(&cache->mutex);
    struct entry **slot = find(cache, key, entry->hash);
    if (*slot) { /* another thread was quicker */
        pthread_mutex_unlock(&cache->mutex);
        free(entry);
        return;
    }
    while (cache->oldest && cache->counts.bytes + bytes > cache->bytes_max) {
        drop_oldest(cache);
        cache->counts.evictions++;
    }
    atomic_fetch_add(&answer->references, 1);
    slot = &cache->buckets[entry->hash % BUCKET_COUNT];
    entry->next_in_bucket = *slot;
    *slot = entry;
    link_newest(cache, entry);
    cache->counts.bytes += bytes;
    cache->counts.entries++;
    pthread_mutex_unlock(&cache->mutex);
}

void api_cache_count(struct api_cache *cache, struct api_cache_counts *ret_counts)
{
    pthread_mutex_lock(&cache->mutex);
    *ret_counts = cache->counts;
    pthread_mutex_unlock(&cache->mutex);
}
