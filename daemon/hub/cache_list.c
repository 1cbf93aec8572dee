/* Listing what the cache knows without the hub. */
#include "daemon/hub/cache.h"

#include "daemon/base/digest.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/hub/hub_json.h"
#include "daemon/hub/walk.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_DEPTH_MAX 16

struct refs_context {
    const struct cache *cache;
    struct repository_refs *refs;
};

static int visit_ref(void *context, const char *path, const char *relative, const struct stat *status,
                     struct err *err)
{
    struct refs_context *listing = context;
    char commit[REPOSITORY_COMMIT_SIZE];
    struct err ignored = ERR_INIT;
    (void)path;
    (void)status;
    if (!hub_json_is_ref_name(relative) || cache_read_ref(listing->cache, relative, commit, &ignored))
        return 0; /* a temporary file of another program, or none that anybody could ask for */
    enum repository_ref_kind kind = REPOSITORY_REF_KIND_BRANCH;
    if (strncmp(relative, "refs/pr/", 8) == 0)
        kind = REPOSITORY_REF_KIND_PULL_REQUEST;
    else if (strpbrk(relative, ":^"))
        kind = REPOSITORY_REF_KIND_PLACE;
    return hub_json_append_ref(listing->refs, kind, relative, commit, err);
}

static int compare_refs(const void *a, const void *b)
{
    const struct repository_ref *x = a, *y = b;
    return x->kind != y->kind ? (x->kind > y->kind) - (x->kind < y->kind) : strcmp(x->name, y->name);
}

int cache_list_refs(const struct cache *cache, struct repository_refs **ret_refs, struct err *err)
{
    char *folder = file_join(cache->folder, "refs");
    struct repository_refs *refs = calloc(1, sizeof *refs);
    struct refs_context context = {.cache = cache, .refs = refs};
    int code = 0;
    if (!folder || !refs)
        code = err_set(err, ERR_NO_MEMORY, "cache: out of memory");
    else
        code = walk_files(folder, FOLDER_DEPTH_MAX, visit_ref, &context, err);
    if (!code && refs->count == 0)
        code = err_set(err, ERR_NOT_FOUND, "no revision is in the cache");
    if (!code) {
        refs->is_partial = 1;
        qsort(refs->rows, refs->count, sizeof *refs->rows, compare_refs);
        *ret_refs = refs;
        refs = NULL;
    }
    repository_refs_free(refs);
    free(folder);
    return code;
}

struct tree_context {
    const struct cache *cache;
    struct repository_tree *tree;
};

/* Whether this file is the cache's own blob of this id, and none elsewhere that is called like one. */
static int is_blob(const struct cache *cache, const char *id, const struct stat *status)
{
    struct stat found;
    char *blob = cache_blob_path(cache, id);
    int is_same =
        blob && stat(blob, &found) == 0 && found.st_dev == status->st_dev && found.st_ino == status->st_ino;
    free(blob);
    return is_same;
}

/* A snapshot's link names its blob, and the blob's name is its digest. */
static int visit_file(void *context, const char *path, const char *relative, const struct stat *status,
                      struct err *err)
{
    const struct tree_context *listing = context;
    char target[PATH_MAX];
    const char *git_oid = "", *sha256 = "";
    ssize_t size = readlink(path, target, sizeof target - 1);
    if (size > 0) {
        target[size] = 0;
        const char *slash = strrchr(target, '/');
        const char *id = slash ? slash + 1 : target;
        if (digest_is_hex(id, REPOSITORY_SHA256_SIZE - 1) && is_blob(listing->cache, id, status))
            sha256 = id;
        else if (digest_is_hex(id, REPOSITORY_COMMIT_SIZE - 1) && is_blob(listing->cache, id, status))
            git_oid = id;
    }
    return hub_json_append_file(listing->tree, relative, (uint64_t)status->st_size, git_oid, sha256, err);
}

static int read_python_tree(const struct cache *cache, const char *commit, struct repository_tree **ret_tree)
{
    struct buf path, text;
    struct err ignored = ERR_INIT;
    buf_init(&path, 64 * KIB);
    buf_init(&text, LIMIT_HUB_JSON_BYTES);
    (void)buf_appendf(&path, "%s/trees/%s.json", cache->folder, commit);
    int code = buf_check(&path, "tree", &ignored);
    if (!code)
        code = file_read(path.data, &text, &ignored);
    if (!code)
        code = hub_json_parse_cached_tree(buf_text(&text), text.size, commit, ret_tree, &ignored);
    buf_free(&path);
    buf_free(&text);
    return code;
}

int cache_list_tree(const struct cache *cache, const char *commit, struct repository_tree **ret_tree,
                    struct err *err)
{
    struct buf folder;
    struct repository_tree *tree = NULL;
    if (read_python_tree(cache, commit, ret_tree) == 0)
        return 0;
    buf_init(&folder, 64 * KIB);
    (void)buf_appendf(&folder, "%s/snapshots/%s", cache->folder, commit);
    tree = calloc(1, sizeof *tree);
    struct tree_context context = {.cache = cache, .tree = tree};
    int code = buf_check(&folder, "tree", err);
    if (!code && !tree)
        code = err_set(err, ERR_NO_MEMORY, "cache: out of memory");
    if (!code)
        code = walk_files(folder.data, FOLDER_DEPTH_MAX, visit_file, &context, err);
    if (!code && tree->count == 0)
        code = err_set(err, ERR_NOT_FOUND, "no file of this commit is in the cache");
    if (!code)
        code = hub_json_finish_tree(tree, err);
    if (!code) {
        tree->is_partial = 1;
        (void)snprintf(tree->commit, sizeof tree->commit, "%s", commit);
        *ret_tree = tree;
        tree = NULL;
    }
    repository_tree_free(tree);
    buf_free(&folder);
    return code;
}
