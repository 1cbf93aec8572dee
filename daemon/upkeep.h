/*
 * Upkeep: what is deleted between two plans, by the planner's thread. The rows of removed models, and once a
 * day what is older than retention-days; a few parts at a time (store/parts.h), so that no plan waits until
 * all of it is gone.
 */
#ifndef BIFURCATED_DAEMON_UPKEEP_H
#define BIFURCATED_DAEMON_UPKEEP_H

#include "daemon/measure/references.h"
#include "store/retention.h"
#include "store/store.h"

#include <stdatomic.h>
#include <stdint.h>

/* Of one thread. */
struct upkeep {
    struct store *store;
    struct references *references;  /* what no series refers to goes with retention; or NULL */
    int64_t retention_days;         /* 0: everything is kept */
    const atomic_bool *is_stopping; /* ends a part early */
    /* Its own, zeros to begin with: */
    int64_t removal_after;    /* models up to this one had their turn in this round */
    int has_removal_failed;   /* in this round */
    int is_removal_told;      /* the log knows that one failed */
    int64_t retention_due_ms; /* monotonic */
    int is_retention_begun;
    struct retention_run retention;
    int is_retention_behind; /* of the clock; the log was told */
};

/* Both return whether there is more that can go at once. */

/* Models in turn: one that has to wait for its job arrays, or whose rows cannot be deleted, is passed over
 * and tried again in the next round, which begins after the caller's next pause. A failure is logged once. */
int upkeep_continue_removals(struct upkeep *upkeep);

/* Begins once a day. A failure is logged, and ends it until the next day. */
int upkeep_continue_retention(struct upkeep *upkeep);

#endif
