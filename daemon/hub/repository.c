#include "daemon/hub/repository.h"

#include <stdlib.h>
#include <string.h>

int repository_list_refs(struct repository *repository, struct repository_refs **ret_refs, struct err *err)
{
    return repository->ops->list_refs(repository, ret_refs, err);
}

int repository_resolve(struct repository *repository, const char *revision, char *commit, struct err *err)
{
    return repository->ops->resolve(repository, revision, commit, err);
}

int repository_list_tree(struct repository *repository, const char *commit, struct repository_tree **ret_tree,
                         struct err *err)
{
    return repository->ops->list_tree(repository, commit, ret_tree, err);
}

int repository_list_commits(struct repository *repository, const char *revision,
                            struct repository_commits **ret_commits, struct err *err)
{
    if (!repository->ops->list_commits)
        return err_set(err, ERR_UNSUPPORTED, "%s: a folder has no commits", repository->name);
    return repository->ops->list_commits(repository, revision, ret_commits, err);
}

int repository_open_file(struct repository *repository, const char *commit, const char *path,
                         const struct repository_file *expected, struct source **ret_source, struct err *err)
{
    return repository->ops->open_file(repository, commit, path, expected, ret_source, err);
}

int repository_fetch_file(struct repository *repository, const char *commit, const char *path,
                          const struct repository_file *expected, struct buf *buf, struct err *err)
{
    return repository->ops->fetch_file(repository, commit, path, expected, buf, err);
}

int repository_download_file(struct repository *repository, const char *commit, const char *path,
                             const struct repository_file *expected, char **ret_path, struct err *err)
{
    return repository->ops->download_file(repository, commit, path, expected, ret_path, err);
}

int repository_ask_access(struct repository *repository, const char *commit, const char *path,
                          struct err *err)
{
    if (!repository->ops->ask_access)
        return 0;
    return repository->ops->ask_access(repository, commit, path, err);
}

int repository_ask_file(struct repository *repository, const char *commit, const char *path,
                        struct repository_file *ret_file, struct err *err)
{
    if (!repository->ops->ask_file)
        return err_set(err, ERR_UNSUPPORTED, "%s: a folder says nothing about a single file", path);
    return repository->ops->ask_file(repository, commit, path, ret_file, err);
}

void repository_counters(struct repository *repository, struct repository_counters *counters)
{
    repository->ops->counters(repository, counters);
}

void repository_close(struct repository *repository)
{
    if (repository)
        repository->ops->close(repository);
}

static int compare_path(const void *path, const void *file)
{
    return strcmp(path, ((const struct repository_file *)file)->path);
}

const struct repository_file *repository_tree_find(const struct repository_tree *tree, const char *path)
{
    if (tree->count == 0)
        return NULL;
    return bsearch(path, tree->files, tree->count, sizeof *tree->files, compare_path);
}

int repository_tree_has(void *tree, const char *path)
{
    return repository_tree_find(tree, path) != NULL;
}

void repository_tree_free(struct repository_tree *tree)
{
    if (!tree)
        return;
    for (size_t i = 0; i < tree->count; i++)
        free(tree->files[i].path);
    free(tree->files);
    free(tree);
}

void repository_refs_free(struct repository_refs *refs)
{
    if (!refs)
        return;
    for (size_t i = 0; i < refs->count; i++)
        free(refs->rows[i].name);
    free(refs->rows);
    free(refs);
}

void repository_commits_free(struct repository_commits *commits)
{
    if (!commits)
        return;
    for (size_t i = 0; i < commits->count; i++)
        free(commits->rows[i].title);
    free(commits->rows);
    free(commits);
}
