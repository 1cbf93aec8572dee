/*
 * For the files of revision_list.h only: adding to a list.
 */
#ifndef BIFURCATED_SWEEP_REVISION_LIST_PARTS_H
#define BIFURCATED_SWEEP_REVISION_LIST_PARTS_H

#include "daemon/sweep/revision_list.h"

/* Adds a row at the end, unless its name is longer than anybody can ask for. */
int revision_list_add(struct revision_list *list, const char *model, const struct sweep_spec *spec,
                      const char *name, const char *commit, struct err *err);

/* The rows are complete: brings them into step order, of one unit; again, where more were added. */
void revision_list_arrange(struct revision_list *list);

#endif
