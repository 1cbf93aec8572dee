#include "api/memo.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARD_COUNT 64
#define SLOTS_PER_SHARD 16

struct slot {
    char *target; /* NULL: empty */
    enum api_format format;
    uint64_t hash;
    uint64_t version;
    char etag[API_ETAG_SIZE];
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

/* FNV-1a. Whoever chooses targets that collide only makes the daemon work out ETags again. */
static uint64_t hash_of(const char *target, enum api_format format)
{
    uint64_t hash = 0xcbf29ce484222325u ^ (unsigned)format;
    for (; *target; target++)
        hash = (hash ^ (unsigned char)*target) * 0x100000001b3u;
    return hash ^ hash >> 32;
}

/* The slot that holds the target, or the one that it may have. */
static struct slot *find(struct shard *shard, const char *target, enum api_format format, uint64_t hash)
{
    struct slot *oldest = &shard->slots[0];
    for (size_t i = 0; i < SLOTS_PER_SHARD; i++) {
        struct slot *slot = &shard->slots[i];
        if (slot->target && slot->hash == hash && slot->format == format && strcmp(slot->target, target) == 0)
            return slot;
        if (oldest->target && (!slot->target || slot->version < oldest->version))
            oldest = slot;
    }
    return oldest;
}

int api_memo_get(struct api_memo *memo, const char *target, enum api_format format, uint64_t version,
                 char ret_etag[API_ETAG_SIZE])
{
    uint64_t hash = hash_of(target, format);
    struct shard *shard = &memo->shards[hash % SHARD_COUNT];
    (void)pthread_mutex_lock(&shard->mutex);
    const struct slot *slot = find(shard, target, format, hash);
    int is_known = slot->target && slot->hash == hash && slot->format == format && slot->version == version &&
                   strcmp(slot->target, target) == 0;
    if (is_known)
        memcpy(ret_etag, slot->etag, sizeof slot->etag);
    (void)pthread_mutex_unlock(&shard->mutex);
    return is_known;
}

void api_memo_put(struct api_memo *memo, const char *target, enum api_format format, uint64_t version,
                  const char *etag)
{
    if (strlen(target) > API_MEMO_TARGET_BYTES_MAX)
        return;
    uint64_t hash = hash_of(target, format);
    struct shard *shard = &memo->shards[hash % SHARD_COUNT];
    (void)pthread_mutex_lock(&shard->mutex);
    struct slot *slot = find(shard, target, format, hash);
    if (!slot->target || slot->hash != hash || slot->format != format || strcmp(slot->target, target) != 0) {
        free(slot->target);
        slot->target = strdup(target);
        slot->format = format;
        slot->hash = hash;
    }
    slot->version = version;
    (void)snprintf(slot->etag, sizeof slot->etag, "%s", etag);
    (void)pthread_mutex_unlock(&shard->mutex);
}
