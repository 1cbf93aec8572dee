/*
 * A folder of a branch on the hub: what lies in it now, and at which commit of the branch it was seen so.
 *
 * Every push moves a branch, but most leave a folder of it alone. So the commit of a folder is not the
 * branch's: it is a digest of what lies in the folder (subfolder.h).
 */
#ifndef BIFURCATED_HUB_BRANCH_FOLDER_H
#define BIFURCATED_HUB_BRANCH_FOLDER_H

#include "daemon/base/err.h"
#include "daemon/hub/repository.h"

/* Looks at the folder as the branch has it now, or, offline, the cache; and remembers where. The caller frees
 * *ret_tree. */
int branch_folder_look(struct repository *repository, const char *branch, const char *folder,
                       struct repository_tree **ret_tree, char *ret_branch_commit, struct err *err);

/* Remembers that a folder has its commit at this one of the branch, so that nobody needs to look. */
void branch_folder_note(struct repository *repository, const char *folder_commit, const char *branch_commit);

/* A commit of the branch at which the folder had this one; 0: none is remembered. */
int branch_folder_recall(struct repository *repository, const char *folder_commit, char *ret_branch_commit);

#endif
