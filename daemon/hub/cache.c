#include "daemon/hub/cache.h"

#include "daemon/base/digest.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* "a/b" -> "a--b" */
static void append_name(struct buf *path, const char *name)
{
    for (; *name; name++)
        (void)buf_append_text(path, *name == '/' ? "--" : (const char[]){*name, 0});
}

static char *format_folder(const char *root, const char *between, enum repository_kind kind, const char *name)
{
    struct buf path;
    buf_init(&path, 64 * KIB);
    (void)buf_appendf(&path, "%s/%s%s--", root, between,
                      kind == REPOSITORY_KIND_MODEL ? "models" : "datasets");
    append_name(&path, name);
    char *text = buf_take(&path);
    buf_free(&path);
    return text;
}

int cache_init(struct cache *cache, const char *root, enum repository_kind kind, const char *name,
               struct err *err)
{
    *cache = (struct cache){
        .root = strdup(root),
        .folder = format_folder(root, "", kind, name),
        .locks_folder = format_folder(root, ".locks/", kind, name),
    };
    if (cache->root && cache->folder && cache->locks_folder)
        return 0;
    cache_free(cache);
    return err_set(err, ERR_NO_MEMORY, "cache: out of memory");
}

void cache_free(struct cache *cache)
{
    free(cache->root);
    free(cache->folder);
    free(cache->locks_folder);
    *cache = (struct cache){0};
}

/* "<folder>/<a>/<b><c>" as a new string. */
static char *join(const struct cache *cache, const char *a, const char *b, const char *c)
{
    struct buf path;
    buf_init(&path, 64 * KIB);
    (void)buf_appendf(&path, "%s/%s/%s%s", cache->folder, a, b, c);
    char *text = buf_take(&path);
    buf_free(&path);
    return text;
}

static char *snapshot_path(const struct cache *cache, const char *commit, const char *path)
{
    char *folder = join(cache, "snapshots", commit, "");
    char *full = folder ? file_join(folder, path) : NULL;
    free(folder);
    return full;
}

static int is_file(const char *path, const uint64_t *size_bytes)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) &&
           (!size_bytes || (uint64_t)status.st_size == *size_bytes);
}

char *cache_find_file(const struct cache *cache, const char *commit, const char *path,
                      const uint64_t *size_bytes)
{
    char *full = snapshot_path(cache, commit, path);
    if (full && is_file(full, size_bytes))
        return full;
    free(full);
    return NULL;
}

char *cache_blob_path(const struct cache *cache, const char *id)
{
    return join(cache, "blobs", id, "");
}

char *cache_partial_path(const struct cache *cache, const char *id)
{
    return join(cache, "blobs", id, ".b1f0ca7e.incomplete");
}

char *cache_find_blob(const struct cache *cache, const char *id, uint64_t size_bytes)
{
    char *path = id[0] ? cache_blob_path(cache, id) : NULL;
    if (path && is_file(path, &size_bytes))
        return path;
    free(path);
    return NULL;
}

/* -- Writing --------------------------------------------------------------------------------------- */

/* Marks the root for backup programs, as Python does. Others may do so at the same time: no harm. */
static int write_tag(const struct cache *cache, struct err *err)
{
    static const char text[] = "Signature: 8a477f597d28d172789f06886806bc55\n"
                               "# This directory is a cache of the Hugging Face hub; it may be deleted.\n";
    char *path = file_join(cache->root, "CACHEDIR.TAG");
    int code = 0;
    if (path && !file_exists(path))
        code = file_write_atomic(path, text, sizeof text - 1, 0644, err);
    free(path);
    return code;
}

int cache_make_folders(const struct cache *cache, struct err *err)
{
    static const char *const names[] = {"blobs", "snapshots", "refs"};
    int code = file_make_folders(cache->locks_folder, 0777, err);
    for (size_t i = 0; !code && i < sizeof names / sizeof names[0]; i++) {
        char *path = file_join(cache->folder, names[i]);
        code =
            path ? file_make_folders(path, 0777, err) : err_set(err, ERR_NO_MEMORY, "cache: out of memory");
        free(path);
    }
    if (!code)
        code = write_tag(cache, err);
    return code ? err_wrap(err, "hub cache") : 0;
}

/* One try: a descriptor that holds the lock, -1 if somebody else does, -2 with errno. */
static int try_lock(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0664);
    if (fd < 0)
        return -2;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int failed = errno;
        (void)close(fd);
        errno = failed;
        return failed == EWOULDBLOCK || failed == EINTR ? -1 : -2;
    }
    /* Somebody may have removed the file between opening and locking: then this lock excludes nobody. */
    if (fstat(fd, &status) == 0 && status.st_nlink > 0)
        return fd;
    (void)close(fd);
    return -1;
}

int cache_lock(const struct cache *cache, const char *id, int *ret_fd, struct err *err)
{
    struct buf path;
    buf_init(&path, 64 * KIB);
    (void)buf_appendf(&path, "%s/%s.lock", cache->locks_folder, id);
    int code = buf_check(&path, "lock", err);
    if (!code) {
        int fd = try_lock(path.data);
        if (fd >= 0)
            *ret_fd = fd;
        else
            code = fd == -1 ? 1 : err_set_errno(err, errno, "%s: cannot lock", path.data);
    }
    buf_free(&path);
    return code;
}

void cache_unlock(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

static void sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    (void)close(fd);
}

int cache_publish(const struct cache *cache, const char *id, struct err *err)
{
    char *from = cache_partial_path(cache, id), *to = cache_blob_path(cache, id);
    char *folder = file_join(cache->folder, "blobs");
    int code = 0;
    if (!from || !to || !folder)
        code = err_set(err, ERR_NO_MEMORY, "cache: out of memory");
    else if (rename(from, to) == 0)
        sync_folder(folder);
    else if (errno == ENOENT)
        code = err_set(err, ERR_CONFLICT, "%s: another program removed this download before it was finished",
                       from);
    else
        code = err_set_errno(err, errno, "%s: cannot rename the finished download", from);
    free(from);
    free(to);
    free(folder);
    return code;
}

/* "../../blobs/<id>" with one more "../" for each folder in the path. */
static char *link_target(const char *path, const char *id)
{
    struct buf target;
    buf_init(&target, 64 * KIB);
    (void)buf_append_text(&target, "../../");
    for (; *path; path++) {
        if (*path == '/')
            (void)buf_append_text(&target, "../");
    }
    (void)buf_appendf(&target, "blobs/%s", id);
    char *text = buf_take(&target);
    buf_free(&target);
    return text;
}

/* A link by another name is renamed over what stood there, so that readers see the old or the new one. */
static int replace_link(const char *target, const char *full, struct err *err)
{
    struct buf temporary;
    int code = 0;
    buf_init(&temporary, 64 * KIB);
    (void)buf_appendf(&temporary, "%s.%d.%p.tmp", full, (int)getpid(), (const void *)&temporary);
    code = buf_check(&temporary, "link", err);
    if (!code && (symlink(target, temporary.data) != 0 || rename(temporary.data, full) != 0)) {
        code = err_set_errno(err, errno, "%s: cannot link", full);
        (void)unlink(temporary.data);
    }
    buf_free(&temporary);
    return code;
}

static int make_parent(const char *path, struct err *err)
{
    char *folder = strdup(path);
    if (!folder)
        return err_set(err, ERR_NO_MEMORY, "cache: out of memory");
    *strrchr(folder, '/') = 0;
    int code = file_make_folders(folder, 0777, err);
    free(folder);
    return code;
}

int cache_link(const struct cache *cache, const char *commit, const char *path, const char *id,
               struct err *err)
{
    char *full = snapshot_path(cache, commit, path), *target = link_target(path, id);
    char *blob = cache_blob_path(cache, id);
    struct stat status;
    int code = 0;
    if (!full || !target || !blob) {
        code = err_set(err, ERR_NO_MEMORY, "cache: out of memory");
        goto out;
    }
    if (stat(blob, &status) != 0) {
        code = err_set_errno(err, errno, "%s: vanished before it was linked", blob);
        goto out;
    }
    uint64_t size_bytes = (uint64_t)status.st_size;
    if (is_file(full, &size_bytes))
        goto out;
    code = make_parent(full, err);
    if (code)
        goto out;
    if (symlink(target, full) != 0)
        code = errno == EEXIST ? replace_link(target, full, err)
                               : err_set_errno(err, errno, "%s: cannot link", full);
out:
    free(full);
    free(target);
    free(blob);
    return code;
}

/* -- Refs ------------------------------------------------------------------------------------------ */

/* Whether a ref has no place: another one is a file where it needs a folder, or the other way round. */
static int is_blocked(const struct cache *cache, const char *revision, struct err *err)
{
    struct stat status;
    char *path = join(cache, "refs", revision, "");
    char *end = path ? path + strlen(path) : NULL;
    const char *first = path ? end - strlen(revision) : NULL;
    int blocks = path && stat(path, &status) == 0 && S_ISDIR(status.st_mode);
    while (path && !blocks && (end = memrchr(first, '/', (size_t)(end - first)))) {
        *end = 0;
        blocks = stat(path, &status) == 0 && !S_ISDIR(status.st_mode);
    }
    if (blocks)
        (void)err_set(
            err, ERR_CONFLICT,
            "the cache has no place for its commit beside %s: delete that if it is not needed, or name "
            "the commit",
            path);
    free(path);
    return blocks;
}

int cache_read_ref(const struct cache *cache, const char *revision, char *commit, struct err *err)
{
    struct buf text;
    if (!file_is_safe_relative(revision))
        return err_set(err, ERR_NOT_FOUND, "no such revision in the cache");
    buf_init(&text, 256);
    char *path = join(cache, "refs", revision, "");
    int code = path ? file_read(path, &text, err) : err_set(err, ERR_NO_MEMORY, "cache: out of memory");
    if (code && is_blocked(cache, revision, err))
        code = err->code;
    if (!code && text.size && text.data[text.size - 1] == '\n')
        text.data[--text.size] = 0; /* not Python's way, but harmless to read */
    if (!code && !digest_is_hex(buf_text(&text), REPOSITORY_COMMIT_SIZE - 1))
        code = err_set(err, ERR_FORMAT, "%s: not a commit of 40 digits: delete this file", path);
    if (!code)
        (void)snprintf(commit, REPOSITORY_COMMIT_SIZE, "%s", text.data);
    free(path);
    buf_free(&text);
    return code;
}

int cache_write_ref(const struct cache *cache, const char *revision, const char *commit, struct err *err)
{
    char known[REPOSITORY_COMMIT_SIZE];
    if (!file_is_safe_relative(revision))
        return 0; /* a name that cannot be a path is looked up at the hub each time */
    struct err ignored = ERR_INIT;
    if (cache_read_ref(cache, revision, known, &ignored) == 0 && strcmp(known, commit) == 0)
        return 0;
    char *path = join(cache, "refs", revision, "");
    int code = path ? make_parent(path, err) : err_set(err, ERR_NO_MEMORY, "cache: out of memory");
    if (!code)
        (void)rmdir(path); /* an empty folder that refs below it left behind */
    if (!code)
        code = file_write_atomic(path, commit, REPOSITORY_COMMIT_SIZE - 1, 0644, err);
    if (code && is_blocked(cache, revision, err))
        code = err->code;
    free(path);
    return code;
}
