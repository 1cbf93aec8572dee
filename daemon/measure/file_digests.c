#include "daemon/measure/file_digests.h"

#include "daemon/base/clock.h"
#include "daemon/base/keyed_lock.h"
#include "daemon/base/limits.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define STEP_BYTES (8 * MIB)
#define ENTRIES 16 /* data sets in use at the same time; others are hashed again */

struct entry {
    struct source_identity identity;
    char hex[DIGEST_SHA256_HEX_SIZE]; /* "": unused */
};

struct file_digests {
    int64_t settled_ms;
    struct keyed_locks hashing; /* of an inode and a name */
    pthread_mutex_t lock;       /* of all below; nobody holds it while hashing */
    struct entry entries[ENTRIES];
    size_t next;
    struct file_digests_counters counters;
};

int file_digests_new(int64_t settled_ms, struct file_digests **ret_digests, struct err *err)
{
    struct file_digests *digests = calloc(1, sizeof *digests);
    if (!digests)
        return err_set(err, ERR_NO_MEMORY, "digests of files: out of memory");
    digests->settled_ms = settled_ms;
    keyed_locks_init(&digests->hashing);
    (void)pthread_mutex_init(&digests->lock, NULL);
    *ret_digests = digests;
    return 0;
}

void file_digests_free(struct file_digests *digests)
{
    if (!digests)
        return;
    (void)pthread_mutex_destroy(&digests->lock);
    keyed_locks_destroy(&digests->hashing);
    free(digests);
}

static int hash(struct source *source, const atomic_bool *cancel, char *hex, struct err *err)
{
    struct digest *digest = NULL;
    uint64_t size_bytes = source->size_bytes;
    size_t step_bytes = size_bytes < STEP_BYTES ? (size_t)size_bytes : STEP_BYTES;
    unsigned char *step = malloc(step_bytes + 1);
    int code = step ? digest_new(DIGEST_KIND_SHA256, &digest, err)
                    : err_set(err, ERR_NO_MEMORY, "no memory to read %s", source->name);
    for (uint64_t at = 0; !code && at < size_bytes; at += step_bytes) {
        uint64_t left = size_bytes - at;
        size_t size = left < step_bytes ? (size_t)left : step_bytes;
        if (cancel && atomic_load(cancel))
            code = err_set(err, ERR_CANCELLED, "hashing %s was cancelled", source->name);
        else if (!(code = source_read(source, at, step, size, err)))
            code = digest_update(digest, step, size, err);
    }
    if (!code)
        code = digest_finish_hex(digest, hex, DIGEST_SHA256_HEX_SIZE, err);
    digest_free(digest);
    free(step);
    return code;
}

static int is_same(const struct source_identity *a, const struct source_identity *b)
{
    return a->device == b->device && a->inode == b->inode && a->size_bytes == b->size_bytes &&
           a->modified_ns == b->modified_ns && a->changed_ns == b->changed_ns;
}

static int find(struct file_digests *digests, const struct source_identity *identity, char *hex)
{
    int is_found = 0;
    (void)pthread_mutex_lock(&digests->lock);
    for (size_t i = 0; i < ENTRIES && !is_found; i++) {
        const struct entry *entry = &digests->entries[i];
        if (!entry->hex[0] || !is_same(&entry->identity, identity))
            continue;
        memcpy(hex, entry->hex, sizeof entry->hex);
        is_found = 1;
    }
    if (is_found)
        digests->counters.kept_count++;
    else
        digests->counters.hashed_count++;
    (void)pthread_mutex_unlock(&digests->lock);
    return is_found;
}

/* In place of the oldest. */
static void keep(struct file_digests *digests, const struct source_identity *identity, const char *hex)
{
    (void)pthread_mutex_lock(&digests->lock);
    struct entry *entry = &digests->entries[digests->next];
    digests->next = (digests->next + 1) % ENTRIES;
    entry->identity = *identity;
    memcpy(entry->hex, hex, sizeof entry->hex);
    (void)pthread_mutex_unlock(&digests->lock);
}

/* Whether any later change would get other times. A time in the future tells nothing. */
static int is_settled(const struct file_digests *digests, const struct source_identity *identity,
                      int64_t now_ms)
{
    int64_t newest_ns =
        identity->modified_ns > identity->changed_ns ? identity->modified_ns : identity->changed_ns;
    return newest_ns / 1000000 <= now_ms - digests->settled_ms;
}

/* What was hashed was one file from the beginning to the end, unless it changed in between. */
static int hash_and_keep(struct file_digests *digests, struct source *source, const atomic_bool *cancel,
                         char *hex, struct err *err)
{
    struct source_identity before, after;
    int64_t now_ms = clock_wall_ms();
    int is_file = source_identify(source, &before) && before.size_bytes == source->size_bytes;
    if (is_file && find(digests, &before, hex))
        return 0;
    int code = hash(source, cancel, hex, err);
    if (!code && is_file && is_settled(digests, &before, now_ms) && source_identify(source, &after) &&
        is_same(&before, &after))
        keep(digests, &before, hex);
    return code;
}

int file_digests_get(struct file_digests *digests, struct source *source, const atomic_bool *cancel,
                     char hex[DIGEST_SHA256_HEX_SIZE], struct err *err)
{
    struct source_identity identity;
    if (!digests || !source_identify(source, &identity))
        return hash(source, cancel, hex, err);
    struct keyed_lock own = {.number = (int64_t)identity.inode, .name = source->name};
    int code = keyed_locks_take(&digests->hashing, &own, cancel, err);
    if (code)
        return code;
    code = hash_and_keep(digests, source, cancel, hex, err);
    keyed_locks_give(&digests->hashing, &own);
    return code;
}

void file_digests_count(struct file_digests *digests, struct file_digests_counters *ret_counters)
{
    (void)pthread_mutex_lock(&digests->lock);
    *ret_counters = digests->counters;
    (void)pthread_mutex_unlock(&digests->lock);
}
