#include "daemon/hub/cached_folders.h"

#include "daemon/base/buf.h"
#include "daemon/base/limits.h"
#include "daemon/base/revision_place.h"
#include "daemon/hub/hub_json.h"
#include "daemon/hub/subfolder.h"

#include <stdlib.h>
#include <string.h>

struct adding {
    struct repository *repository;
    const char *branch;
    struct repository_tree *source; /* of the commit that was looked at last; NULL: none */
    struct repository_tree *tree;
};

static int read_folder(const struct adding *adding, const struct repository_ref *ref,
                       struct revision_place *place)
{
    struct err ignored = ERR_INIT;
    return ref->kind == REPOSITORY_REF_KIND_PLACE && !revision_place_read(NULL, ref->name, place, &ignored) &&
           place->kind == REVISION_PLACE_FOLDER && strcmp(place->branch, adding->branch) == 0;
}

/* Many folders lie at one commit. */
static int look(struct adding *adding, const char *commit, struct err *err)
{
    if (adding->source && strcmp(adding->source->commit, commit) == 0)
        return 0;
    repository_tree_free(adding->source);
    adding->source = NULL;
    return repository_list_tree(adding->repository, commit, &adding->source, err);
}

static int append(struct adding *adding, const char *folder, const struct repository_tree *files,
                  struct err *err)
{
    struct buf path;
    int code = 0;
    buf_init(&path, 2 * LIMIT_FILE_NAME_BYTES);
    for (size_t i = 0; !code && i < files->count; i++) {
        const struct repository_file *file = &files->files[i];
        buf_clear(&path);
        (void)buf_appendf(&path, "%s/%s", folder, file->path);
        code = buf_check(&path, folder, err);
        if (!code)
            code = hub_json_append_file(adding->tree, path.data, file->size_bytes, file->git_oid,
                                        file->sha256, err);
    }
    buf_free(&path);
    return code;
}

/* A ref may have outlived its snapshot. */
static int add_folder(struct adding *adding, const struct repository_tree *there, const char *folder,
                      const char *commit, struct err *err)
{
    struct repository_tree *files = NULL;
    struct err reason = ERR_INIT;
    int has_files = there && !subfolder_take(there, folder, &files, &reason);
    repository_tree_free(files);
    files = NULL;
    reason = (struct err)ERR_INIT;
    int code = has_files ? ERR_NOT_FOUND : look(adding, commit, &reason);
    if (!code)
        code = subfolder_take(adding->source, folder, &files, &reason);
    if (!code)
        code = append(adding, folder, files, &reason);
    repository_tree_free(files);
    if (code && code != ERR_NOT_FOUND) {
        *err = reason;
        return code;
    }
    return 0;
}

int cached_folders_add(struct repository *repository, const struct repository_refs *refs, const char *branch,
                       struct repository_tree **tree, struct err *err)
{
    struct adding adding = {repository, branch, NULL, calloc(1, sizeof *adding.tree)};
    struct revision_place place;
    int code = adding.tree ? 0 : err_set(err, ERR_NO_MEMORY, "%s: out of memory", branch);
    for (size_t i = 0; !code && i < refs->count; i++) {
        if (read_folder(&adding, &refs->rows[i], &place))
            code = add_folder(&adding, *tree, place.rest, refs->rows[i].commit, err);
    }
    size_t added = code ? 0 : adding.tree->count;
    for (size_t i = 0; !code && *tree && added && i < (*tree)->count; i++) {
        const struct repository_file *file = &(*tree)->files[i];
        code =
            hub_json_append_file(adding.tree, file->path, file->size_bytes, file->git_oid, file->sha256, err);
    }
    if (!code && added)
        code = hub_json_finish_tree(adding.tree, err);
    repository_tree_free(adding.source);
    if (!code && (added || !*tree)) {
        adding.tree->is_partial = 1;
        repository_tree_free(*tree);
        *tree = adding.tree;
        adding.tree = NULL;
    }
    repository_tree_free(adding.tree);
    return code;
}
