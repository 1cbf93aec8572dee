#include "daemon/hub/hub_repository.h"

#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/hub/client.h"
#include "daemon/hub/offline.h"
#include "daemon/hub/view.h"

#include <stdlib.h>
#include <string.h>

static struct hub_repository *cast(struct repository *repository)
{
    return (struct hub_repository *)repository;
}

static int check_file(const char *commit, const char *path, struct err *err)
{
    int code = client_check_commit(commit, err);
    if (!code && !file_is_safe_relative(path))
        code = err_set(err, ERR_INVALID, "%.100s: not a path inside of the repository", path);
    return code;
}

/* The path of a file whose whole content is in the cache, or NULL. Where there are no symbolic links, or a
 * copy followed them, a snapshot has its files and there may be no blobs. */
static char *find_cached(struct hub_repository *hub_repository, const char *commit, const char *path,
                         const struct repository_file *expected)
{
    struct cache *cache = &hub_repository->cache;
    char *blob = NULL;
    if (expected)
        blob = cache_find_blob(cache, expected->sha256[0] ? expected->sha256 : expected->git_oid,
                               expected->size_bytes);
    return blob ? blob : cache_find_file(cache, commit, path, expected ? &expected->size_bytes : NULL);
}

static int open_cached(struct hub_repository *hub_repository, const char *path, struct source **ret_source,
                       struct err *err)
{
    int code = source_open_file(path, ret_source, err);
    if (!code)
        client_note_cache_hit(hub_repository, path);
    return code;
}

/* A file may be evicted between its download and here when the budget is small: then once more. */
static int open_downloaded(struct hub_repository *hub_repository, const char *commit, const char *path,
                           const struct repository_file *expected, struct source **ret_source,
                           struct err *err)
{
    int code = ERR_NOT_FOUND;
    for (int round = 0; round < 2 && code == ERR_NOT_FOUND; round++) {
        char *local = NULL;
        code = download_file(hub_repository, commit, path, expected, 1, &local, err);
        if (code)
            break;
        code = source_open_file(local, ret_source, err);
        free(local);
    }
    return code;
}

static int keeps_files(const struct hub_repository *hub_repository)
{
    const struct hub_options *options = &hub_repository->hub->options;
    return options->keep == HUB_KEEP_FILES && !options->is_offline;
}

/* A blob that is there for another commit gets its link and ref at this one, so that it is found here without
 * the hub, too. The content is at hand: what fails here is missed only then. */
static void keep_snapshot(struct hub_repository *hub_repository, const char *commit, const char *path,
                          const struct repository_file *expected)
{
    struct err ignored = ERR_INIT;
    char *linked = NULL;
    if (expected && download_file(hub_repository, commit, path, expected, 0, &linked, &ignored) == 0)
        free(linked);
}

static int open_file(struct repository *repository, const char *commit, const char *path,
                     const struct repository_file *expected, struct source **ret_source, struct err *err)
{
    struct hub_repository *hub_repository = cast(repository);
    int code = check_file(commit, path, err);
    if (code)
        return code;
    char *local = find_cached(hub_repository, commit, path, expected);
    if (local && keeps_files(hub_repository))
        keep_snapshot(hub_repository, commit, path, expected);
    code = local ? open_cached(hub_repository, local, ret_source, err) : ERR_NOT_FOUND;
    free(local);
    if (code != ERR_NOT_FOUND)
        return code;
    /* It is not there, or no more: evicted since it was found. */
    if (hub_repository->hub->options.is_offline)
        return offline_refuse(hub_repository, path, commit, err);
    return keeps_files(hub_repository)
               ? open_downloaded(hub_repository, commit, path, expected, ret_source, err)
               : remote_open(hub_repository, commit, path, expected, ret_source, err);
}

static int fetch_remote(struct hub_repository *hub_repository, const char *commit, const char *path,
                        const struct repository_file *expected, struct buf *buf, struct err *err)
{
    struct source *source = NULL;
    int code = remote_open(hub_repository, commit, path, expected, &source, err);
    if (code)
        return code;
    if (source->size_bytes > buf->max - buf->size) {
        code = err_set(err, ERR_LIMIT, "%s: larger than the limit of %zu bytes", path, buf->max);
    } else {
        char *place = buf_reserve(buf, (size_t)source->size_bytes);
        code = place ? source_read(source, 0, place, (size_t)source->size_bytes, err)
                     : buf_check(buf, path, err);
        if (!code) {
            buf->size += (size_t)source->size_bytes;
            buf->data[buf->size] = 0;
        }
    }
    source_close(source);
    return code;
}

/* Whether a file that could not be kept may yet be read: the disk is at fault, not the hub. */
static int is_of_keeping(int code)
{
    return code == ERR_IO || code == ERR_NO_SPACE || code == ERR_LIMIT || code == ERR_UNSUPPORTED;
}

/* With keep = files a small file is kept beside the weights, which without it could not be read offline. */
static int fetch_kept(struct hub_repository *hub_repository, const char *commit, const char *path,
                      const struct repository_file *expected, struct buf *buf, struct err *err)
{
    char *local = NULL;
    if (!expected || !keeps_files(hub_repository) || expected->size_bytes > buf->max - buf->size)
        return fetch_remote(hub_repository, commit, path, expected, buf, err);
    int code = download_file(hub_repository, commit, path, expected, 0, &local, err);
    const int is_kept = !code;
    if (is_kept)
        code = file_read(local, buf, err);
    free(local);
    if (!code || !(is_kept || is_of_keeping(code)))
        return code;
    *err = (struct err)ERR_INIT;
    return fetch_remote(hub_repository, commit, path, expected, buf, err);
}

static int fetch_file(struct repository *repository, const char *commit, const char *path,
                      const struct repository_file *expected, struct buf *buf, struct err *err)
{
    struct hub_repository *hub_repository = cast(repository);
    int code = check_file(commit, path, err);
    if (code)
        return code;
    char *local = find_cached(hub_repository, commit, path, expected);
    if (local && keeps_files(hub_repository))
        keep_snapshot(hub_repository, commit, path, expected);
    code = local ? file_read(local, buf, err) : ERR_NOT_FOUND;
    if (!code) {
        client_note_cache_hit(hub_repository, local);
    } else if (code == ERR_NOT_FOUND && hub_repository->hub->options.is_offline) {
        code = offline_refuse(hub_repository, path, commit, err);
    } else if (code == ERR_NOT_FOUND) { /* as above */
        code = fetch_kept(hub_repository, commit, path, expected, buf, err);
        if (code == ERR_MISMATCH) /* one flipped bit on the way is worth a second try */
            code = fetch_remote(hub_repository, commit, path, expected, buf, err);
    }
    free(local);
    return code;
}

static int download(struct repository *repository, const char *commit, const char *path,
                    const struct repository_file *expected, char **ret_path, struct err *err)
{
    int code = check_file(commit, path, err);
    return code ? code : download_file(cast(repository), commit, path, expected, 1, ret_path, err);
}

static int ask_file(struct repository *repository, const char *commit, const char *path,
                    struct repository_file *ret_file, struct err *err)
{
    struct hub_repository *hub_repository = cast(repository);
    struct buf url;
    int code = check_file(commit, path, err);
    if (code)
        return code;
    if (hub_repository->hub->options.is_offline)
        return offline_refuse(hub_repository, path, commit, err);
    buf_init(&url, LIMIT_URL_BYTES);
    client_append_resolve(hub_repository, commit, path, &url);
    code = buf_check(&url, path, err);
    if (!code)
        code = request_ask_file(hub_repository, url.data, commit, ret_file, err);
    buf_free(&url);
    return code;
}

static int ask_access(struct repository *repository, const char *commit, const char *path, struct err *err)
{
    return ask_file(repository, commit, path, NULL, err);
}

static void read_counters(struct repository *repository, struct repository_counters *counters)
{
    usage_read(&cast(repository)->usage, counters);
}

static void close_repository(struct repository *repository)
{
    struct hub_repository *hub_repository = cast(repository);
    for (size_t i = 0; i < hub_repository->resolved.count; i++)
        free(hub_repository->resolved.rows[i].name);
    free(hub_repository->resolved.rows);
    cache_free(&hub_repository->cache);
    (void)pthread_mutex_destroy(&hub_repository->mutex);
    free(hub_repository->name);
    free(hub_repository);
}

static const struct repository_ops hub_repository_ops = {
    .list_refs = listing_refs,
    .resolve = view_resolve,
    .list_tree = listing_tree,
    .list_commits = listing_commits,
    .open_file = open_file,
    .fetch_file = fetch_file,
    .download_file = download,
    .ask_access = ask_access,
    .ask_file = ask_file,
    .counters = read_counters,
    .close = close_repository,
};

struct hub_repository *client_repository_of(struct repository *repository)
{
    return repository->ops == &hub_repository_ops ? cast(repository) : NULL;
}

int hub_repository_open(struct hub *hub, enum repository_kind kind, const char *name,
                        const atomic_bool *cancel, struct repository **ret_repository, struct err *err)
{
    struct hub_repository *hub_repository = calloc(1, sizeof *hub_repository);
    if (!hub_repository)
        return err_set(err, ERR_NO_MEMORY, "hub: out of memory");
    hub_repository->hub = hub;
    hub_repository->kind = kind;
    (void)pthread_mutex_init(&hub_repository->mutex, NULL);
    hub_repository->name = strdup(name);
    hub_repository->repository =
        (struct repository){.ops = &hub_repository_ops, .name = hub_repository->name, .cancel = cancel};
    int code = hub_repository->name
                   ? cache_init(&hub_repository->cache, hub->options.cache_folder, kind, name, err)
                   : err_set(err, ERR_NO_MEMORY, "hub: out of memory");
    if (code) {
        close_repository(&hub_repository->repository);
        return code;
    }
    *ret_repository = &hub_repository->repository;
    return 0;
}
