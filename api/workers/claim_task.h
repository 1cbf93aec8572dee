/*
 * A claimed task as a worker needs it: the revision and its references with their files, and what the store
 * knows of the tensors that the sweep asks for. Of the references that is their content; of the revision
 * itself the numbers, too, so that equal content is not measured twice.
 */
#ifndef BIFURCATED_API_WORKERS_CLAIM_TASK_H
#define BIFURCATED_API_WORKERS_CLAIM_TASK_H

#include "api/wire/wire.h"
#include "daemon/base/err.h"
#include "store/store.h"
#include "store/tasks.h"

#include <jansson.h>

/* The task of a claim's id, whatever its state is now, with the lease that the id stands for. ERR_NOT_FOUND:
 * no such claim. ERR_CONFLICT: another worker has taken the task since. */
int api_claim_find(struct store *store, const char *id, struct task_row *ret_task, struct err *err);

/* Fills in everything but lease_ms and failures_max. `backend` is that of the worker, `definition` the one by
 * which the daemon's results are stored. The caller frees with wire_task_free, also after an error. */
int api_claim_task(struct store *store, const struct task_row *row, const char *backend, int64_t definition,
                   struct wire_task *task, struct err *err);

/* Whether a sweep's request (its "tensors", or `standard` without) asks for a tensor. */
int api_claim_wants(const json_t *request, const char *standard, const char *tensor);

/* Whether a sweep's request asks for a metric; "statistics" is the default. */
int api_claim_measures(const json_t *request, const char *metric);

/* The request of a sweep; the caller releases *ret_request. */
int api_claim_request(struct store *store, int64_t sweep_id, json_t **ret_request, struct err *err);

#endif
