/*
 * The thread that keeps watches: sleeps until the next one is due and runs them, one after the other.
 */
#ifndef BIFURCATED_WATCH_WATCHER_H
#define BIFURCATED_WATCH_WATCHER_H

#include "daemon/base/err.h"
#include "daemon/hub/hub.h"
#include "daemon/watch/watch_run.h"
#include "store/store.h"

#include <stdint.h>

struct watcher;

/* Starts the thread. Runs that were missed while no daemon ran are made up for at once, once for each watch.
 */
int watcher_start(struct store *store, struct hub *hub, const struct watch_others *others,
                  struct watcher **ret_watcher, struct err *err);

/* How many runs ended in each way since the start; counts[WATCH_OUTCOME_COUNT]. */
void watcher_counts(struct watcher *watcher, int64_t *counts);

/* Ends the thread; a running look ends with hub_cancel(), which comes first. Counts can still be asked for.
 * NULL is allowed, here and below. */
void watcher_stop(struct watcher *watcher);
void watcher_free(struct watcher *watcher);

#endif
