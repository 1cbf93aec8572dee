/*
 * Offline: folders of a branch that are checkpoints, wherever in the cache they lie.
 *
 * Each push moves the branch, so folders that were downloaded over time lie at several of its commits, of
 * which the branch's ref tells the last. Refs by the names of the folders tell the others (offline.h).
 */
#ifndef BIFURCATED_HUB_CACHED_FOLDERS_H
#define BIFURCATED_HUB_CACHED_FOLDERS_H

#include "daemon/base/err.h"
#include "daemon/hub/repository.h"

/* Adds to the files of a branch those of its folders by `refs`, unless it has files of them; *tree may be
 * NULL, and becomes a part if anything is added. */
int cached_folders_add(struct repository *repository, const struct repository_refs *refs, const char *branch,
                       struct repository_tree **tree, struct err *err);

#endif
