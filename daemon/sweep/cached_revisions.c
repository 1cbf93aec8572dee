#include "daemon/sweep/cached_revisions.h"

#include "daemon/base/source.h"
#include "daemon/base/weight_layout.h"
#include "daemon/hub/hub.h"
#include "daemon/hub/view.h"

#include <string.h>

/* Opening a file of the cache reads nothing of it. */
static int try_file(struct repository *view, const struct repository_tree *tree,
                    const struct repository_file *file, struct err *err)
{
    struct source *source = NULL;
    int code = repository_open_file(view, tree->commit, file->path, file, &source, err);
    source_close(source);
    return code;
}

/* The first shard that is there, of those whose names tell that they are some: an index is small, and comes
 * with what else ends in ".json". */
static int try_shards(struct repository *view, const struct repository_tree *tree,
                      const struct weight_layout *layout, struct err *err)
{
    int code = 0;
    for (size_t i = 0; i < tree->count; i++) {
        const struct repository_file *file = &tree->files[i];
        if (strcmp(file->path, layout->file) == 0 || !weight_layout_has(layout, file->path))
            continue;
        *err = (struct err)ERR_INIT;
        code = try_file(view, tree, file, err);
        if (code != ERR_NOT_FOUND)
            return code;
    }
    return code || !tree->is_partial ? code : err_set(err, ERR_NOT_FOUND, "no shard is in the cache");
}

static int try_weights(struct repository *view, struct repository_tree *tree, struct err *err)
{
    const struct weight_layout *layout = weight_layout_choose(repository_tree_has, tree);
    if (!layout)
        return err_set(err, ERR_NOT_FOUND, "no file of weights is in the cache");
    int code = try_file(view, tree, repository_tree_find(tree, layout->file), err);
    return code || layout->form != WEIGHT_FORM_INDEX ? code : try_shards(view, tree, layout, err);
}

static int find(struct revision_listed *listed, struct repository *repository, struct err *err)
{
    struct repository *view = NULL;
    struct repository_tree *tree = NULL;
    int code = view_open(repository, listed->row.name, &view, err);
    if (!code)
        code = repository_list_tree(view, listed->row.commit, &tree, err);
    if (!code)
        code = try_weights(view, tree, err);
    repository_tree_free(tree);
    repository_close(view);
    return code;
}

int cached_revisions_find(struct revision_list *list, struct repository *repository,
                          const struct sweep_spec *spec, struct err *err)
{
    if (!hub_is_offline(repository) || spec->name_count)
        return 0;
    for (size_t i = 0; i < list->count; i++) {
        struct revision_listed *listed = &list->rows[i];
        struct err reason = ERR_INIT;
        if (!sweep_spec_selects(spec, listed->row.name, &listed->place))
            continue;
        int code = find(listed, repository, &reason);
        if (code == ERR_CANCELLED || code == ERR_NO_MEMORY) {
            *err = reason;
            return code;
        }
        /* What cannot be read for another reason is there: its task says which. */
        listed->cached = code == ERR_NOT_FOUND ? REVISION_CACHED_ELSEWHERE : REVISION_CACHED_HERE;
    }
    return 0;
}
