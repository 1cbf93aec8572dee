#include "daemon/hub/ledger.h"

#include "daemon/base/checked.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/hub/tally.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRIES_MAX 1000000

struct entry {
    char *name; /* "<models--owner--name>@<blob id>" */
    uint64_t size_bytes;
    struct cache_identity ours; /* all 0 until it is finished */
    struct timespec used;
};

struct entries {
    size_t count, capacity;
    struct entry *rows;
    uint64_t total_bytes;
};

char *ledger_folder(const char *state_folder)
{
    return file_join(state_folder, "fetched");
}

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

/* -- Reading --------------------------------------------------------------------------------------- */

static void free_entries(struct entries *entries)
{
    for (size_t i = 0; i < entries->count; i++)
        free(entries->rows[i].name);
    free(entries->rows);
}

/* "<size> <root>", or "<size> <inode> <seconds> <nanoseconds> <root>" of what is finished. ERR_FORMAT if it
 * is neither, or of another root. */
static int read_content(const char *path, const char *root, struct entry *entry)
{
    struct buf text;
    struct err ignored = ERR_INIT;
    uint64_t numbers[4] = {0};
    size_t count = 0;
    buf_init(&text, 128 + PATH_MAX);
    int code = file_read(path, &text, &ignored);
    const char *p = buf_text(&text);
    while (!code && *p && *p != '/' && count < 4) {
        char *end = NULL;
        numbers[count++] = strtoull(p, &end, 10);
        code = end == p ? ERR_FORMAT : 0;
        p = *end == ' ' ? end + 1 : end;
    }
    int is_good = !code && strcmp(p, root) == 0 && (count == 1 || count == 4);
    buf_free(&text);
    if (!is_good)
        return ERR_FORMAT;
    entry->size_bytes = numbers[0];
    entry->ours = (struct cache_identity){numbers[1], numbers[2], numbers[3]};
    return 0;
}

static int write_entry(const char *path, const char *root, uint64_t size_bytes,
                       const struct cache_identity *ours, struct err *err)
{
    struct buf text;
    buf_init(&text, 128 + PATH_MAX);
    (void)buf_appendf(&text, "%" PRIu64, size_bytes);
    if (ours)
        (void)buf_appendf(&text, " %" PRIu64 " %" PRIu64 " %" PRIu64, ours->inode, ours->changed_s,
                          ours->changed_ns);
    (void)buf_appendf(&text, " %s", root);
    int code = buf_check(&text, "ledger", err);
    if (!code)
        code = file_write_atomic(path, text.data, text.size, 0600, err);
    buf_free(&text);
    return code;
}

/* The one name of the cache's root, however it was spelled; the caller frees it. */
static char *find_root(const struct cache *cache, struct err *err)
{
    char *root = realpath(cache->root, NULL);
    if (!root)
        (void)err_set_errno(err, errno, "%s: cannot be found", cache->root);
    return root;
}

static int append_entry(struct entries *entries, const char *folder, const char *root, const char *name,
                        struct err *err)
{
    struct stat status;
    struct entry entry = {0};
    char *path = file_join(folder, name);
    int code = path ? 0 : err_set(err, ERR_NO_MEMORY, "ledger: out of memory");
    /* An entry that cannot be read, or of another root, protects its blob for ever; that is the safe side. */
    if (!path || stat(path, &status) != 0 || read_content(path, root, &entry) ||
        checked_add_u64(entries->total_bytes, entry.size_bytes, &entries->total_bytes))
        goto out;
    if (entries->count == ENTRIES_MAX) {
        code = err_set(err, ERR_LIMIT,
                       "%s: more than %d files were fetched: the cache budget cannot be kept over so many; "
                       "delete models from the cache that are not needed, and their entries there",
                       folder, ENTRIES_MAX);
        goto out;
    }
    if (entries->count == entries->capacity) {
        size_t capacity = entries->capacity ? 2 * entries->capacity : 64;
        struct entry *rows = realloc(entries->rows, capacity * sizeof *rows);
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

/* All entries of the root, the least recently used first. */
static int read_entries(const char *folder, const char *root, struct entries *entries, struct err *err)
{
    int code = 0;
    DIR *stream = opendir(folder);
    if (!stream)
        return err_set_errno(err, errno, "%s: cannot read the ledger", folder);
    for (struct dirent *entry = readdir(stream); entry && !code; entry = readdir(stream)) {
        if (entry->d_name[0] != '.' && strchr(entry->d_name, '@'))
            code = append_entry(entries, folder, root, entry->d_name, err);
    }
    (void)closedir(stream);
    if (!code && entries->count)
        qsort(entries->rows, entries->count, sizeof *entries->rows, compare_use);
    return code;
}

/* -- Evicting -------------------------------------------------------------------------------------- */

/* With the blob's lock: its owner may just have finished it. */
static int evict_locked(const struct cache *cache, const char *root, const char *id, const char *path,
                        struct err *err)
{
    struct entry now = {0};
    if (read_content(path, root, &now))
        return 0; /* its owner took it back */
    int code = cache_remove_blob(cache, id, &now.ours, err);
    if (!code)
        (void)unlink(path);
    return code;
}

/* The part of the cache that an entry's blob is in, with its folders; the caller gives it to cache_free. */
static int open_part(const struct cache *any_cache, const struct entry *entry, struct cache *ret_cache,
                     struct err *err)
{
    struct buf text;
    const int size = (int)(strrchr(entry->name, '@') - entry->name);
    *ret_cache = (struct cache){.root = strdup(any_cache->root)};
    buf_init(&text, 64 * KIB);
    (void)buf_appendf(&text, "%s/%.*s", any_cache->root, size, entry->name);
    ret_cache->folder = buf_take(&text);
    buf_clear(&text);
    (void)buf_appendf(&text, "%s/.locks/%.*s", any_cache->root, size, entry->name);
    ret_cache->locks_folder = buf_take(&text);
    buf_free(&text);
    if (ret_cache->root && ret_cache->folder && ret_cache->locks_folder)
        return 0;
    cache_free(ret_cache);
    return err_set(err, ERR_NO_MEMORY, "ledger: out of memory");
}

/* Removes the blob of an entry; 1 if it is in use by a writer and stays. */
static int evict(const char *folder, const struct cache *any_cache, const char *root,
                 const struct entry *entry, struct err *err)
{
    struct cache cache;
    const char *id = strrchr(entry->name, '@') + 1;
    int lock_fd = -1, code = open_part(any_cache, entry, &cache, err);
    if (code)
        return code;
    char *path = file_join(folder, entry->name);
    if (!path) {
        code = err_set(err, ERR_NO_MEMORY, "ledger: out of memory");
        goto out;
    }
    if (!file_exists(cache.folder)) {
        (void)unlink(path); /* somebody removed all of the repository, which is not made anew for this */
        goto out;
    }
    code = cache_make_folders(&cache, err);
    if (!code)
        code = cache_lock(&cache, id, &lock_fd, err);
    if (!code)
        code = evict_locked(&cache, root, id, path, err);
    cache_unlock(lock_fd);
out:
    free(path);
    cache_free(&cache);
    return code;
}

/* Whether a blob is being written now. */
static int is_being_written(const struct cache *any_cache, const struct entry *entry)
{
    struct cache cache;
    struct err ignored = ERR_INIT;
    int lock_fd = -1;
    if (entry->ours.inode || open_part(any_cache, entry, &cache, &ignored))
        return 0;
    int is_locked = cache_lock(&cache, strrchr(entry->name, '@') + 1, &lock_fd, &ignored) == 1;
    cache_unlock(lock_fd);
    cache_free(&cache);
    return is_locked;
}

/* Whether what is being written leaves so much of the budget: where it does not, nothing need go. */
static int leave_room(const struct cache *cache, const struct entries *entries, const char *own_name,
                      uint64_t size_bytes, uint64_t budget_bytes)
{
    uint64_t left_bytes = budget_bytes;
    for (size_t i = 0; i < entries->count && left_bytes >= size_bytes; i++) {
        const struct entry *entry = &entries->rows[i];
        if (strcmp(entry->name, own_name) == 0 || !is_being_written(cache, entry))
            continue;
        left_bytes -= entry->size_bytes < left_bytes ? entry->size_bytes : left_bytes;
    }
    return left_bytes >= size_bytes;
}

static int refuse(uint64_t size_bytes, uint64_t budget_bytes, struct err *err)
{
    return err_set(err, ERR_LIMIT,
                   "the file has %.1f MB and does not fit into the cache budget of %.1f MB: raise "
                   "cache-budget-mb, or keep no whole files",
                   (double)size_bytes / 1e6, (double)budget_bytes / 1e6);
}

/* Counts all entries, and evicts some if there must be room; *ret_bytes is what those that stay have. 1:
 * writers hold too many of them. */
static int make_room(const char *folder, const struct cache *cache, const char *root, const char *own_name,
                     uint64_t size_bytes, uint64_t budget_bytes, uint64_t *ret_bytes, struct err *err)
{
    struct entries entries = {0};
    uint64_t need = 0, spare = 0;
    int code = read_entries(folder, root, &entries, err);
    for (size_t i = 0; i < entries.count; i++) {
        if (strcmp(entries.rows[i].name, own_name) == 0)
            entries.total_bytes -= entries.rows[i].size_bytes; /* an earlier try of the same blob */
    }
    if (!code && !leave_room(cache, &entries, own_name, size_bytes, budget_bytes))
        code = 1;
    for (size_t i = 0; i < entries.count && !code; i++) {
        if (!checked_add_u64(entries.total_bytes, size_bytes, &need) && need <= budget_bytes - spare)
            break;
        spare = tally_spare(entries.count, size_bytes, budget_bytes);
        if (strcmp(entries.rows[i].name, own_name) == 0)
            continue;
        int kept = evict(folder, cache, root, &entries.rows[i], err);
        if (kept < 0)
            code = kept;
        else if (!kept)
            entries.total_bytes -= entries.rows[i].size_bytes;
    }
    if (!code && (checked_add_u64(entries.total_bytes, size_bytes, &need) || need > budget_bytes))
        code = 1;
    *ret_bytes = entries.total_bytes;
    free_entries(&entries);
    return code;
}

/* Says in the tally what is about to be added, after making room for it where there may be none. Nothing goes
 * for what cannot fit. */
static int make_room_if_needed(const char *folder, const struct cache *cache, const char *own_name,
                               uint64_t size_bytes, uint64_t budget_bytes, struct tally *tally,
                               struct err *err)
{
    uint64_t kept_bytes = 0;
    if (!budget_bytes)
        return tally_forget(tally, err);
    if (size_bytes > budget_bytes)
        return refuse(size_bytes, budget_bytes, err);
    if (tally_has_room(tally, size_bytes, budget_bytes))
        return tally_add(tally, size_bytes, err);
    int code = make_room(folder, cache, tally->what, own_name, size_bytes, budget_bytes, &kept_bytes, err);
    return code ? code : tally_count(tally, kept_bytes, size_bytes, err);
}

int ledger_reserve(const char *state_folder, const struct cache *cache, const char *id, uint64_t size_bytes,
                   uint64_t budget_bytes, struct err *err)
{
    struct tally tally = {.fd = -1};
    int code = 0;
    char *folder = ledger_folder(state_folder);
    char *path = entry_path(state_folder, cache, id), *root = NULL;
    if (!folder || !path)
        code = err_set(err, ERR_NO_MEMORY, "ledger: out of memory");
    if (!code && !(root = find_root(cache, err)))
        code = err->code;
    if (!code)
        code = tally_open(folder, root, &tally, err);
    if (!code)
        code =
            make_room_if_needed(folder, cache, strrchr(path, '/') + 1, size_bytes, budget_bytes, &tally, err);
    if (!code)
        code = write_entry(path, root, size_bytes, NULL, err);
    tally_close(&tally);
    free(root);
    free(folder);
    free(path);
    return code;
}

int ledger_finish(const char *state_folder, const struct cache *cache, const char *id, int fd,
                  struct err *err)
{
    struct stat status;
    struct cache_identity ours;
    char *path = entry_path(state_folder, cache, id), *root = find_root(cache, err);
    int code = root ? 0 : err->code;
    if (!code && !path)
        code = err_set(err, ERR_NO_MEMORY, "ledger: out of memory");
    else if (!code && fstat(fd, &status) != 0)
        code = err_set_errno(err, errno, "%s: cannot be finished", path);
    if (!code) {
        cache_identify(&status, &ours);
        code = write_entry(path, root, (uint64_t)status.st_size, &ours, err);
    }
    free(root);
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
