/*
 * Workers that wait for work: POST /v1/claims with `wait_s` is not answered before there is a task or the
 * time is over. A waiting request is a suspended connection and costs no thread. One thread of this module
 * watches the store and lets as many of them try again as there are tasks queued, oldest first.
 */
#ifndef BIFURCATED_API_WORKERS_CLAIM_WAIT_H
#define BIFURCATED_API_WORKERS_CLAIM_WAIT_H

#include "daemon/base/err.h"

#include <stdint.h>

struct api_claim_waits;
struct api_request;
struct store;

/* Starts the thread. */
int api_claim_waits_start(struct store *store, struct api_claim_waits **ret_waits, struct err *err);

/* Lets all requests try again, which are then answered with what there is. */
void api_claim_waits_end(struct api_claim_waits *waits);

/* After libmicrohttpd has stopped: ends the thread, frees. NULL is allowed. */
void api_claim_waits_free(struct api_claim_waits *waits);

/*
 * Suspends a request whose claim found nothing at version `since` of the store. It is dispatched again when
 * the store has changed, after retry_ms (below 0: only then) or at request->wait_until_ms. 0 if it does not
 * wait (the daemon stops, or the time is over): then it is to be answered.
 */
int api_claim_wait(struct api_claim_waits *waits, struct api_request *request, uint64_t since,
                   int64_t retry_ms);

/* Whether the peer of a request that has waited is still there. */
int api_claim_wait_is_alive(struct api_request *request);

/* Requests that wait at present. */
unsigned api_claim_waits_count(struct api_claim_waits *waits);

#endif
