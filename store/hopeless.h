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
 * A task of the sweep has just failed for good. If TASKS_ALIKE_MAX of them have, all alike, and nothing was
 * recorded, cancels what is queued; what others have claimed goes on to its end. So the sweep ends with the
 * last of those, which may be now.
 */
int hopeless_check(struct connection *connection, const struct task_row *failed, struct err *err);

#endif
