/*
 * The Slurm executor: a thread that keeps as many workers running as jobs as the queue can use.
 *
 * It is on if slurm-workers-max is above 0. The workers are `bifurcated worker` processes on other machines;
 * they claim tasks over REST like any other worker, so a job that is killed, preempted or requeued loses
 * nothing: its tasks go back to the queue with its lease, if not before. Jobs outlive the daemon; the next
 * one finds them again (daemon/executor/executor_round.h).
 */
#ifndef BIFURCATED_EXECUTOR_EXECUTOR_H
#define BIFURCATED_EXECUTOR_EXECUTOR_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "daemon/hub/hub.h"
#include "daemon/options/options.h"
#include "store/store.h"

struct executor;

/* *ret_executor becomes NULL if the options do not ask for it. The options and the hub must outlive the
 * executor; without a hub (NULL) none is down. */
int executor_new(const struct options *options, struct store *store, struct hub *hub,
                 struct executor **ret_executor, struct err *err);

/* Starts the thread. `url` is where this daemon listens, for workers unless slurm-connect says otherwise.
 * Does nothing for NULL. */
int executor_start(struct executor *executor, const char *url, struct err *err);

/* Stops the thread, breaking off calls of Slurm's programs. Jobs go on. NULL is allowed. */
void executor_stop(struct executor *executor);
void executor_free(struct executor *executor);

/* Appends the value of "slurm" in GET /v1/status: an object, or null for NULL. */
int executor_append_status(struct executor *executor, struct buf *json, struct err *err);

/* Appends lines for /metrics; none for NULL. */
int executor_append_metrics(struct executor *executor, struct buf *text, struct err *err);

#endif
