/*
 * Which revisions of a watched model are to be swept.
 */
#ifndef BIFURCATED_WATCH_WATCH_DUE_H
#define BIFURCATED_WATCH_WATCH_DUE_H

#include "daemon/base/err.h"
#include "daemon/sweep/revision_list.h"
#include "daemon/sweep/sweep_spec.h"
#include "store/watches.h"

#include <jansson.h>

#define WATCH_DUE_NAMES_MAX 10000 /* revisions of one sweep */
#define WATCH_DUE_REFUSALS_MAX 8  /* of one revision: those who measure seem to lack our access */

/* Sets is_selected of those rows of a stored list (revision_list_store) that the watch asks for and that are
 * left to measure; of a whole list also those whose displacements refer to other revisions by now. Instead,
 * is_refused of those that the hub has refused to the watch's sweeps (see watch_access.h), or is_given_up of
 * those that it has refused too often. */
int watch_due_select(struct store *store, const struct watch_row *watch, const struct sweep_spec *spec,
                     struct revision_list *list, struct err *err);

/* Of a folder: deselects checkpoints that are not whole and adds them to the report as "unfinished".
 * *ret_is_fresh becomes 1 if one of them may be whole soon. */
int watch_due_drop_unfinished(struct store *store, struct repository *repository, struct revision_list *list,
                              json_t *report, int *ret_is_fresh, struct err *err);

#endif
