/*
 * One run of a watch: looks at the refs of its model and starts a sweep of what is left to measure.
 *
 * It costs one request; one more for each revision that the watch names and that is no branch or tag; and
 * where the hub refuses us the model, one more, or three while something of it is new. Nothing else happens
 * unless there are revisions to sweep:
 *
 *   - new ones, and those that have moved;
 *   - those that could not be measured for a passing reason, or for want of access that was granted since;
 *   - measured ones whose displacement is against a revision that has moved or gone, or is no longer the one
 *     before them.
 *
 * What the sweep finds under a known file digest it does not fetch.
 */
#ifndef BIFURCATED_WATCH_WATCH_RUN_H
#define BIFURCATED_WATCH_WATCH_RUN_H

#include "daemon/base/err.h"
#include "daemon/hub/hub.h"
#include "daemon/watch/watch_access.h"
#include "store/watches.h"

#include <stdatomic.h>

enum watch_outcome {
    WATCH_OUTCOME_UNCHANGED, /* nothing to sweep */
    WATCH_OUTCOME_SWEEPING,  /* a sweep was started */
    WATCH_OUTCOME_SKIPPED,   /* the sweep of an earlier run is not over */
    WATCH_OUTCOME_FAILED,    /* the model could not be looked at; the report says why */
    WATCH_OUTCOME_WAITING,   /* it is there, and the first revision, or the first that is a step, is still to
                                come */
    WATCH_OUTCOME_MISSING,   /* there is no such model, or it is kept from us, and there was none before: its
                                name is mistyped, or its trainer has still to make it */
    WATCH_OUTCOME_COUNT
};

/* "unchanged", ... */
const char *watch_outcome_name(enum watch_outcome outcome);

/* Runs and notes the run in the store. An error is returned only if the store fails, *cancel became true or
 * the hub is down, or the folder does not answer (ERR_UNREACHABLE); the watch is then due as before. */
int watch_run_once(struct store *store, struct hub *hub, const struct watch_others *others,
                   const struct watch_row *watch, const atomic_bool *cancel, enum watch_outcome *ret_outcome,
                   struct err *err);

#endif
