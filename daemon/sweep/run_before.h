/*
 * A second run in a folder that reuses the names of the first. What was measured of the first, and has been
 * deleted since, is not part of the second.
 */
#ifndef BIFURCATED_SWEEP_RUN_BEFORE_H
#define BIFURCATED_SWEEP_RUN_BEFORE_H

#include "daemon/base/err.h"
#include "daemon/sweep/revision_list.h"
#include "store/store.h"

/*
 * Drops remembered revisions of the list, in step order, that another run has left. A name that holds other
 * weights than before tells: what is older than those and comes later in the run cannot be of the same one;
 * what comes before it is not if the weights of now and before have nothing in common (sample_is_of_one_run),
 * as those of another initialisation. Else training went on from an earlier checkpoint.
 */
int run_before_drop(struct revision_list *list, struct store *store, int64_t model_id, struct err *err);

#endif
