#include "daemon/hub/branch_folder.h"

#include "daemon/base/limits.h"
#include "daemon/base/revision_place.h"
#include "daemon/hub/client.h"
#include "daemon/hub/offline.h"
#include "daemon/hub/subfolder.h"

#include <stdio.h>
#include <string.h>

#define HINT_SIZE (REPOSITORY_NAME_SIZE + REPOSITORY_COMMIT_SIZE) /* "owner/name@commit" */

/* A folder that is equal in two repositories has one commit in both, so a hint says whose it is. */
void branch_folder_note(struct repository *repository, const char *folder_commit, const char *branch_commit)
{
    struct hub_repository *hub_repository = client_repository_of(repository);
    char hint[HINT_SIZE + 1];
    if (!hub_repository)
        return;
    (void)snprintf(hint, sizeof hint, "%s@%s", hub_repository->name, branch_commit);
    folder_hints_put(hub_repository->hub->place_hints, folder_commit, hint);
}

int branch_folder_recall(struct repository *repository, const char *folder_commit, char *ret_branch_commit)
{
    const struct hub_repository *hub_repository = client_repository_of(repository);
    char hint[HINT_SIZE + 1];
    if (!folder_hints_get(hub_repository->hub->place_hints, folder_commit, hint, sizeof hint))
        return 0;
    char *at = strrchr(hint, '@');
    if (!at || strncmp(hint, hub_repository->name, (size_t)(at - hint)) != 0 ||
        hub_repository->name[at - hint])
        return 0;
    (void)snprintf(ret_branch_commit, REPOSITORY_COMMIT_SIZE, "%.40s", at + 1);
    return 1;
}

/* The branch's commit; offline, the one at which the folder lies in the cache. */
static int find_branch(struct repository *repository, const char *branch, const char *folder,
                       char *ret_branch_commit, struct err *err)
{
    char name[LIMIT_REVISION_NAME_BYTES];
    struct err ignored = ERR_INIT;
    struct hub_repository *hub_repository = client_repository_of(repository);
    if (hub_repository->hub->options.is_offline &&
        revision_place_write(REVISION_PLACE_FOLDER, branch, folder, name) &&
        offline_resolve(hub_repository, name, ret_branch_commit, &ignored) == 0)
        return 0;
    return repository_resolve(repository, branch, ret_branch_commit, err);
}

int branch_folder_look(struct repository *repository, const char *branch, const char *folder,
                       struct repository_tree **ret_tree, char *ret_branch_commit, struct err *err)
{
    struct repository_tree *whole = NULL;
    int code = find_branch(repository, branch, folder, ret_branch_commit, err);
    if (!code) {
        code = listing_tree_below(repository, ret_branch_commit, folder, &whole, err);
        if (code == ERR_NOT_FOUND && !client_repository_of(repository)->hub->options.is_offline)
            code = err_set(err, ERR_NOT_FOUND, "%s: branch %s has no folder %.200s", repository->name, branch,
                           folder);
    }
    if (!code)
        code = subfolder_take(whole, folder, ret_tree, err);
    repository_tree_free(whole);
    if (!code && !(*ret_tree)->is_partial)
        branch_folder_note(repository, (*ret_tree)->commit, ret_branch_commit);
    return code;
}
