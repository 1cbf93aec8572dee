#include "daemon/measure/location_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES 512 /* a task leaves a handful */

struct location_cache {
    struct keyed_locks looks; /* of a revision and a tensor */
    pthread_mutex_t lock;     /* of the entries */
    struct located_tensor entries[ENTRIES];
    size_t next;
};

int location_cache_new(struct location_cache **ret_cache, struct err *err)
{
    struct location_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return err_set(err, ERR_NO_MEMORY, "location cache: out of memory");
    keyed_locks_init(&cache->looks);
    (void)pthread_mutex_init(&cache->lock, NULL);
    *ret_cache = cache;
    return 0;
}

void location_cache_free(struct location_cache *cache)
{
    if (!cache)
        return;
    (void)pthread_mutex_destroy(&cache->lock);
    keyed_locks_destroy(&cache->looks);
    free(cache);
}

int location_cache_lock(struct location_cache *cache, struct keyed_lock *own, const atomic_bool *cancel,
                        struct err *err)
{
    return keyed_locks_take(&cache->looks, own, cancel, err);
}

void location_cache_unlock(struct location_cache *cache, struct keyed_lock *own)
{
    keyed_locks_give(&cache->looks, own);
}

static struct located_tensor *find(struct location_cache *cache, int64_t revision_id, const char *tensor)
{
    for (size_t i = 0; i < ENTRIES; i++) {
        struct located_tensor *entry = &cache->entries[i];
        if (entry->revision_id == revision_id && strcmp(entry->tensor, tensor) == 0)
            return entry;
    }
    return NULL;
}

int location_cache_get(struct location_cache *cache, int64_t revision_id, const char *tensor,
                       struct located_tensor *ret_found)
{
    (void)pthread_mutex_lock(&cache->lock);
    const struct located_tensor *entry = find(cache, revision_id, tensor);
    if (entry)
        *ret_found = *entry;
    (void)pthread_mutex_unlock(&cache->lock);
    return entry != NULL;
}

void location_cache_put(struct location_cache *cache, const struct located_tensor *found)
{
    (void)pthread_mutex_lock(&cache->lock);
    struct located_tensor *entry = find(cache, found->revision_id, found->tensor);
    if (!entry) {
        entry = &cache->entries[cache->next];
        cache->next = (cache->next + 1) % ENTRIES;
    }
    *entry = *found;
    (void)pthread_mutex_unlock(&cache->lock);
}
