/*
 * For this folder only: events that the queue itself causes.
 */
#ifndef BIFURCATED_STORE_OUTBOX_H
#define BIFURCATED_STORE_OUTBOX_H

#include "store/connection.h"
#include "store/deliveries.h"

/* A sweep has ended: queues a delivery to the webhook of its model's watch, if it has one. */
int outbox_note_sweep(struct connection *connection, int64_t sweep_id, struct err *err);

/* Adds a delivery to a watch, due at once; sweep_id 0: none. */
int outbox_add(struct connection *connection, int64_t watch_id, enum delivery_event event, int64_t sweep_id,
               const char *body, struct err *err);

#endif
