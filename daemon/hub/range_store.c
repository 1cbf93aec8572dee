#include "daemon/hub/range_store.h"

#include "daemon/base/buf.h"
#include "daemon/base/digest.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/base/source.h"
#include "daemon/hub/walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEPT_MAX 100000

static char *folder_of(const char *state_folder, const char *blob_id)
{
    struct buf path;
    buf_init(&path, 64 * KIB);
    (void)buf_appendf(&path, "%s/ranges/%s", state_folder, blob_id);
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

void range_store_clean(const char *state_folder)
{
    char *folder = file_join(state_folder, "ranges");
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

int range_store_read(const char *state_folder, const char *blob_id, uint64_t begin, uint64_t end,
                     unsigned char *data)
{
    int found = 0;
    char *folder = folder_of(state_folder, blob_id);
    DIR *stream = folder ? opendir(folder) : NULL;
    for (struct dirent *entry = stream ? readdir(stream) : NULL; entry && !found; entry = readdir(stream)) {
        uint64_t kept_begin, kept_end;
        const char *digest;
        if (parse_name(entry->d_name, &kept_begin, &kept_end, &digest) || kept_begin > begin ||
            kept_end < end)
            continue;
        char *path = file_join(folder, entry->d_name);
        found =
            path && read_checked(path, kept_end - kept_begin, digest, begin - kept_begin, end - begin, data);
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
    uint64_t total_bytes;
    struct kept *rows;
};

static int visit(void *context, const char *path, const char *relative, const struct stat *status,
                 struct err *err)
{
    struct all_kept *all = context;
    (void)relative;
    if (all->count == KEPT_MAX)
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

/* Whether `size_bytes` more fit into the budget, after removing what is needed for that. */
static int make_room(const char *state_folder, uint64_t size_bytes, uint64_t budget_bytes)
{
    struct all_kept all = {0};
    struct err ignored = ERR_INIT;
    if (size_bytes > budget_bytes)
        return 0;
    char *folder = file_join(state_folder, "ranges");
    if (folder)
        (void)walk_files(folder, 1, visit, &all, &ignored);
    if (all.count)
        qsort(all.rows, all.count, sizeof *all.rows, compare_use);
    for (size_t i = 0; i < all.count; i++) {
        if (all.total_bytes > budget_bytes - size_bytes && unlink(all.rows[i].path) == 0) {
            all.total_bytes -= all.rows[i].size_bytes;
            *strrchr(all.rows[i].path, '/') = 0;
            (void)rmdir(all.rows[i].path); /* only if it was the last range of its blob */
        }
        free(all.rows[i].path);
    }
    free(all.rows);
    free(folder);
    return all.total_bytes <= budget_bytes - size_bytes;
}

void range_store_write(const char *state_folder, const char *blob_id, uint64_t begin, uint64_t end,
                       const unsigned char *data, uint64_t budget_bytes)
{
    char hex[DIGEST_SHA256_HEX_SIZE];
    struct buf path;
    struct err ignored = ERR_INIT;
    buf_init(&path, 64 * KIB);
    char *folder = folder_of(state_folder, blob_id);
    if (!folder || (budget_bytes && !make_room(state_folder, end - begin, budget_bytes)) ||
        file_make_folders(folder, 0700, &ignored) ||
        digest_sha256_hex(data, (size_t)(end - begin), hex, &ignored))
        goto out;
    (void)buf_appendf(&path, "%s/%" PRIu64 "-%" PRIu64 ".%s", folder, begin, end, hex);
    if (!path.failed && !file_exists(path.data))
        (void)file_write_atomic(path.data, data, (size_t)(end - begin), 0600, &ignored);
out:
    buf_free(&path);
    free(folder);
}
