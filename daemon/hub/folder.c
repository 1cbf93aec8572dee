#include "daemon/hub/folder.h"

#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/base/local_name.h"
#include "daemon/base/weight_layout.h"
#include "daemon/hub/folder_revision.h"
#include "daemon/hub/hub_json.h"
#include "daemon/hub/walk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CANCEL_POLL_MS 50

struct folder {
    struct repository repository;
    char *name;
    char *path;
    struct folder_hints *hints; /* borrowed */
};

static const struct folder *folder_of(const struct repository *repository)
{
    return (const struct folder *)repository;
}

static int append_revision(const struct folder *folder, const char *revision, struct repository_refs *refs,
                           struct err *err)
{
    struct repository_tree *tree = NULL;
    struct err ignored = ERR_INIT;
    int code = folder_revision_read(folder->path, revision, &tree, &ignored);
    if (code == ERR_NOT_FOUND)
        return 0;
    if (code) {
        *err = ignored;
        return code;
    }
    folder_hints_put(folder->hints, tree->commit, revision);
    code = hub_json_append_ref(refs, REPOSITORY_REF_KIND_BRANCH, revision, tree->commit, err);
    repository_tree_free(tree);
    return code ? err_wrap(err, "%s", folder->path) : 0;
}

static int compare_refs(const void *a, const void *b)
{
    return strverscmp(((const struct repository_ref *)a)->name, ((const struct repository_ref *)b)->name);
}

static int list_folder(const struct folder *folder, struct repository_refs **ret_refs, struct err *err)
{
    struct repository_refs *refs = NULL;
    const struct dirent *entry = NULL;
    int code = 0;
    DIR *stream = opendir(folder->path);
    if (!stream) {
        code = err_set_errno(err, errno, "%s: cannot read this folder", folder->path);
        err->absent = code == ERR_NOT_FOUND ? ERR_ABSENT_MODEL : ERR_ABSENT_OTHER;
        return code;
    }
    refs = calloc(1, sizeof *refs);
    if (!refs)
        code = err_set(err, ERR_NO_MEMORY, "%s: out of memory", folder->path);
    else
        code = append_revision(folder, "main", refs, err);
    while (!code && !(code = walk_next(stream, folder->path, &entry, err)) && entry) {
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "main") != 0 &&
            hub_json_is_ref_name(entry->d_name)) /* what else there is nobody could ask for */
            code = append_revision(folder, entry->d_name, refs, err);
    }
    (void)closedir(stream);
    if (!code && refs->count == 0)
        code = err_set(err, ERR_NOT_FOUND, "%s: neither it nor a folder in it holds " WEIGHT_LAYOUT_MARKS,
                       folder->path);
    if (!code) {
        qsort(refs->rows, refs->count, sizeof *refs->rows, compare_refs);
        *ret_refs = refs;
        refs = NULL;
    }
    repository_refs_free(refs);
    return code;
}

/* Whether a revision has this commit now; then *ret_tree is its files. */
static int has_commit(const struct folder *folder, const char *revision, const char *commit,
                      struct repository_tree **ret_tree)
{
    struct repository_tree *tree = NULL;
    struct err ignored = ERR_INIT;
    if (folder_revision_read(folder->path, revision, &tree, &ignored) == 0 && tree &&
        strcmp(tree->commit, commit) == 0) {
        *ret_tree = tree;
        return 1;
    }
    repository_tree_free(tree);
    return 0;
}

static int is_gone(const struct folder *folder, const char *revision)
{
    struct repository_tree *tree = NULL;
    struct err ignored = ERR_INIT;
    int code = folder_revision_read(folder->path, revision, &tree, &ignored);
    repository_tree_free(tree);
    return code == ERR_NOT_FOUND;
}

/* Which revision has this commit now, and its files: the one where it was last seen, else all are looked at.
 */
static int find_commit(const struct folder *folder, const char *commit, char *revision, size_t size,
                       struct repository_tree **ret_tree, struct err *err)
{
    struct repository_refs *refs = NULL;
    int is_hinted = folder_hints_get(folder->hints, commit, revision, size);
    if (is_hinted && has_commit(folder, revision, commit, ret_tree))
        return 0;
    int code = list_folder(folder, &refs, err);
    if (code)
        return code;
    code =
        is_hinted && is_gone(folder, revision)
            ? err_set(err, ERR_MISMATCH, "%s: %s was deleted since it was listed", folder->path, revision)
            : err_set(err, ERR_MISMATCH,
                      "%s: the revision changed since it was listed; it may still be written", folder->path);
    for (size_t i = 0; i < refs->count && code; i++) {
        if (strcmp(refs->rows[i].commit, commit) == 0 &&
            has_commit(folder, refs->rows[i].name, commit, ret_tree)) {
            (void)snprintf(revision, size, "%s", refs->rows[i].name);
            code = 0;
        }
    }
    repository_refs_free(refs);
    return code;
}

static int list_refs(struct repository *repository, struct repository_refs **ret_refs, struct err *err)
{
    return list_folder(folder_of(repository), ret_refs, err);
}

/* Of a folder that is no checkpoint itself: which it holds. Where it holds none, the reason stays. */
static int name_checkpoints(const struct folder *folder, struct err *err)
{
    struct repository_refs *refs = NULL;
    struct err ignored = ERR_INIT;
    if (list_folder(folder, &refs, &ignored))
        return err->code;
    const char *first = refs->rows[0].name, *last = refs->rows[refs->count - 1].name;
    char others[2 * 64] = "";
    if (refs->count > 1)
        (void)snprintf(others, sizeof others, "%s%.60s", refs->count > 2 ? " ... " : " and ", last);
    (void)err_set(err, ERR_NOT_FOUND,
                  "%s: it is no checkpoint itself but holds %zu (%.60s%s); name one as the revision",
                  folder->path, refs->count, first, others);
    repository_refs_free(refs);
    return err->code;
}

static int resolve(struct repository *repository, const char *revision, char *commit, struct err *err)
{
    struct repository_tree *tree = NULL;
    if (!revision || !revision[0])
        revision = "main";
    if (digest_is_hex(revision, REPOSITORY_COMMIT_SIZE - 1)) {
        char name[LIMIT_REVISION_NAME_BYTES];
        int code = find_commit(folder_of(repository), revision, name, sizeof name, &tree, err);
        if (!code)
            (void)snprintf(commit, REPOSITORY_COMMIT_SIZE, "%s", revision);
        repository_tree_free(tree);
        return code;
    }
    if (!file_is_safe_relative(revision) || strchr(revision, '/'))
        return err_set(err, ERR_NOT_FOUND, "%s: no revision of this name", folder_of(repository)->path);
    int code = folder_revision_read(folder_of(repository)->path, revision, &tree, err);
    if (!code) {
        folder_hints_put(folder_of(repository)->hints, tree->commit, revision);
        (void)snprintf(commit, REPOSITORY_COMMIT_SIZE, "%s", tree->commit);
    } else if (code == ERR_NOT_FOUND && strcmp(revision, "main") == 0) {
        code = name_checkpoints(folder_of(repository), err);
    }
    repository_tree_free(tree);
    return code;
}

static int list_tree(struct repository *repository, const char *commit, struct repository_tree **ret_tree,
                     struct err *err)
{
    char revision[LIMIT_REVISION_NAME_BYTES];
    return find_commit(folder_of(repository), commit, revision, sizeof revision, ret_tree, err);
}

static int file_path(const struct folder *folder, const char *revision, const char *path, char **ret_path,
                     struct err *err)
{
    int depth = 0;
    char *base = NULL;
    int code = folder_revision_find(folder->path, revision, &base, &depth, err);
    if (code)
        return code;
    *ret_path = file_join(base, path);
    free(base);
    return *ret_path ? 0 : err_set(err, ERR_NO_MEMORY, "%s: out of memory", path);
}

/* Waits until each later write to a file of this commit changes the file's time. */
static int settle(const struct folder *folder, const char *commit, const struct repository_tree *tree,
                  struct err *err)
{
    const atomic_bool *cancel = folder->repository.cancel;
    int64_t start_ms = clock_monotonic_ms(), left_ms = 0;
    int64_t wait_ms = tree->settle_ms - folder_hints_age_ms(folder->hints, commit);
    while ((left_ms = start_ms + wait_ms - clock_monotonic_ms()) > 0) {
        if (cancel && atomic_load(cancel))
            return err_set(err, ERR_CANCELLED, "cancelled");
        clock_sleep_ms(left_ms < CANCEL_POLL_MS ? left_ms : CANCEL_POLL_MS);
    }
    return 0;
}

/* Where a file of a commit is now, to be opened; also which revision that is. */
static int find_file(struct repository *repository, const char *commit, const char *path, char *revision,
                     size_t size, char **ret_path, struct err *err)
{
    const struct folder *folder = folder_of(repository);
    struct repository_tree *tree = NULL;
    if (!file_is_safe_relative(path))
        return err_set(err, ERR_INVALID, "%.100s: not a path inside of the repository", path);
    int code = find_commit(folder, commit, revision, size, &tree, err);
    if (!code)
        code = settle(folder, commit, tree, err);
    repository_tree_free(tree);
    return code ? code : file_path(folder, revision, path, ret_path, err);
}

/* A file that was opened or read by its name is the commit's if that is still there afterwards. */
static int check_commit(struct repository *repository, const char *revision, const char *commit,
                        const char *path, struct err *err)
{
    struct repository_tree *tree = NULL;
    if (!has_commit(folder_of(repository), revision, commit, &tree))
        return err_set(err, ERR_MISMATCH, "%s: the revision changed meanwhile; it may still be written",
                       path);
    repository_tree_free(tree);
    return 0;
}

static int open_file(struct repository *repository, const char *commit, const char *path,
                     const struct repository_file *expected, struct source **ret_source, struct err *err)
{
    char revision[LIMIT_REVISION_NAME_BYTES], *full = NULL;
    struct source *source = NULL;
    int code = find_file(repository, commit, path, revision, sizeof revision, &full, err);
    if (!code)
        code = source_open_changing_file(full, &source, err);
    if (!code && expected && expected->size_bytes != source->size_bytes)
        code = err_set(err, ERR_MISMATCH, "%s: its size changed since it was listed", full);
    if (!code)
        code = check_commit(repository, revision, commit, full, err);
    if (code)
        source_close(source);
    else
        *ret_source = source;
    free(full);
    return code;
}

static int fetch_file(struct repository *repository, const char *commit, const char *path,
                      const struct repository_file *expected, struct buf *buf, struct err *err)
{
    char revision[LIMIT_REVISION_NAME_BYTES], *full = NULL;
    (void)expected;
    int code = find_file(repository, commit, path, revision, sizeof revision, &full, err);
    if (!code)
        code = file_read(full, buf, err);
    if (!code)
        code = check_commit(repository, revision, commit, full, err);
    free(full);
    return code;
}

static int get_file(struct repository *repository, const char *commit, const char *path,
                    const struct repository_file *expected, char **ret_path, struct err *err)
{
    char revision[LIMIT_REVISION_NAME_BYTES], *full = NULL;
    (void)expected;
    int code = find_file(repository, commit, path, revision, sizeof revision, &full, err);
    if (!code && !file_exists(full))
        code = err_set(err, ERR_NOT_FOUND, "%s: no such file", full);
    if (code)
        free(full);
    else
        *ret_path = full;
    return code;
}

static void counters(struct repository *repository, struct repository_counters *out)
{
    (void)repository;
    *out = (struct repository_counters){0};
}

static void close_folder(struct repository *repository)
{
    struct folder *folder = (struct folder *)repository;
    free(folder->name);
    free(folder->path);
    free(folder);
}

static const struct repository_ops folder_ops = {
    .list_refs = list_refs,
    .resolve = resolve,
    .list_tree = list_tree,
    .open_file = open_file,
    .fetch_file = fetch_file,
    .download_file = get_file,
    .counters = counters,
    .close = close_folder,
};

int folder_open_repository(const char *name, struct folder_hints *hints, const atomic_bool *cancel,
                           struct repository **ret_repository, struct err *err)
{
    const char *path = local_name_path(name);
    if (strncmp(path, "//", 2) == 0)
        path += 2;
    if (path[0] != '/')
        return err_set(err, ERR_INVALID, "%.200s: a local model is written file:/absolute/path", name);
    struct folder *folder = calloc(1, sizeof *folder);
    if (!folder)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", name);
    folder->name = strdup(name);
    folder->path = strdup(path);
    folder->hints = hints;
    folder->repository = (struct repository){.ops = &folder_ops, .name = folder->name, .cancel = cancel};
    if (!folder->name || !folder->path) {
        close_folder(&folder->repository);
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", name);
    }
    *ret_repository = &folder->repository;
    return 0;
}
