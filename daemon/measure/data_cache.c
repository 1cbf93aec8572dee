#include "daemon/measure/data_cache.h"

#include "daemon/base/file.h"
#include "daemon/base/keyed_lock.h"
#include "daemon/base/limits.h"
#include "daemon/base/local_name.h"
#include "daemon/measure/data_file.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES 16 /* sweeps that run at the same time; older ones are asked for again */

struct entry {
    int64_t sweep_id;
    char *name;
    char *path;
};

struct data_cache {
    struct hub *hub;
    struct keyed_locks downloads; /* of a sweep and a name */
    pthread_mutex_t lock;         /* of the entries; nobody holds it while downloading */
    struct entry entries[ENTRIES];
    size_t next;
};

int data_cache_new(struct hub *hub, struct data_cache **ret_cache, struct err *err)
{
    struct data_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return err_set(err, ERR_NO_MEMORY, "data cache: out of memory");
    cache->hub = hub;
    keyed_locks_init(&cache->downloads);
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
    keyed_locks_destroy(&cache->downloads);
    free(cache);
}

static int download(struct data_cache *cache, const char *name, int is_known, const atomic_bool *cancel,
                    char **ret_path, struct err *err)
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
    if (!code && is_known)
        hub_expect_repository(repository);
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
    (void)pthread_mutex_lock(&cache->lock);
    struct entry *entry = &cache->entries[cache->next];
    cache->next = (cache->next + 1) % ENTRIES;
    clear_entry(entry);
    *entry = (struct entry){.sweep_id = sweep_id, .name = strdup(name), .path = strdup(path)};
    if (!entry->name || !entry->path)
        clear_entry(entry);
    (void)pthread_mutex_unlock(&cache->lock);
}

/* A copy of the kept path, or NULL where there is none. */
static int find(struct data_cache *cache, int64_t sweep_id, const char *name, char **ret_path,
                struct err *err)
{
    int code = 0;
    *ret_path = NULL;
    (void)pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < ENTRIES && !code && !*ret_path; i++) {
        const struct entry *entry = &cache->entries[i];
        /* Files may be evicted or deleted under us: then it is downloaded again. */
        if (entry->sweep_id == sweep_id && entry->name && strcmp(entry->name, name) == 0 &&
            file_exists(entry->path)) {
            *ret_path = strdup(entry->path);
            code = *ret_path ? 0 : err_set(err, ERR_NO_MEMORY, "data set: out of memory");
        }
    }
    (void)pthread_mutex_unlock(&cache->lock);
    return code;
}

/* Whether an earlier sweep has had it, so that its name is right. */
static int is_known(struct data_cache *cache, const char *name)
{
    int found = 0;
    (void)pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < ENTRIES && !found; i++)
        found = cache->entries[i].name && strcmp(cache->entries[i].name, name) == 0;
    (void)pthread_mutex_unlock(&cache->lock);
    return found;
}

/* It is gone for longer than the hub is asked again; the sweep's other tasks need not find that out, too. */
static void forget(struct data_cache *cache, const char *name)
{
    (void)pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < ENTRIES; i++) {
        if (cache->entries[i].name && strcmp(cache->entries[i].name, name) == 0)
            clear_entry(&cache->entries[i]);
    }
    (void)pthread_mutex_unlock(&cache->lock);
}

int data_cache_get(struct data_cache *cache, int64_t sweep_id, const char *name, const atomic_bool *cancel,
                   char **ret_path, struct err *err)
{
    struct keyed_lock own = {.number = sweep_id, .name = name};
    char *path = NULL;
    if (local_name_is(name)) {
        path = strdup(local_name_path(name));
        if (!path)
            return err_set(err, ERR_NO_MEMORY, "data set: out of memory");
        *ret_path = path;
        return 0;
    }
    int code = keyed_locks_take(&cache->downloads, &own, cancel, err);
    if (code)
        return code;
    code = find(cache, sweep_id, name, &path, err);
    if (!code && !path) {
        code = download(cache, name, is_known(cache, name), cancel, &path, err);
        if (!code)
            keep(cache, sweep_id, name, path);
        else if (code == ERR_NOT_FOUND || code == ERR_GATED || code == ERR_UNAUTHORIZED)
            forget(cache, name);
    }
    keyed_locks_give(&cache->downloads, &own);
    if (!code)
        *ret_path = path;
    return code;
}
