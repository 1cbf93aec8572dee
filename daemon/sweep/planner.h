/*
 * The planner: turns a sweep ("some metrics of some revisions of a model") into one task per revision.
 *
 * It lists the refs of the repository, places them in step order, stores the revisions, learns what the model
 * is from its config.json, and hands the tasks to the store: a handful of requests, however many revisions
 * there are, so that no sweep waits long for the plans of others. Their files are asked for afterwards
 * (lister.h). Only headers and small JSON files are fetched here.
 *
 * A task's previous revision, for lag-1 displacement, is the one before it in the step order of the model; of
 * a thinned-out sweep (every > 1), the one before it in the sweep.
 */
#ifndef BIFURCATED_SWEEP_PLANNER_H
#define BIFURCATED_SWEEP_PLANNER_H

#include "daemon/base/err.h"
#include "daemon/base/reserve.h"
#include "daemon/hub/hub.h"
#include "daemon/sweep/lister.h"
#include "store/store.h"

#include <stdatomic.h>

/*
 * Plans the next sweep that waits for it and hands it to `lister` (or NULL); while the hub's API is down, the
 * next one that does without it: a plan that finds it so goes on waiting. Where only what serves files is
 * down, what they would tell is left to the tasks. *ret_planned becomes 1 if there was one, also if its plan
 * failed (which the sweep then says; with a full disk at the cost of `reserve`, which may be NULL). Returns
 * an error only if the store fails, its disk is full (ERR_NO_SPACE) or *cancel became true; the sweep then
 * still waits for its plan.
 */
int planner_run_once(struct store *store, struct hub *hub, struct lister *lister, struct reserve *reserve,
                     const atomic_bool *cancel, int *ret_planned, struct err *err);

#endif
