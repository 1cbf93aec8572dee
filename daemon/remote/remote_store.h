/*
 * The store of a remote worker: a database of its own, in a temporary folder, that holds what the daemon has
 * told it. So measuring (daemon/measure/measure.h) runs over it as it runs over the daemon's, and asks for
 * nothing that the daemon knows already. It learns from claims alone, never from the worker's own results:
 * the daemon is the one who says what is stored. The folder goes with the process; one that a killed worker
 * left behind goes when the next worker of the same place starts.
 */
#ifndef BIFURCATED_REMOTE_REMOTE_STORE_H
#define BIFURCATED_REMOTE_REMOTE_STORE_H

#include "api/wire/wire.h"
#include "daemon/base/err.h"
#include "store/store.h"
#include "store/tasks.h"

struct remote_store;

/* Makes the folder within `place`, which must exist. */
int remote_store_open(const char *place, struct remote_store **ret_store, struct err *err);

/* Closes and removes. NULL is allowed. */
void remote_store_close(struct remote_store *store);

/* The database; borrowed. */
struct store *remote_store_database(struct remote_store *store);

/* The folder; borrowed. */
const char *remote_store_folder(const struct remote_store *store);

/* Takes over what a claim tells; *ret_task becomes the task with the ids of this database, ready for
 * measure_task(). ERR_CONFLICT: the claim comes from another database of the daemon than those before, whose
 * knowledge does not hold any more: the worker must start anew. Safe for threads. */
int remote_store_take(struct remote_store *store, const struct wire_task *task, struct task_row *ret_task,
                      struct err *err);

#endif
