#include "daemon/hub/subfolder.h"

#include "daemon/base/buf.h"
#include "daemon/base/digest.h"
#include "daemon/base/limits.h"
#include "daemon/hub/hub_json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The path below the folder, or NULL. */
static const char *path_below(const char *path, const char *folder)
{
    size_t size = strlen(folder);
    return strncmp(path, folder, size) == 0 && path[size] == '/' ? path + size + 1 : NULL;
}

/* SHA-1 over the folder's name and its files, which are in order of paths. */
static int digest_files(const char *folder, struct repository_tree *tree, struct err *err)
{
    struct digest *digest = NULL;
    struct buf line;
    buf_init(&line, 2 * LIMIT_FILE_NAME_BYTES);
    int code = digest_new(DIGEST_KIND_SHA1, &digest, err);
    if (!code)
        code = digest_update(digest, folder, strlen(folder) + 1, err);
    for (size_t i = 0; i < tree->count && !code; i++) {
        const struct repository_file *file = &tree->files[i];
        buf_clear(&line);
        (void)buf_appendf(&line, "%s/%s/%" PRIu64 "\n", file->path,
                          file->sha256[0] ? file->sha256 : file->git_oid, file->size_bytes);
        code = buf_check(&line, folder, err);
        if (!code)
            code = digest_update(digest, line.data, line.size, err);
    }
    if (!code)
        code = digest_finish_hex(digest, tree->commit, REPOSITORY_COMMIT_SIZE, err);
    digest_free(digest);
    buf_free(&line);
    return code;
}

/* Where the files of a folder begin in the list: the first path that is not before "FOLDER/". */
static size_t find_begin(const struct repository_tree *branch, const char *folder)
{
    size_t size = strlen(folder), begin = 0, end = branch->count;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        const char *path = branch->files[middle].path;
        int order = strncmp(path, folder, size);
        if (order < 0 || (order == 0 && (unsigned char)path[size] < '/'))
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

int subfolder_take(const struct repository_tree *branch, const char *folder,
                   struct repository_tree **ret_tree, struct err *err)
{
    struct repository_tree *tree = calloc(1, sizeof *tree);
    int code = tree ? 0 : err_set(err, ERR_NO_MEMORY, "%s: out of memory", folder);
    const char *path = NULL;
    for (size_t i = find_begin(branch, folder);
         !code && i < branch->count && (path = path_below(branch->files[i].path, folder)); i++) {
        const struct repository_file *file = &branch->files[i];
        code = hub_json_append_file(tree, path, file->size_bytes, file->git_oid, file->sha256, err);
    }
    if (!code && tree->count == 0)
        code = err_set(err, ERR_NOT_FOUND, "folder %s: there is none", folder);
    if (!code)
        code = digest_files(folder, tree, err);
    if (code) {
        repository_tree_free(tree);
        return code;
    }
    tree->is_partial = branch->is_partial;
    *ret_tree = tree;
    return 0;
}
