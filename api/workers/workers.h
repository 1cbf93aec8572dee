/*
 * What the daemon keeps of remote workers beside the store: who spoke lately, and who waits for work.
 */
#ifndef BIFURCATED_API_WORKERS_WORKERS_H
#define BIFURCATED_API_WORKERS_WORKERS_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "store/tasks.h"

#include <stddef.h>
#include <stdint.h>

struct api_workers;
struct store;

struct api_claims_options {
    int64_t lease_ms;           /* a worker that is silent for so long loses its task */
    struct tasks_policy policy; /* of failures */
    int64_t definition;         /* by which results are stored; 0: no worker is accepted */
    int64_t scoring_definition;
    int has_local; /* the daemon measures, too */
};

/* Starts the thread of those that wait. */
int api_workers_start(const struct api_claims_options *options, struct store *store,
                      struct api_workers **ret_workers, struct err *err);

/* Lets all that wait try again, which are then answered with what there is. */
void api_workers_end(struct api_workers *workers);

/*
 * The hub keeps what this sweep needs from a worker ("name/slot"; "local": the daemon's own). Returns whether
 * another worker that was heard of lately may still read it: then the task has not failed, and this worker
 * gets no more of the sweep until that changes. Just after the start, workers that had tasks of the sweep
 * before count as heard of.
 */
int api_workers_leave(struct api_workers *workers, const char *worker, int64_t sweep_id);

/* Whether another worker that was heard of lately, the daemon's own included, may work on this sweep. */
int api_workers_have_other(struct api_workers *workers, const char *worker, int64_t sweep_id);

/* A worker has fetched something of this model. */
void api_workers_note_access(struct api_workers *workers, const char *worker, int64_t model_id);

/* A worker asks the hub with another token from now on: what it has left to others is for it again. */
void api_workers_forget_left(struct api_workers *workers, const char *worker);

/* Whether anybody may measure this model, though an earlier sweep of it was refused: the daemon's own workers
 * if has_daemon_access; a worker that has spoken lately and, with its present token, was not refused the
 * model within a week; or workers to come, who may have the daemon's token. */
int api_workers_may_read(struct api_workers *workers, int64_t model_id, int has_daemon_access);

/* The sweeps that a worker leaves to others now, into ids[API_WORKERS_LEFT_MAX]; returns how many. At that
 * number, it is to be given nothing. */
size_t api_workers_list_left(struct api_workers *workers, const char *worker, int64_t *ids);

#define API_WORKERS_LEFT_MAX 64

/* After libmicrohttpd has stopped. NULL is allowed. */
void api_workers_free(struct api_workers *workers);

/* Appends how many there are, and how many wait, in Prometheus' text format. */
void api_workers_append_metrics(struct api_workers *workers, struct buf *text);

#endif
