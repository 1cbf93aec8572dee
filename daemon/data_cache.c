#include "daemon/data_cache.h"

#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/data_file.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES 16 /* sweeps that run at the same time; older ones are asked for again */
#define POLL_MS 50 /* of a thread that waits for another one's download */

struct entry {
    int64_t sweep_id;
    char *name;
    char *path;
};

/* A download under way; it lives on the stack of the thread that does it. */
struct download {
    int64_t sweep_id;
    const char *name;
    struct download *next;
};

struct data_cache {
    struct hub *hub;
    pthread_mutex_t lock; /* guards what follows; nobody holds it while downloading */
    struct entry entries[ENTRIES];
    size_t next;
    struct download *downloads;
};

int data_cache_new(struct hub *hub, struct data_cache **ret_cache, struct err *err)
{
    struct data_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return err_set(err, ERR_NO_MEMORY, "data cache: out of memory");
    cache->hub = hub;
    (void)pthread_mutex_init(&cache->lock, NULL);
    *ret_cache = cache;
    return 0;
}

static void clear_entry(struct entry *entry)
{
    free(entry->name);
    free(entry->path);
    *entry = (struct entry){0};
}

void data_cache_free(struct data_cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < ENTRIES; i++)
        clear_entry(&cache->entries[i]);
    (void)pthread_mutex_destroy(&cache->lock);
    free(cache);
}

static int download(struct data_cache *cache, const char *name, const atomic_bool *cancel, char **ret_path,
                    struct err *err)
{
    char repository_name[LIMIT_MODEL_NAME_BYTES + 1], commit[REPOSITORY_COMMIT_SIZE];
    struct repository *repository = NULL;
    struct repository_tree *tree = NULL;
    const struct repository_file *file = NULL;
    const char *colon = strchr(name, ':');
    size_t length = colon ? (size_t)(colon - name) : strlen(name);
    if (length > LIMIT_MODEL_NAME_BYTES)
        return err_set(err, ERR_INVALID, "data set: the name is too long");
    memcpy(repository_name, name, length);
    repository_name[length] = 0;
    int code =
        hub_open_repository(cache->hub, REPOSITORY_KIND_DATASET, repository_name, cancel, &repository, err);
    if (!code)
        code = repository_resolve(repository, NULL, commit, err);
    if (!code)
        code = repository_list_tree(repository, commit, &tree, err);
    if (!code)
        code = colon ? data_file_find(tree, repository_name, colon + 1, &file, err)
                     : data_file_choose(tree, name, &file, err);
    if (!code)
        code = repository_download_file(repository, commit, file->path, file, ret_path, err);
    repository_tree_free(tree);
    repository_close(repository);
    return code;
}

/* Keeps a copy in place of the oldest; without memory nothing is kept. */
static void keep(struct data_cache *cache, int64_t sweep_id, const char *name, const char *path)
{
    struct entry *entry = &cache->entries[cache->next];
    cache->next = (cache->next + 1) % ENTRIES;
    clear_entry(entry);
    *entry = (struct entry){.sweep_id = sweep_id, .name = strdup(name), .path = strdup(path)};
    if (!entry->name || !entry->path)
        clear_entry(entry);
}

static const char *find(const struct data_cache *cache, int64_t sweep_id, const char *name)
{
    for (size_t i = 0; i < ENTRIES; i++) {
        const struct entry *entry = &cache->entries[i];
        /* Files may be evicted or deleted under us: then it is downloaded again. */
        if (entry->sweep_id == sweep_id && entry->name && strcmp(entry->name, name) == 0 &&
            file_exists(entry->path))
            return entry->path;
    }
    return NULL;
}

static int is_under_way(const struct data_cache *cache, int64_t sweep_id, const char *name)
{
    for (const struct download *download = cache->downloads; download; download = download->next) {
        if (download->sweep_id == sweep_id && strcmp(download->name, name) == 0)
            return 1;
    }
    return 0;
}

/* The lock is held, but not while downloading. */
static int download_and_keep(struct data_cache *cache, int64_t sweep_id, const char *name,
                             const atomic_bool *cancel, char **ret_path, struct err *err)
{
    struct download own = {.sweep_id = sweep_id, .name = name, .next = cache->downloads};
    cache->downloads = &own;
    (void)pthread_mutex_unlock(&cache->lock);
    int code = download(cache, name, cancel, ret_path, err);
    (void)pthread_mutex_lock(&cache->lock);
    struct download **at = &cache->downloads;
    while (*at != &own)
        at = &(*at)->next;
    *at = own.next;
    if (!code)
        keep(cache, sweep_id, name, *ret_path);
    return code;
}

/* Waits for another thread's download of the same. The lock is held, but not while waiting. */
static int wait_a_little(struct data_cache *cache, const atomic_bool *cancel, struct err *err)
{
    if (cancel && atomic_load(cancel))
        return err_set(err, ERR_CANCELLED, "cancelled while another task was downloading it");
    (void)pthread_mutex_unlock(&cache->lock);
    clock_sleep_ms(POLL_MS);
    (void)pthread_mutex_lock(&cache->lock);
    return 0;
}

int data_cache_get(struct data_cache *cache, int64_t sweep_id, const char *name, const atomic_bool *cancel,
                   char **ret_path, struct err *err)
{
    char *path = NULL;
    int code = 0;
    if (strncmp(name, "file:", 5) == 0) {
        path = strdup(name + 5);
        if (!path)
            return err_set(err, ERR_NO_MEMORY, "data set: out of memory");
        *ret_path = path;
        return 0;
    }
    (void)pthread_mutex_lock(&cache->lock);
    while (!code && !path) {
        const char *kept = find(cache, sweep_id, name);
        if (kept) {
            path = strdup(kept);
            code = path ? 0 : err_set(err, ERR_NO_MEMORY, "data set: out of memory");
        } else if (is_under_way(cache, sweep_id, name)) {
            code = wait_a_little(cache, cancel, err);
        } else {
            code = download_and_keep(cache, sweep_id, name, cancel, &path, err);
        }
    }
    (void)pthread_mutex_unlock(&cache->lock);
    if (!code)
        *ret_path = path;
    return code;
}
