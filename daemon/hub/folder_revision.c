#include "daemon/hub/folder_revision.h"

#include "daemon/base/buf.h"
#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/base/weight_layout.h"
#include "daemon/hub/hub_json.h"
#include "daemon/hub/walk.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER_DEPTH_MAX 8

/* A file system's clock may stand still for two seconds (FAT; one on Lustre, old NFS and ext3), but then its
 * times have no fractions; else it ticks with the kernel, at worst a hundred times a second. */
#define COARSE_TICK_MS 2000
#define FINE_TICK_MS 10
#define TICK_SLACK_MS 50 /* for clocks that do not run alike */

#define RECENT_MS 60000 /* more than the clock of a file server is likely to be behind */

struct listing {
    struct repository_tree *tree;
    struct buf lines; /* one per file, for the digest; the order of the tree is made first */
    int64_t now_ms;
    int holds_checkpoint;
};

static int look_for_checkpoint(void *context, const char *path, const char *relative,
                               const struct stat *status, struct err *err)
{
    int *is_there = context;
    (void)path;
    (void)status;
    (void)err;
    *is_there |= weight_layout_is_of_checkpoint(relative);
    return 0;
}

int folder_revision_find(const char *folder, const char *revision, char **ret_path, int *ret_depth,
                         struct err *err)
{
    int is_checkpoint = 0, code = 0;
    char *path = file_join(folder, revision);
    *ret_path = NULL;
    *ret_depth = FOLDER_DEPTH_MAX;
    if (path && strcmp(revision, "main") == 0) {
        const int has_folder = file_exists(path);
        if (has_folder) /* a checkpoint that was not seen must not give way to another */
            code = walk_files(folder, 0, look_for_checkpoint, &is_checkpoint, err);
        if (is_checkpoint || !has_folder) {
            free(path);
            path = strdup(folder);
            *ret_depth = 0;
        }
    }
    if (!code && !path)
        code = err_set(err, ERR_NO_MEMORY, "%s: out of memory", folder);
    if (!code)
        *ret_path = path;
    else
        free(path);
    return code;
}

/* What is written within one tick of the clock that gave a file its time leaves it that time. */
static void note_tick(struct listing *listing, int64_t changed_ms, const struct stat *status)
{
    const int64_t tick_ms = status->st_mtim.tv_nsec ? FINE_TICK_MS : COARSE_TICK_MS;
    if (changed_ms > listing->now_ms - RECENT_MS && listing->tree->settle_ms < tick_ms + TICK_SLACK_MS)
        listing->tree->settle_ms = tick_ms + TICK_SLACK_MS;
}

static int visit(void *context, const char *path, const char *relative, const struct stat *status,
                 struct err *err)
{
    struct listing *listing = context;
    int64_t changed_ms = (int64_t)status->st_mtim.tv_sec * 1000 + status->st_mtim.tv_nsec / 1000000;
    size_t count_before = listing->tree->count;
    (void)path;
    int code = hub_json_append_file(listing->tree, relative, (uint64_t)status->st_size, "", "", err);
    if (code || listing->tree->count == count_before)
        return code;
    if (changed_ms > listing->tree->newest_ms)
        listing->tree->newest_ms = changed_ms;
    note_tick(listing, changed_ms, status);
    listing->holds_checkpoint |= weight_layout_is_of_checkpoint(relative);
    (void)buf_appendf(&listing->lines, "%s/%" PRIu64 "/%" PRIu64 ".%09ld/%" PRIu64 "\n", relative,
                      (uint64_t)status->st_size, (uint64_t)status->st_mtim.tv_sec, status->st_mtim.tv_nsec,
                      (uint64_t)status->st_ino);
    return 0;
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* SHA-1 over the revision's name and its lines in order. */
static int digest_lines(const char *revision, struct buf *lines, size_t count, char *commit, struct err *err)
{
    struct digest *digest = NULL;
    char **sorted = calloc(count ? count : 1, sizeof *sorted);
    if (!sorted)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", revision);
    int code = digest_new(DIGEST_KIND_SHA1, &digest, err);
    char *line = lines->data;
    for (size_t i = 0; i < count; i++) {
        char *end = strchr(line, '\n');
        *end = 0;
        sorted[i] = line;
        line = end + 1;
    }
    if (count)
        qsort(sorted, count, sizeof *sorted, compare_lines);
    if (!code)
        code = digest_update(digest, revision, strlen(revision) + 1, err);
    for (size_t i = 0; i < count && !code; i++)
        code = digest_update(digest, sorted[i], strlen(sorted[i]) + 1, err);
    if (!code)
        code = digest_finish_hex(digest, commit, REPOSITORY_COMMIT_SIZE, err);
    digest_free(digest);
    free(sorted);
    return code;
}

int folder_revision_read(const char *folder, const char *revision, struct repository_tree **ret_tree,
                         struct err *err)
{
    struct listing listing = {.tree = calloc(1, sizeof *listing.tree), .now_ms = clock_wall_ms()};
    char *path = NULL;
    int depth = 0;
    buf_init(&listing.lines, LIMIT_HUB_JSON_BYTES);
    int code = listing.tree ? folder_revision_find(folder, revision, &path, &depth, err)
                            : err_set(err, ERR_NO_MEMORY, "%s: out of memory", folder);
    if (!code)
        code = walk_files(path, depth, visit, &listing, err);
    if (!code)
        code = buf_check(&listing.lines, path, err);
    if (!code && !listing.holds_checkpoint)
        code = err_set(err, ERR_NOT_FOUND, "%s: no " WEIGHT_LAYOUT_MARKS " in it", path);
    if (!code)
        code = hub_json_finish_tree(listing.tree, err);
    if (!code)
        code = digest_lines(revision, &listing.lines, listing.tree->count, listing.tree->commit, err);
    if (code)
        goto out;
    *ret_tree = listing.tree;
    listing.tree = NULL;
out:
    repository_tree_free(listing.tree);
    buf_free(&listing.lines);
    free(path);
    return code;
}
