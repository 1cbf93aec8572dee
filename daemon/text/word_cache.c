#include "daemon/text/word_cache.h"

#include "daemon/text/hash.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS ((size_t)1 << 15)
#define WORDS_MAX (SLOTS / 2)
#define KEY_BYTES_MAX ((size_t)512 * 1024)
#define IDS_MAX ((size_t)128 * 1024)

int word_cache_init(struct word_cache *cache, struct err *err)
{
    *cache = (struct word_cache){.seed = hash_seed(), .epoch = 1};
    cache->slots = calloc(SLOTS, sizeof *cache->slots);
    cache->keys = malloc(KEY_BYTES_MAX);
    cache->ids = reallocarray(NULL, IDS_MAX, sizeof *cache->ids);
    if (!cache->slots || !cache->keys || !cache->ids) {
        word_cache_free(cache);
        return err_set(err, ERR_NO_MEMORY, "word cache: out of memory");
    }
    return 0;
}

void word_cache_free(struct word_cache *cache)
{
    if (!cache)
        return;
    free(cache->slots);
    free(cache->keys);
    free(cache->ids);
    *cache = (struct word_cache){0};
}

static void start_over(struct word_cache *cache)
{
    cache->key_size = 0;
    cache->id_count = 0;
    cache->count = 0;
    if (++cache->epoch == 0) {
        memset(cache->slots, 0, SLOTS * sizeof *cache->slots);
        cache->epoch = 1;
    }
}

const uint32_t *word_cache_get(struct word_cache *cache, const char *word, size_t size, uint64_t *ret_hash,
                               size_t *ret_count)
{
    uint64_t hash = hash_bytes(word, size, cache->seed);
    *ret_hash = hash;
    for (size_t i = (size_t)hash & (SLOTS - 1);; i = (i + 1) & (SLOTS - 1)) {
        const struct word_cache_slot *slot = &cache->slots[i];
        if (slot->epoch != cache->epoch)
            break;
        if (slot->hash == hash && slot->key_size == size &&
            memcmp(cache->keys + slot->key, word, size) == 0) {
            cache->hit_count++;
            *ret_count = slot->id_count;
            return cache->ids + slot->ids;
        }
    }
    return NULL;
}

void word_cache_put(struct word_cache *cache, const char *word, size_t size, uint64_t hash,
                    const uint32_t *ids, size_t count)
{
    if (size > WORD_CACHE_WORD_BYTES_MAX || count > WORD_CACHE_WORD_BYTES_MAX)
        return;
    if (cache->count == WORDS_MAX || cache->key_size + size > KEY_BYTES_MAX ||
        cache->id_count + count > IDS_MAX)
        start_over(cache);
    size_t i = (size_t)hash & (SLOTS - 1);
    while (cache->slots[i].epoch == cache->epoch)
        i = (i + 1) & (SLOTS - 1);
    memcpy(cache->keys + cache->key_size, word, size);
    if (count)
        memcpy(cache->ids + cache->id_count, ids, count * sizeof *ids);
    cache->slots[i] = (struct word_cache_slot){
        .hash = hash,
        .key = (uint32_t)cache->key_size,
        .ids = (uint32_t)cache->id_count,
        .key_size = (uint16_t)size,
        .id_count = (uint16_t)count,
        .epoch = cache->epoch,
    };
    cache->key_size += size;
    cache->id_count += count;
    cache->count++;
}
