/*
 * What the daemon keeps of remote workers beside the store: who spoke lately, and who waits for work.
 */
#ifndef BIFURCATED_API_WORKERS_WORKERS_H
#define BIFURCATED_API_WORKERS_WORKERS_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "store/tasks.h"

#include <stdint.h>

struct api_workers;
struct store;

struct api_claims_options {
    int64_t lease_ms;           /* a worker that is silent for so long loses its task */
    struct tasks_policy policy; /* of failures */
    int64_t definition;         /* by which results are stored; 0: no worker is accepted */
    int64_t scoring_definition;
};

/* Starts the thread of those that wait. */
int api_workers_start(const struct api_claims_options *options, struct store *store,
                      struct api_workers **ret_workers, struct err *err);

/* Lets all that wait try again, which are then answered with what there is. */
void api_workers_end(struct api_workers *workers);

/* After libmicrohttpd has stopped. NULL is allowed. */
void api_workers_free(struct api_workers *workers);

/* Appends how many there are, and how many wait, in Prometheus' text format. */
void api_workers_append_metrics(struct api_workers *workers, struct buf *text);

#endif
