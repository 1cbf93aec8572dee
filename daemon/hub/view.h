/*
 * One revision of a model as a repository of its own, wherever it lies (daemon/base/revision_place.h).
 *
 * What reads a revision asks a view for files by their paths in the checkpoint. Of a branch, a tag or a
 * titled commit, and of a local folder, that is the model's repository itself. Of a folder of a branch the
 * view puts the folder before every path; of another repository it is that one, whose costs count for the
 * first.
 *
 * The files of a folder are read at a commit of the branch at which the folder was seen as it should be
 * (branch_folder.h); where none is known, the branch is looked at once more.
 */
#ifndef BIFURCATED_HUB_VIEW_H
#define BIFURCATED_HUB_VIEW_H

#include "daemon/base/err.h"
#include "daemon/hub/repository.h"

/* Opens the view of a revision by its name. No request is made. `repository` must outlive the view, which the
 * caller closes with repository_close(). ERR_INVALID for a name that says no place. */
int view_open(struct repository *repository, const char *revision, struct repository **ret_view,
              struct err *err);

/* repository_resolve() of a repository on the hub: names of all kinds. */
int view_resolve(struct repository *repository, const char *revision, char *commit, struct err *err);

/* What a view is of: the repository itself, or the other one. Anything else is its own. */
struct repository *view_below(struct repository *repository);

#endif
