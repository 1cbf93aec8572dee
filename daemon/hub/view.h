/*
 * One revision of a model as a repository of its own, wherever it lies (daemon/base/revision_place.h).
 *
 * What reads a revision asks a view for files by their paths in the checkpoint. Of a branch, a tag or a
 * titled commit, and of a local folder, that is the model's repository itself. Of a folder of a branch the
 * view puts the folder before every path; of another repository it is that one, whose costs count for the
 * first.
 *
 * Every push moves a branch, but most leave a folder of it alone. So the commit of a folder is not the
 * branch's: it is a digest of what lies in the folder. Its files are read at a commit of the branch at which
 * the folder was seen like that; where none is known, the branch is looked at once more.
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

/* Remembers that a folder has its commit at this one of the branch, so that nobody needs to look. */
void view_note_folder(struct repository *repository, const char *folder_commit, const char *branch_commit);

/* What a view is of: the repository itself, or the other one. Anything else is its own. */
struct repository *view_below(struct repository *repository);

#endif
