/*
 * For this folder only: what records a result shares with the rest of the queue.
 */
#ifndef BIFURCATED_STORE_QUEUE_H
#define BIFURCATED_STORE_QUEUE_H

#include "store/connection.h"
#include "store/tasks.h"

/* Loads the task of a lease that still holds (or is over but was taken by nobody). ERR_CANCELLED if the task
 * was cancelled under it, ERR_CONFLICT if it was lost; *ret_task is filled in these cases too. ERR_NOT_FOUND.
 */
int queue_load_leased(struct connection *connection, const struct task_lease *lease,
                      struct task_row *ret_task, struct err *err);

#endif
