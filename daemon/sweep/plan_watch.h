/*
 * Watches a sweep while it is planned, so that cancelling it also ends the requests of its plan: a hub that
 * hangs must not keep the planner from the sweeps after it.
 */
#ifndef BIFURCATED_SWEEP_PLAN_WATCH_H
#define BIFURCATED_SWEEP_PLAN_WATCH_H

#include "daemon/base/err.h"
#include "store/store.h"

#include <stdatomic.h>
#include <stdint.h>

struct plan_watch;

/* Starts to watch; *stop (the daemon is stopping) counts as cancelled, too. */
int plan_watch_start(struct store *store, int64_t sweep_id, const atomic_bool *stop,
                     struct plan_watch **ret_watch, struct err *err);

/* True once the sweep is not being planned any more; as long as the watch. */
const atomic_bool *plan_watch_cancel(const struct plan_watch *watch);

/* Ends the watch and frees it. NULL is allowed. */
void plan_watch_end(struct plan_watch *watch);

#endif
