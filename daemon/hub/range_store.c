#include "daemon/hub/range_store.h"

#include "daemon/base/buf.h"
#include "daemon/base/digest.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/base/source.h"
#include "daemon/hub/tally.h"
#include "daemon/hub/walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef KEPT_MAX
#define KEPT_MAX 100000 /* ranges; a test has fewer */
#endif

static char *folder_of(const struct range_store *store, const char *blob_id)
{
    struct buf path;
    buf_init(&path, 64 * KIB);
    (void)buf_appendf(&path, "%s/%s/%s", store->state_folder, store->shelf, blob_id);
    char *text = buf_take(&path);
    buf_free(&path);
    return text;
}

/* "<begin>-<end>.<64 digits>" */
static int parse_name(const char *name, uint64_t *begin, uint64_t *end, const char **digest)
{
    char *after = NULL;
    *begin = strtoull(name, &after, 10);
    if (after == name || *after != '-')
        return -1;
    const char *second = after + 1;
    *end = strtoull(second, &after, 10);
    if (after == second || *after != '.' || *end <= *begin)
        return -1;
    *digest = after + 1;
    return digest_is_hex(*digest, DIGEST_SHA256_HEX_SIZE - 1) ? 0 : -1;
}

/* Copies a part of a kept range if all of it is as it was written. */
static int read_checked(const char *path, uint64_t kept_bytes, const char *digest, uint64_t offset,
                        uint64_t size, unsigned char *data)
{
    char hex[DIGEST_SHA256_HEX_SIZE];
    struct source *source = NULL;
    struct err ignored = ERR_INIT;
    if (source_open_file(path, &source, &ignored))
        return 0;
    const unsigned char *content = source_map(source);
    int is_good = content && source->size_bytes == kept_bytes &&
                  digest_sha256_hex(content, (size_t)kept_bytes, hex, &ignored) == 0 &&
                  strcmp(hex, digest) == 0;
    if (is_good)
        memcpy(data, content + offset, (size_t)size);
    source_close(source);
    if (is_good)
        (void)utimensat(AT_FDCWD, path, NULL, 0);
    else
        (void)unlink(path);
    return is_good;
}

void range_store_clean(const struct range_store *store)
{
    char *folder = file_join(store->state_folder, store->shelf);
    DIR *stream = folder ? opendir(folder) : NULL;
    for (struct dirent *entry = stream ? readdir(stream) : NULL; entry; entry = readdir(stream)) {
        char *path = entry->d_name[0] == '.' ? NULL : file_join(folder, entry->d_name);
        if (path) {
            file_remove_unfinished(path);
            (void)rmdir(path); /* only if nothing else was kept of its blob */
        }
        free(path);
    }
    if (stream)
        (void)closedir(stream);
    free(folder);
}

int range_store_read(const struct range_store *store, const char *blob_id, uint64_t begin, uint64_t end,
                     unsigned char *data)
{
    int found = 0;
    char *folder = folder_of(store, blob_id);
    DIR *stream = folder ? opendir(folder) : NULL;
    for (struct dirent *entry = stream ? readdir(stream) : NULL; entry && !found; entry = readdir(stream)) {
        uint64_t kept_begin, kept_end;
        const char *digest;
        if (parse_name(entry->d_name, &kept_begin, &kept_end, &digest) || kept_begin > begin ||
            kept_end < end)
            continue;
        char *path = file_join(folder, entry->d_name);
        if (path && data)
            found = read_checked(path, kept_end - kept_begin, digest, begin - kept_begin, end - begin, data);
        else
            found = path && utimensat(AT_FDCWD, path, NULL, 0) == 0;
        free(path);
    }
    if (stream)
        (void)closedir(stream);
    free(folder);
    return found;
}

/* -- The budget ------------------------------------------------------------------------------------ */

struct kept {
    char *path;
    uint64_t size_bytes;
    struct timespec used;
};

struct all_kept {
    size_t count;
    int is_cut; /* there are more */
    uint64_t total_bytes;
    struct kept *rows;
};

static int visit(void *context, const char *path, const char *relative, const struct stat *status,
                 struct err *err)
{
    struct all_kept *all = context;
    (void)relative;
    if ((all->is_cut = all->count == KEPT_MAX))
        return err_set(err, ERR_LIMIT, "more than %d kept ranges", KEPT_MAX);
    if ((all->count & (all->count - 1)) == 0) {
        struct kept *rows = realloc(all->rows, (all->count ? 2 * all->count : 1) * sizeof *rows);
        if (!rows)
            return err_set(err, ERR_NO_MEMORY, "out of memory");
        all->rows = rows;
    }
    struct kept row = {
        .path = strdup(path), .size_bytes = (uint64_t)status->st_size, .used = status->st_mtim};
    if (!row.path)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    all->rows[all->count++] = row;
    all->total_bytes += row.size_bytes;
    return 0;
}

static int compare_use(const void *a, const void *b)
{
    const struct timespec *x = &((const struct kept *)a)->used, *y = &((const struct kept *)b)->used;
    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? -1 : 1;
    return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

/* Counts all, and removes what is needed so that `size_bytes` more fit into the budget. Of more ranges than
 * can be counted the older half of those that were goes, until all are counted. */
static int make_room(const char *folder, uint64_t size_bytes, uint64_t budget_bytes, struct tally *tally,
                     struct err *err)
{
    struct all_kept all = {0};
    struct err ignored = ERR_INIT;
    uint64_t left_bytes = budget_bytes - size_bytes;
    const int has_all = walk_files(folder, 1, visit, &all, &ignored) == 0;
    if (all.count)
        qsort(all.rows, all.count, sizeof *all.rows, compare_use);
    if (all.total_bytes > left_bytes)
        left_bytes -= tally_spare(all.count, size_bytes, budget_bytes);
    for (size_t i = 0; i < all.count; i++) {
        const int is_over = all.total_bytes > left_bytes || (all.is_cut && i < all.count / 2);
        if (is_over && unlink(all.rows[i].path) == 0) {
            all.total_bytes -= all.rows[i].size_bytes;
            *strrchr(all.rows[i].path, '/') = 0;
            (void)rmdir(all.rows[i].path); /* only if it was the last range of its blob */
        }
        free(all.rows[i].path);
    }
    free(all.rows);
    if (all.total_bytes > budget_bytes - size_bytes)
        return err_set(err, ERR_IO, "%s: what is kept there cannot be removed", folder);
    return has_all ? tally_count(tally, all.total_bytes, size_bytes, err) : tally_forget(tally, err);
}

/* Says in the tally what is about to be added, after making room for it where there may be none; the caller
 * closes it. What is written meanwhile, without the tally, a count may miss, until the next one. */
static int enter(const struct range_store *store, uint64_t size_bytes, struct tally *tally, struct err *err)
{
    const uint64_t budget_bytes = store->budget_bytes;
    if (budget_bytes && size_bytes > budget_bytes)
        return err_set(err, ERR_LIMIT, "%" PRIu64 " bytes are more than the %" PRIu64 " that may be kept",
                       size_bytes, budget_bytes);
    char *folder = file_join(store->state_folder, store->shelf);
    int code = folder ? tally_open(folder, "", tally, err) : err_set(err, ERR_NO_MEMORY, "out of memory");
    if (!code && !budget_bytes)
        code = tally_forget(tally, err);
    else if (!code && tally_has_room(tally, size_bytes, budget_bytes))
        code = tally_add(tally, size_bytes, err);
    else if (!code)
        code = make_room(folder, size_bytes, budget_bytes, tally, err);
    free(folder);
    return code;
}

int range_store_write(const struct range_store *store, const char *blob_id, uint64_t begin, uint64_t end,
                      const unsigned char *data, struct err *err)
{
    char hex[DIGEST_SHA256_HEX_SIZE];
    struct buf path;
    struct tally tally = {.fd = -1};
    buf_init(&path, 64 * KIB);
    char *folder = folder_of(store, blob_id);
    int code = folder ? 0 : err_set(err, ERR_NO_MEMORY, "%s: out of memory", blob_id);
    if (!code)
        code = enter(store, end - begin, &tally, err);
    tally_close(&tally);
    if (!code)
        code = file_make_folders(folder, 0700, err);
    if (!code)
        code = digest_sha256_hex(data, (size_t)(end - begin), hex, err);
    if (!code) {
        (void)buf_appendf(&path, "%s/%" PRIu64 "-%" PRIu64 ".%s", folder, begin, end, hex);
        code = buf_check(&path, folder, err);
    }
    if (!code && !file_exists(path.data))
        code = file_write_atomic(path.data, data, (size_t)(end - begin), 0600, err);
    buf_free(&path);
    free(folder);
    return code;
}

/* -- All that is kept ------------------------------------------------------------------------------ */

static void measure_blob(const char *folder, struct range_store_blob *blob)
{
    struct all_kept all = {0};
    struct err ignored = ERR_INIT;
    (void)walk_files(folder, 0, visit, &all, &ignored);
    blob->size_bytes = all.total_bytes;
    for (size_t i = 0; i < all.count; i++) {
        int64_t used_ms = (int64_t)all.rows[i].used.tv_sec * 1000 + all.rows[i].used.tv_nsec / 1000000;
        blob->used_ms = used_ms > blob->used_ms ? used_ms : blob->used_ms;
        free(all.rows[i].path);
    }
    free(all.rows);
}

static int remove_range(void *context, const char *path, const char *relative, const struct stat *status,
                        struct err *err)
{
    (void)context;
    (void)relative;
    (void)status;
    (void)err;
    (void)unlink(path);
    return 0;
}

static void remove_blob(const char *folder)
{
    struct err ignored = ERR_INIT;
    (void)walk_files(folder, 0, remove_range, NULL, &ignored);
    (void)rmdir(folder);
}

void range_store_forget(const struct range_store *store, const char *blob_id)
{
    char *folder = folder_of(store, blob_id);
    if (folder)
        remove_blob(folder);
    free(folder);
}

uint64_t range_store_visit(const struct range_store *store,
                           int (*visit_blob)(void *context, const struct range_store_blob *blob),
                           void *context)
{
    uint64_t total_bytes = 0;
    char *folder = file_join(store->state_folder, store->shelf);
    DIR *stream = folder ? opendir(folder) : NULL;
    for (struct dirent *entry = stream ? readdir(stream) : NULL; entry; entry = readdir(stream)) {
        struct range_store_blob blob = {.id = entry->d_name};
        char *path = entry->d_name[0] == '.' ? NULL : folder_of(store, entry->d_name);
        if (!path)
            continue;
        measure_blob(path, &blob);
        if (visit_blob && visit_blob(context, &blob)) {
            remove_blob(path);
        } else {
            total_bytes += blob.size_bytes;
        }
        free(path);
    }
    if (stream)
        (void)closedir(stream);
    free(folder);
    return total_bytes;
}
