/* Removing a blob and every trace of it that would mislead a reader. */
#include "daemon/hub/cache.h"

#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/hub/walk.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER_DEPTH_MAX 16

struct removal {
    const char *id;
    size_t other_count; /* files of the snapshot that are not links to the blob */
    size_t link_count;
    int removes;
};

static int is_link_to(const char *path, const char *id)
{
    char target[PATH_MAX];
    ssize_t size = readlink(path, target, sizeof target - 1);
    if (size <= 0)
        return 0;
    target[size] = 0;
    const char *slash = strrchr(target, '/');
    return strcmp(slash ? slash + 1 : target, id) == 0;
}

static int visit(void *context, const char *path, const char *relative, const struct stat *status,
                 struct err *err)
{
    struct removal *removal = context;
    (void)status;
    (void)err;
    if (!is_link_to(path, removal->id)) {
        removal->other_count++;
        return 0;
    }
    removal->link_count++;
    if (!removal->removes)
        return 0;
    (void)unlink(path);
    /* Folders that became empty: as many levels as the relative path has. */
    char *folder = strdup(path);
    for (const char *p = relative; folder && strchr(p, '/'); p = strchr(p, '/') + 1) {
        *strrchr(folder, '/') = 0;
        if (rmdir(folder) != 0)
            break;
    }
    free(folder);
    return 0;
}

struct unref {
    const struct cache *cache;
    const char *commit;
};

static int visit_ref(void *context, const char *path, const char *relative, const struct stat *status,
                     struct err *err)
{
    const struct unref *unref = context;
    char commit[REPOSITORY_COMMIT_SIZE];
    struct err ignored = ERR_INIT;
    (void)status;
    (void)err;
    if (cache_read_ref(unref->cache, relative, commit, &ignored) == 0 && strcmp(commit, unref->commit) == 0)
        (void)unlink(path);
    return 0;
}

/* A ref must not lead to a snapshot that is gone, so it goes first. */
static int unlink_in_snapshot(const struct cache *cache, const char *snapshots, const char *commit,
                              const char *id, struct err *err)
{
    struct removal removal = {.id = id};
    struct unref unref = {.cache = cache, .commit = commit};
    char *folder = file_join(snapshots, commit), *refs = file_join(cache->folder, "refs");
    int code = folder && refs ? 0 : err_set(err, ERR_NO_MEMORY, "cache: out of memory");
    if (!code)
        code = walk_files(folder, FOLDER_DEPTH_MAX, visit, &removal, err);
    if (!code && removal.link_count) {
        if (!removal.other_count)
            code = walk_files(refs, FOLDER_DEPTH_MAX, visit_ref, &unref, err);
        removal.removes = 1;
        if (!code)
            code = walk_files(folder, FOLDER_DEPTH_MAX, visit, &removal, err);
        if (!code)
            (void)rmdir(folder); /* only if it is empty now */
    }
    free(folder);
    free(refs);
    return code;
}

static int unlink_everywhere(const struct cache *cache, const char *id, struct err *err)
{
    int code = 0;
    char *snapshots = file_join(cache->folder, "snapshots");
    DIR *stream = snapshots ? opendir(snapshots) : NULL;
    for (struct dirent *entry = stream ? readdir(stream) : NULL; entry && !code; entry = readdir(stream)) {
        if (entry->d_name[0] != '.')
            code = unlink_in_snapshot(cache, snapshots, entry->d_name, id, err);
    }
    if (stream)
        (void)closedir(stream);
    free(snapshots);
    return code;
}

void cache_identify(const struct stat *status, struct cache_identity *ret_identity)
{
    *ret_identity = (struct cache_identity){.inode = (uint64_t)status->st_ino,
                                            .changed_s = (uint64_t)status->st_mtim.tv_sec,
                                            .changed_ns = (uint64_t)status->st_mtim.tv_nsec};
}

static int is_identical(const char *path, const struct cache_identity *identity)
{
    struct stat status;
    struct cache_identity found;
    if (lstat(path, &status) != 0)
        return 0;
    cache_identify(&status, &found);
    return found.inode == identity->inode && found.changed_s == identity->changed_s &&
           found.changed_ns == identity->changed_ns;
}

int cache_remove_blob(const struct cache *cache, const char *id, const struct cache_identity *ours,
                      struct err *err)
{
    int code = 0;
    char *blob = cache_blob_path(cache, id), *partial = cache_partial_path(cache, id);
    if (!blob || !partial)
        code = err_set(err, ERR_NO_MEMORY, "cache: out of memory");
    int is_ours = !code && is_identical(blob, ours);
    if (is_ours)
        code = unlink_everywhere(cache, id, err);
    if (!code && is_ours && unlink(blob) != 0 && errno != ENOENT)
        code = err_set_errno(err, errno, "%s: cannot remove", blob);
    if (!code)
        (void)unlink(partial);
    free(blob);
    free(partial);
    return code;
}
