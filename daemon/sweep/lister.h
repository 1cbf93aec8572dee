/*
 * The lister: asks for the files of the revisions of a sweep that has just been planned, ahead of its tasks,
 * so that the audit is whole while the first tasks are at work, workers on other machines are told the files,
 * and no task waits for a list.
 *
 * A few threads take one revision of each sweep in turn, in the order of its tasks. What cannot be listed
 * is left to its task, which tries again and reports the error. Lists can wait: while the hub asks for a
 * pause, or a limit of requests is nearly used up, plans and tasks get the rest, and for sweeps that read
 * only weights the weight files are asked for instead, which the hub counts separately; while the hub is
 * down or the disk full, nothing is asked. A task that comes to a revision first lists it by itself, and
 * nothing is asked twice (revision_source.h).
 */
#ifndef BIFURCATED_SWEEP_LISTER_H
#define BIFURCATED_SWEEP_LISTER_H

#include "daemon/base/err.h"
#include "daemon/hub/hub.h"
#include "store/store.h"

#include <stdint.h>

#define LISTER_THREADS_MAX 4

struct lister;

/* With so many threads (1 to LISTER_THREADS_MAX), for the sweeps that run already, too. Store and hub must
 * outlive it. */
int lister_start(struct store *store, struct hub *hub, int thread_count, struct lister **ret_lister,
                 struct err *err);

/* A sweep has been planned. Lists what the store has no files of; ends once the sweep is cancelled. NULL, or
 * a lack of memory: its tasks do it. */
void lister_add(struct lister *lister, int64_t sweep_id);

/* Breaks off what it asks for and frees. NULL is allowed. */
void lister_stop(struct lister *lister);

#endif
