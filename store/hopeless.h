/*
 * For this folder only: sweeps in which nothing can succeed (a mistyped tensor or data set, a family that is
 * not scored). A few revisions show that; the others need not be tried.
 */
#ifndef BIFURCATED_STORE_HOPELESS_H
#define BIFURCATED_STORE_HOPELESS_H

#include "daemon/base/err.h"
#include "store/connection.h"
#include "store/tasks.h"

/* From so many failed tasks on, with none done, those to come are tried far apart (store/queue_claim.c): the
 * beginning of a run may be spoilt alone. */
#define HOPELESS_DOUBT 3

/*
 * A task of the sweep has just failed for good. If TASKS_ALIKE_MAX of them have, all alike, nothing was
 * recorded and no other is begun, cancels what is queued, notes which program did, and ends the sweep.
 */
int hopeless_check(struct connection *connection, const struct task_row *failed, struct err *err);

/*
 * Whether so many have failed alike while some are begun: worked at, or queued again after an interruption or
 * what passes. Those decide, and no other is begun until they have ended. What fails does so sooner than what
 * is measured: eight may have failed before the first one is done.
 */
int hopeless_is_awaited(struct connection *connection, int64_t sweep_id, int *ret_is_awaited,
                        struct err *err);

#endif
