/*
 * Offline: which revisions of a list can be read at all.
 *
 * The cache's refs and the store know more revisions than the cache has the weights of: Python's programs
 * download a tokenizer alone, and whoever measured before kept no files. Of such a revision no task is made,
 * unless it is asked for by its name: then the task says what is missing.
 */
#ifndef BIFURCATED_SWEEP_CACHED_REVISIONS_H
#define BIFURCATED_SWEEP_CACHED_REVISIONS_H

#include "daemon/base/err.h"
#include "daemon/hub/repository.h"
#include "daemon/sweep/revision_list.h"
#include "daemon/sweep/sweep_spec.h"

/* Looks for the file by which the weights of each revision that the sweep may take are read. Does nothing
 * where the hub may be asked. */
int cached_revisions_find(struct revision_list *list, struct repository *repository,
                          const struct sweep_spec *spec, struct err *err);

#endif
