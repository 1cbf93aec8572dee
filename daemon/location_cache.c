#include "daemon/location_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define STRIPES 64  /* more than workers, so that two revisions rarely share a lock */
#define ENTRIES 512 /* a task leaves a handful */

struct location_cache {
    pthread_mutex_t stripes[STRIPES];
    pthread_mutex_t lock; /* of the entries */
    struct located_tensor entries[ENTRIES];
    size_t next;
};

int location_cache_new(struct location_cache **ret_cache, struct err *err)
{
    struct location_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return err_set(err, ERR_NO_MEMORY, "location cache: out of memory");
    for (size_t i = 0; i < STRIPES; i++)
        (void)pthread_mutex_init(&cache->stripes[i], NULL);
    (void)pthread_mutex_init(&cache->lock, NULL);
    *ret_cache = cache;
    return 0;
}

void location_cache_free(struct location_cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < STRIPES; i++)
        (void)pthread_mutex_destroy(&cache->stripes[i]);
    (void)pthread_mutex_destroy(&cache->lock);
    free(cache);
}

void location_cache_lock(struct location_cache *cache, int64_t revision_id)
{
    (void)pthread_mutex_lock(&cache->stripes[(uint64_t)revision_id % STRIPES]);
}

void location_cache_unlock(struct location_cache *cache, int64_t revision_id)
{
    (void)pthread_mutex_unlock(&cache->stripes[(uint64_t)revision_id % STRIPES]);
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
