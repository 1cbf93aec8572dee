/*
 * For this folder only: what the parts of the queue share: leases (store/queue.c), claims
 * (store/queue_claim.c), records (store/record.c).
 */
#ifndef BIFURCATED_STORE_QUEUE_H
#define BIFURCATED_STORE_QUEUE_H

#include "store/connection.h"
#include "store/tasks.h"

#define QUEUE_LEASE_MS_MAX INT64_C(86400000) /* a day */

#define QUEUE_REFUSED_NAME "'mismatch'" /* of TASKS_REFUSED, in SQL */

/* The default for NULL; the longest pause that it gives. */
const struct tasks_policy *queue_policy(const struct tasks_policy *policy);
int64_t queue_longest_pause(const struct tasks_policy *policy);

/* ERR_INVALID: no name of a worker, or no length of a lease. */
int queue_check_lease(const char *worker, int64_t lease_ms, struct err *err);

/* Cuts leases that end later than their length from now: they were given before the clock was set back. */
int queue_cut_leases(struct connection *connection, int64_t now, int64_t lease_ms, struct err *err);

/* Lengthens all leases by the time in which no holder could report: before the first call since the store was
 * opened, from the last report on, where the wall clock ran ahead of the monotonic one, because the machine
 * slept or the clock was set, and while another program kept the database locked. What was over by then stays
 * so. */
int queue_lengthen_leases(struct connection *connection, int64_t wall_ms, int64_t monotonic_ms,
                          struct err *err);

/* Gives up all leases that are over. */
int queue_expire_all(struct connection *connection, const struct tasks_policy *policy, struct err *err);

/* Loads the task of a lease that still holds (or is over but was taken by nobody). ERR_CANCELLED if the task
 * was cancelled under it or is gone with its sweep, ERR_CONFLICT if it was lost; *ret_task is filled in where
 * there is one. */
int queue_load_leased(struct connection *connection, const struct task_lease *lease,
                      struct task_row *ret_task, struct err *err);

#endif
