/*
 * The planner: which of the sweeps that wait is planned next (plan.h), and what becomes of those that cannot
 * be.
 *
 * A plan that cannot go on now (its folder does not answer, a disk has no room for it) is set aside, so
 * that those behind it can pass; the sweep says why it waits, and its plan is tried again.
 */
#ifndef BIFURCATED_SWEEP_PLANNER_H
#define BIFURCATED_SWEEP_PLANNER_H

#include "daemon/base/err.h"
#include "daemon/base/reserve.h"
#include "daemon/hub/hub.h"
#include "daemon/sweep/lister.h"
#include "store/store.h"

#include <stdatomic.h>

#define PLANNER_ASIDE_MAX 64

struct planner {
    struct store *store;
    struct hub *hub;
    struct lister *lister;     /* gets what is planned; or NULL */
    struct reserve *reserve;   /* given up to record failures with a full disk; or NULL */
    const atomic_bool *cancel; /* ends the plan on its way */
    /* The planner's own, zeros to begin with: */
    struct planner_aside {
        int64_t sweep_id, until_ms, pause_ms;
    } asides[PLANNER_ASIDE_MAX];
    size_t aside_count; /* that wait for something else than the hub */
};

/*
 * Plans the next sweep that waits for it; while the hub's API is down, the next one that does without it: a
 * plan that finds it so goes on waiting. *ret_planned becomes 1 if there was one, also if its plan failed
 * (which the sweep then says) or was set aside. Returns an error only if the store fails, its disk is full
 * (ERR_NO_SPACE) or *cancel became true; the sweep then still waits for its plan.
 */
int planner_run_once(struct planner *planner, int *ret_planned, struct err *err);

#endif
