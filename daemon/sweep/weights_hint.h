/*
 * Why a revision has no weights that are read here: what its files are instead, and what to do.
 *
 * Trainers write checkpoints in forms of their own (torch's distributed ones, DeepSpeed, Megatron, Meta), and
 * people publish them as they are, or put each checkpoint into a subfolder of one branch.
 */
#ifndef BIFURCATED_SWEEP_WEIGHTS_HINT_H
#define BIFURCATED_SWEEP_WEIGHTS_HINT_H

#include "daemon/base/err.h"
#include "daemon/hub/repository.h"

/* Whether checkpoints lie in subfolders of this tree, which is of a revision of `model` ("owner/name" or
 * "file:/path"); then *err says so, and by which rule they are swept, with its code as it is. */
int weights_hint_name_subfolders(const char *model, const char *revision, const struct repository_tree *tree,
                                 struct err *err);

/* `err` says that this tree has no weights: adds what it has, if that is known. */
void weights_hint_add(const char *model, const char *revision, const struct repository_tree *tree,
                      struct err *err);

#endif
