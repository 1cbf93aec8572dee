#include "api/http/memo.h"

#include "api/http/hash.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SHARD_COUNT 64
#define SLOTS_PER_SHARD 16

struct slot {
    char *target; /* NULL: empty */
    size_t target_size;
    enum api_format preferred;
    uint64_t hash;
    uint64_t version;
    struct api_memo_entry entry;
};

struct shard {
    pthread_mutex_t mutex;
    struct slot slots[SLOTS_PER_SHARD];
};

struct api_memo {
    struct shard shards[SHARD_COUNT];
};

struct api_memo *api_memo_new(void)
{
    struct api_memo *memo = calloc(1, sizeof *memo);
    for (size_t i = 0; memo && i < SHARD_COUNT; i++)
        (void)pthread_mutex_init(&memo->shards[i].mutex, NULL);
    return memo;
}

void api_memo_free(struct api_memo *memo)
{
    if (!memo)
        return;
    for (size_t i = 0; i < SHARD_COUNT; i++) {
        for (size_t k = 0; k < SLOTS_PER_SHARD; k++)
            free(memo->shards[i].slots[k].target);
        (void)pthread_mutex_destroy(&memo->shards[i].mutex);
    }
    free(memo);
}

/* Colliding targets only cost the daemon another parse. */
static uint64_t hash_of(const struct api_memo_key *key)
{
    return api_hash(key->target, key->target_size) ^ (unsigned)key->preferred;
}

static int holds(const struct slot *slot, const struct api_memo_key *key, uint64_t hash)
{
    return slot->target && slot->hash == hash && slot->preferred == key->preferred &&
           slot->target_size == key->target_size && memcmp(slot->target, key->target, key->target_size) == 0;
}

int api_memo_get(struct api_memo *memo, const struct api_memo_key *key, uint64_t version,
                 struct api_memo_entry *ret_entry)
{
    uint64_t hash = hash_of(key);
    struct shard *shard = &memo->shards[hash % SHARD_COUNT];
    int is_known = 0;
    (void)pthread_mutex_lock(&shard->mutex);
    for (size_t i = 0; i < SLOTS_PER_SHARD && !is_known; i++) {
        const struct slot *slot = &shard->slots[i];
        is_known = slot->version == version && holds(slot, key, hash);
        if (is_known)
            *ret_entry = slot->entry;
    }
    (void)pthread_mutex_unlock(&shard->mutex);
    return is_known;
}

/* The slot that holds the target, or the one that it may have. */
static struct slot *find(struct shard *shard, const struct api_memo_key *key, uint64_t hash)
{
    struct slot *oldest = &shard->slots[0];
    for (size_t i = 0; i < SLOTS_PER_SHARD; i++) {
        struct slot *slot = &shard->slots[i];
        if (holds(slot, key, hash))
            return slot;
        if (oldest->target && (!slot->target || slot->version < oldest->version))
            oldest = slot;
    }
    return oldest;
}

void api_memo_put(struct api_memo *memo, const struct api_memo_key *key, uint64_t version,
                  const struct api_memo_entry *entry)
{
    if (key->target_size > API_MEMO_TARGET_BYTES_MAX)
        return;
    uint64_t hash = hash_of(key);
    struct shard *shard = &memo->shards[hash % SHARD_COUNT];
    (void)pthread_mutex_lock(&shard->mutex);
    struct slot *slot = find(shard, key, hash);
    if (!holds(slot, key, hash)) {
        free(slot->target);
        *slot = (struct slot){.target = strndup(key->target, key->target_size),
                              .target_size = key->target_size,
                              .preferred = key->preferred,
                              .hash = hash};
    }
    slot->version = version;
    slot->entry = *entry;
    (void)pthread_mutex_unlock(&shard->mutex);
}
