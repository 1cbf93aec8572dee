#include "daemon/hub/ledger.h"

#include "daemon/base/checked.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRIES_MAX 1000000

struct entry {
    char *name; /* "<models--owner--name>@<blob id>" */
    uint64_t size_bytes;
    struct timespec used;
};

struct entries {
    size_t count, capacity;
    struct entry *rows;
    uint64_t total_bytes;
};

static char *entry_path(const char *state_folder, const struct cache *cache, const char *id)
{
    struct buf path;
    const char *slash = strrchr(cache->folder, '/');
    buf_init(&path, 64 * KIB);
    (void)buf_appendf(&path, "%s/fetched/%s@%s", state_folder, slash ? slash + 1 : cache->folder, id);
    char *text = buf_take(&path);
    buf_free(&path);
    return text;
}

/* -- Reading ------------------------------------------------------------------------------------------------
 */

static void free_entries(struct entries *entries)
{
    for (size_t i = 0; i < entries->count; i++)
        free(entries->rows[i].name);
    free(entries->rows);
}

static int read_size(const char *path, uint64_t *size_bytes)
{
    struct buf text;
    struct err ignored = ERR_INIT;
    buf_init(&text, 64);
    int code = file_read(path, &text, &ignored);
    char *end = NULL;
    if (!code)
        *size_bytes = strtoull(buf_text(&text), &end, 10);
    if (!code && (end == text.data || *end))
        code = ERR_FORMAT;
    buf_free(&text);
    return code;
}

static int append_entry(struct entries *entries, const char *folder, const char *name, struct err *err)
{
    struct stat status;
    struct entry entry = {0};
    char *path = file_join(folder, name);
    int code = path ? 0 : err_set(err, ERR_NO_MEMORY, "ledger: out of memory");
    /* An entry that cannot be read protects its blob for ever; that is the safe side. */
    if (code || stat(path, &status) != 0 || read_size(path, &entry.size_bytes) ||
        checked_add_u64(entries->total_bytes, entry.size_bytes, &entries->total_bytes))
        goto out;
    if (entries->count == entries->capacity) {
        size_t capacity = entries->capacity ? 2 * entries->capacity : 64;
        struct entry *rows = capacity > ENTRIES_MAX ? NULL : realloc(entries->rows, capacity * sizeof *rows);
        if (!rows) {
            code = err_set(err, ERR_NO_MEMORY, "ledger: out of memory");
            goto out;
        }
        entries->rows = rows;
        entries->capacity = capacity;
    }
    entry.name = strdup(name);
    entry.used = status.st_mtim;
    if (entry.name)
        entries->rows[entries->count++] = entry;
    else
        code = err_set(err, ERR_NO_MEMORY, "ledger: out of memory");
out:
    free(path);
    return code;
}

static int compare_use(const void *a, const void *b)
{
    const struct timespec *x = &((const struct entry *)a)->used, *y = &((const struct entry *)b)->used;
    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? -1 : 1;
    return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

/* All entries, the least recently used first. */
static int read_entries(const char *folder, struct entries *entries, struct err *err)
{
    int code = 0;
    DIR *stream = opendir(folder);
    if (!stream)
        return err_set_errno(err, errno, "%s: cannot read the ledger", folder);
    for (struct dirent *entry = readdir(stream); entry && !code; entry = readdir(stream)) {
        if (entry->d_name[0] != '.' && strchr(entry->d_name, '@'))
            code = append_entry(entries, folder, entry->d_name, err);
    }
    (void)closedir(stream);
    if (!code && entries->count)
        qsort(entries->rows, entries->count, sizeof *entries->rows, compare_use);
    return code;
}

/* -- Evicting -----------------------------------------------------------------------------------------------
 */

/* Removes the blob of an entry; 1 if it is in use by a writer and stays. */
static int evict(const char *folder, const struct cache *any_cache, const struct entry *entry,
                 struct err *err)
{
    struct cache cache = {.root = any_cache->root};
    struct buf text;
    const char *at = strrchr(entry->name, '@');
    int code;
    buf_init(&text, 64 * KIB);
    (void)buf_appendf(&text, "%.*s", (int)(at - entry->name), entry->name);
    cache.folder = file_join(cache.root, buf_text(&text));
    buf_clear(&text);
    (void)buf_appendf(&text, "%s/.locks/%.*s", cache.root, (int)(at - entry->name), entry->name);
    cache.locks_folder = strdup(buf_text(&text));
    char *path = file_join(folder, entry->name);
    if (!cache.folder || !cache.locks_folder || !path || text.failed) {
        code = err_set(err, ERR_NO_MEMORY, "ledger: out of memory");
        goto out;
    }
    code = cache_remove_blob(&cache, at + 1, err);
    if (!code)
        (void)unlink(path);
out:
    buf_free(&text);
    free(cache.folder);
    free(cache.locks_folder);
    free(path);
    return code;
}

static int make_room(const char *folder, const struct cache *cache, const char *own_name, uint64_t size_bytes,
                     uint64_t budget_bytes, struct err *err)
{
    struct entries entries = {0};
    uint64_t need = 0;
    int code = read_entries(folder, &entries, err);
    for (size_t i = 0; i < entries.count; i++) {
        if (strcmp(entries.rows[i].name, own_name) == 0)
            entries.total_bytes -= entries.rows[i].size_bytes; /* an earlier try of the same blob */
    }
    for (size_t i = 0; i < entries.count && !code; i++) {
        if (!checked_add_u64(entries.total_bytes, size_bytes, &need) && need <= budget_bytes)
            break;
        if (strcmp(entries.rows[i].name, own_name) == 0)
            continue;
        int kept = evict(folder, cache, &entries.rows[i], err);
        if (kept < 0)
            code = kept;
        else if (!kept)
            entries.total_bytes -= entries.rows[i].size_bytes;
    }
    if (!code && (checked_add_u64(entries.total_bytes, size_bytes, &need) || need > budget_bytes))
        code = err_set(err, ERR_LIMIT,
                       "the file has %" PRIu64 " MiB and does not fit into the cache budget of %" PRIu64
                       " MiB: raise the budget, or keep no whole files",
                       (uint64_t)(size_bytes / MIB), (uint64_t)(budget_bytes / MIB));
    free_entries(&entries);
    return code;
}

static int lock_ledger(const char *folder, int *ret_fd, struct err *err)
{
    int code = file_make_folders(folder, 0700, err);
    char *path = code ? NULL : file_join(folder, ".lock");
    if (!code && !path)
        code = err_set(err, ERR_NO_MEMORY, "ledger: out of memory");
    int fd = code ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (!code && fd < 0)
        code = err_set_errno(err, errno, "%s: cannot open", path);
    while (!code && flock(fd, LOCK_EX) != 0) {
        if (errno != EINTR)
            code = err_set_errno(err, errno, "%s: cannot lock", path);
    }
    free(path);
    if (!code)
        *ret_fd = fd;
    else if (fd >= 0)
        (void)close(fd);
    return code;
}

int ledger_reserve(const char *state_folder, const struct cache *cache, const char *id, uint64_t size_bytes,
                   uint64_t budget_bytes, struct err *err)
{
    char text[32];
    int fd = -1, code = 0;
    char *folder = file_join(state_folder, "fetched");
    char *path = entry_path(state_folder, cache, id);
    if (!folder || !path)
        code = err_set(err, ERR_NO_MEMORY, "ledger: out of memory");
    if (!code)
        code = lock_ledger(folder, &fd, err);
    if (!code && budget_bytes)
        code = make_room(folder, cache, strrchr(path, '/') + 1, size_bytes, budget_bytes, err);
    int size = snprintf(text, sizeof text, "%" PRIu64, size_bytes);
    if (!code)
        code = file_write_atomic(path, text, (size_t)size, 0600, err);
    if (fd >= 0)
        (void)close(fd);
    free(folder);
    free(path);
    return code;
}

void ledger_remove(const char *state_folder, const struct cache *cache, const char *id)
{
    char *path = entry_path(state_folder, cache, id);
    if (path)
        (void)unlink(path);
    free(path);
}

void ledger_touch(const char *state_folder, const struct cache *cache, const char *id)
{
    char *path = entry_path(state_folder, cache, id);
    if (path)
        (void)utimensat(AT_FDCWD, path, NULL, 0);
    free(path);
}
