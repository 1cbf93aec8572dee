/*
 * What lies in a folder of a branch, by the list of the branch's files.
 */
#ifndef BIFURCATED_HUB_SUBFOLDER_H
#define BIFURCATED_HUB_SUBFOLDER_H

#include "daemon/base/err.h"
#include "daemon/hub/repository.h"

/*
 * A list of its own, with paths below the folder. Its commit is a digest of the folder's name and of names,
 * sizes and ids of its files: another push to the branch leaves it as it is. ERR_NOT_FOUND if nothing lies
 * there. The caller frees *ret_tree.
 */
int subfolder_take(const struct repository_tree *branch, const char *folder,
                   struct repository_tree **ret_tree, struct err *err);

#endif
