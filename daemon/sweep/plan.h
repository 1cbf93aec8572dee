/*
 * One plan: a sweep ("some metrics of some revisions of a model") becomes one task per revision.
 *
 * It lists the refs of the repository, places them in step order, stores the revisions, learns what the model
 * is from its config.json, and hands the tasks to the store: a handful of requests, however many revisions
 * there are, so that no sweep waits long for the plans of others. Their files are asked for afterwards
 * (lister.h). Only headers and small JSON files are fetched here.
 *
 * A task's previous revision, for lag-1 displacement, is the one before it in the step order of the model; of
 * a thinned-out sweep (every > 1), the one before it in the sweep.
 */
#ifndef BIFURCATED_SWEEP_PLAN_H
#define BIFURCATED_SWEEP_PLAN_H

#include "daemon/base/err.h"
#include "daemon/hub/hub.h"
#include "store/store.h"
#include "store/sweeps.h"

#include <stdatomic.h>

/*
 * Plans a sweep that waits for it, and lets it start. *cancel ends it, and so does the end of the sweep
 * (*ret_is_cancelled). Where only what serves the hub's files is down, what they would tell is left to the
 * tasks. After an error the sweep still waits: ERR_UNREACHABLE (the hub's API is down, or the folder does not
 * answer) and ERR_NO_SPACE pass; ERR_CONFLICT: it does not wait any more.
 */
int plan_run(struct store *store, struct hub *hub, const struct sweep_row *sweep, const atomic_bool *cancel,
             int *ret_is_cancelled, struct err *err);

#endif
