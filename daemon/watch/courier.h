/*
 * The threads behind webhooks: one finds out what is news (daemon/watch/announce.h), a few deliver what the
 * outbox holds, each message until its receiver has taken it or a day has passed. Messages to one host go
 * one at a time, in order, so a host that does not answer holds up one thread and delays nobody else.
 */
#ifndef BIFURCATED_WATCH_COURIER_H
#define BIFURCATED_WATCH_COURIER_H

#include "daemon/base/err.h"
#include "store/store.h"

#include <stdint.h>

#define COURIER_LANES 4          /* hosts that are spoken to at once */
#define COURIER_TIMEOUT_MS 10000 /* of one attempt */

struct courier;

/* `ca_file` NULL or "": the system's certificates. What was owed when the last daemon ended is delivered
 * first. */
int courier_start(struct store *store, const char *ca_file, struct courier **ret_courier, struct err *err);

/* Breaks off a running attempt, which counts as not made; frees. NULL is allowed. */
void courier_stop(struct courier *courier);

#endif
