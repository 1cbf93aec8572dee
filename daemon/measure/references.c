#include "daemon/measure/references.h"

#include "daemon/base/clock.h"
#include "daemon/base/pulse.h"
#include "daemon/hub/range_store.h"
#include "store/displacements.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define SHELF "references"
#define UNUSED_MS 3600000 /* a task may still have to record that it refers to it */

struct references {
    struct range_store files;
    char *state_folder;
    void (*tell)(void *context, const struct err *reason);
    void *context;
    pthread_mutex_t lock; /* of writing: several tasks come with the same tensor */
    int has_failed;       /* that was told: lock */
    _Atomic uint64_t size_bytes;
};

int references_new(const struct references_options *options, struct references **ret_references,
                   struct err *err)
{
    struct references *references = calloc(1, sizeof *references);
    if (references)
        references->state_folder = strdup(options->state_folder);
    if (!references || !references->state_folder) {
        free(references);
        return err_set(err, ERR_NO_MEMORY, "references: out of memory");
    }
    references->files = (struct range_store){references->state_folder, SHELF, options->budget_bytes};
    references->tell = options->tell;
    references->context = options->context;
    (void)pthread_mutex_init(&references->lock, NULL);
    range_store_clean(&references->files);
    atomic_store(&references->size_bytes, range_store_visit(&references->files, NULL, NULL));
    *ret_references = references;
    return 0;
}

void references_free(struct references *references)
{
    if (!references)
        return;
    (void)pthread_mutex_destroy(&references->lock);
    free(references->state_folder);
    free(references);
}

/* The database must not lack room because of it. */
static int check_room(const struct references *references, uint64_t size_bytes, struct err *err)
{
    struct statvfs info;
    if (statvfs(references->state_folder, &info))
        return 0; /* then writing tells */
    uint64_t free_bytes = (uint64_t)info.f_bavail * info.f_frsize;
    if (size_bytes <= free_bytes / 2)
        return 0;
    return err_set(err, ERR_NO_SPACE,
                   "%s has %.1f MB free, and a tensor of %.1f MB would take more than half of that",
                   references->state_folder, (double)free_bytes / 1e6, (double)size_bytes / 1e6);
}

static void tell(struct references *references, int code, const struct err *reason)
{
    int is_news = references->has_failed != (code != 0);
    references->has_failed = code != 0;
    if (is_news && references->tell)
        references->tell(references->context, code ? reason : NULL);
}

void references_keep(struct references *references, const char *digest, const void *data, uint64_t size_bytes)
{
    struct err reason = ERR_INIT;
    if (!references->files.budget_bytes || !size_bytes ||
        range_store_read(&references->files, digest, 0, size_bytes, NULL))
        return;
    (void)pthread_mutex_lock(&references->lock);
    pulse_beat();
    if (!range_store_read(&references->files, digest, 0, size_bytes, NULL)) {
        int code = check_room(references, size_bytes, &reason);
        if (!code)
            code = range_store_write(&references->files, digest, 0, size_bytes, data, &reason);
        atomic_store(&references->size_bytes, range_store_visit(&references->files, NULL, NULL));
        tell(references, code, &reason);
    }
    (void)pthread_mutex_unlock(&references->lock);
}

int references_read(struct references *references, const char *digest, void *data, uint64_t size_bytes)
{
    return size_bytes && range_store_read(&references->files, digest, 0, size_bytes, data);
}

struct search {
    struct store *store;
    int64_t now_ms;
};

static int is_of_no_use(void *context, const struct range_store_blob *blob)
{
    const struct search *search = context;
    struct err ignored = ERR_INIT;
    int is_reference = 1;
    pulse_beat();
    if (search->now_ms - blob->used_ms < UNUSED_MS)
        return 0;
    int code = displacements_is_reference(search->store, blob->id, &is_reference, &ignored);
    return !code && !is_reference;
}

void references_prune(struct references *references, struct store *store)
{
    struct search search = {.store = store, .now_ms = clock_wall_ms()};
    (void)pthread_mutex_lock(&references->lock);
    atomic_store(&references->size_bytes, range_store_visit(&references->files, is_of_no_use, &search));
    (void)pthread_mutex_unlock(&references->lock);
}

uint64_t references_size(const struct references *references)
{
    return atomic_load(&references->size_bytes);
}
