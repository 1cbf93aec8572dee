/*
 * What answers in the hub's place when it may not be asked (HF_HUB_OFFLINE): the cache.
 *
 * Its refs tell branches and tags. Checkpoints that are none of these have refs, too, called by the names of
 * their places (daemon/base/revision_place.h), which downloads of this program write: "main:checkpoint-500"
 * and "main^step 500", each with the commit that its files lie at. Python, whose refs are names of git's,
 * passes over them, and keeps such a snapshot when it prunes what no ref leads to. Other repositories are
 * those that the cache has a folder of.
 */
#ifndef BIFURCATED_HUB_OFFLINE_H
#define BIFURCATED_HUB_OFFLINE_H

#include "daemon/base/err.h"
#include "daemon/hub/client.h"

/* ERR_NOT_FOUND: `what` is not in the cache, with the command that brings it there. `revision` is a name, a
 * commit, whose name is told if it was noted, or NULL. */
int offline_refuse(struct hub_repository *repository, const char *what, const char *revision,
                   struct err *err);

/* The refs, the commit of a name and the files of a commit; ERR_NOT_FOUND as above. */
int offline_list_refs(struct hub_repository *repository, struct repository_refs **ret_refs, struct err *err);
int offline_resolve(struct hub_repository *repository, const char *revision, char *commit, struct err *err);
int offline_list_tree(struct hub_repository *repository, const char *commit,
                      struct repository_tree **ret_tree, struct err *err);

/* The titled commits of a branch, in no order that means something. */
int offline_list_commits(struct hub_repository *repository, const char *branch,
                         struct repository_commits **ret_commits, struct err *err);

/* The models of an owner whose names hold `text`, appended. `named` is a repository of the hub, for
 * messages. */
int offline_list_models(struct hub_repository *named, const char *owner, const char *text,
                        struct hub_listing *listing, struct err *err);

#endif
