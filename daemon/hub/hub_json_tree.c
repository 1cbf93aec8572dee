/*
 * Lists of files: pages of the hub's, and those that huggingface_hub keeps.
 */
#include "daemon/base/digest.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/hub/hub_json.h"
#include "daemon/hub/hub_json_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names that git allows and that nothing here reads: nobody's checkpoint depends on such a file, and one that
 * does is told by whoever asks for it. */
static int is_odd_path(const char *path)
{
    const char *p = path;
    while (*p && *p != '\\' && *p != 0x7f && (unsigned char)*p >= 0x20)
        p++;
    return *p || p - path >= LIMIT_FILE_NAME_BYTES;
}

int hub_json_append_file(struct repository_tree *tree, const char *path, uint64_t size_bytes,
                         const char *git_oid, const char *sha256, struct err *err)
{
    if (tree->count >= LIMIT_HUB_TREE_FILES)
        return err_set(err, ERR_LIMIT, "tree: more than %d files", LIMIT_HUB_TREE_FILES);
    if (is_odd_path(path))
        return 0;
    if (!file_is_safe_relative(path))
        return err_set(err, ERR_FORMAT, "tree: %.100s: not a path inside of the repository, refused", path);
    if (git_oid[0] && !digest_is_hex(git_oid, REPOSITORY_COMMIT_SIZE - 1))
        return err_set(err, ERR_FORMAT, "tree: %.100s: its id is not 40 hexadecimal digits", path);
    if (sha256[0] && !digest_is_hex(sha256, REPOSITORY_SHA256_SIZE - 1))
        return err_set(err, ERR_FORMAT, "tree: %.100s: its SHA-256 is not 64 hexadecimal digits", path);
    if (size_bytes > INT64_MAX)
        return err_set(err, ERR_FORMAT, "tree: %.100s: its size is impossible", path);
    void *files = tree->files;
    char *copy = strdup(path);
    if (!copy || hub_json_grow(&files, tree->count, sizeof *tree->files)) {
        free(copy);
        return err_set(err, ERR_NO_MEMORY, "tree: out of memory");
    }
    tree->files = files;
    struct repository_file *file = &tree->files[tree->count++];
    *file = (struct repository_file){.path = copy, .size_bytes = size_bytes};
    (void)snprintf(file->git_oid, sizeof file->git_oid, "%s", git_oid);
    (void)snprintf(file->sha256, sizeof file->sha256, "%s", sha256);
    return 0;
}

static int parse_tree_row(const json_t *row, struct repository_tree *tree, struct err *err)
{
    const char *type = hub_json_text_of(row, "type"), *path = hub_json_text_of(row, "path");
    const json_t *size = json_object_get(row, "size"), *lfs = json_object_get(row, "lfs");
    if (!type[0])
        return err_set(err, ERR_FORMAT, "tree: an entry says not what it is");
    if (strcmp(type, "file") != 0)
        return 0; /* a directory, or what no file can be read from: a submodule */
    if (json_is_object(lfs) && json_object_get(lfs, "size"))
        size = json_object_get(lfs, "size");
    if (!json_is_integer(size) || json_integer_value(size) < 0)
        return err_set(err, ERR_FORMAT, "tree: %.100s: has no size", path);
    if (json_is_object(lfs) && !hub_json_text_of(lfs, "oid")[0])
        return err_set(err, ERR_FORMAT, "tree: %.100s: an LFS file without a digest", path);
    return hub_json_append_file(tree, path, (uint64_t)json_integer_value(size), hub_json_text_of(row, "oid"),
                                hub_json_text_of(lfs, "oid"), err);
}

int hub_json_parse_tree_page(const char *data, size_t size, struct repository_tree *tree, struct err *err)
{
    json_t *root = NULL;
    int code = hub_json_parse(data, size, "tree", &root, err);
    if (code)
        return code;
    if (!json_is_array(root))
        code = err_set(err, ERR_FORMAT, "tree: the reply is not a list");
    size_t index;
    json_t *row;
    json_array_foreach(root, index, row)
    {
        if (!code)
            code = parse_tree_row(row, tree, err);
    }
    json_decref(root);
    return code;
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const struct repository_file *)a)->path, ((const struct repository_file *)b)->path);
}

int hub_json_finish_tree(struct repository_tree *tree, struct err *err)
{
    if (tree->count)
        qsort(tree->files, tree->count, sizeof *tree->files, compare_files);
    for (size_t i = 1; i < tree->count; i++) {
        if (strcmp(tree->files[i - 1].path, tree->files[i].path) == 0)
            return err_set(err, ERR_FORMAT, "tree: %.200s: listed twice", tree->files[i].path);
    }
    return 0;
}

int hub_json_parse_cached_tree(const char *data, size_t size, const char *commit,
                               struct repository_tree **ret_tree, struct err *err)
{
    json_t *root = NULL;
    struct repository_tree *tree = NULL;
    int code = hub_json_parse(data, size, "cached tree", &root, err);
    if (code)
        return code;
    json_t *files = json_object_get(root, "files");
    if (json_integer_value(json_object_get(root, "format_version")) != 1 || !json_is_object(files)) {
        code = err_set(err, ERR_UNSUPPORTED, "cached tree: not of format version 1");
        goto out;
    }
    tree = calloc(1, sizeof *tree);
    if (!tree) {
        code = err_set(err, ERR_NO_MEMORY, "tree: out of memory");
        goto out;
    }
    (void)snprintf(tree->commit, sizeof tree->commit, "%s", commit);
    const char *path;
    json_t *row;
    json_object_foreach(files, path, row)
    {
        const char *sha256 = hub_json_text_of(row, "lfs_sha256");
        const json_t *length = json_object_get(row, sha256[0] ? "lfs_size" : "size");
        if (!json_is_integer(length))
            length = json_object_get(row, "size");
        if (!json_is_integer(length) || json_integer_value(length) < 0) {
            code = err_set(err, ERR_FORMAT, "cached tree: %.100s: has no size", path);
            goto out;
        }
        code = hub_json_append_file(tree, path, (uint64_t)json_integer_value(length),
                                    hub_json_text_of(row, "blob_id"), sha256, err);
        if (code)
            goto out;
    }
    code = hub_json_finish_tree(tree, err);
    if (code)
        goto out;
    *ret_tree = tree;
    tree = NULL;
out:
    repository_tree_free(tree);
    json_decref(root);
    return code;
}
