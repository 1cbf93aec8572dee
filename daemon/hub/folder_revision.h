/*
 * One revision of a folder of checkpoints (folder.h) as it is now: where its files are, which they are, and
 * its commit.
 */
#ifndef BIFURCATED_HUB_FOLDER_REVISION_H
#define BIFURCATED_HUB_FOLDER_REVISION_H

#include "daemon/base/err.h"
#include "daemon/hub/repository.h"

/* Where a revision's files are: "main" is the folder itself, unless that holds no checkpoint and has a folder
 * of this name. *ret_depth is how many folders deep they may lie. The caller frees the path. */
int folder_revision_find(const char *folder, const char *revision, char **ret_path, int *ret_depth,
                         struct err *err);

/* The files and the commit; ERR_NOT_FOUND if it holds no checkpoint. The caller frees the tree. */
int folder_revision_read(const char *folder, const char *revision, struct repository_tree **ret_tree,
                         struct err *err);

#endif
