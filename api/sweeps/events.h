/*
 * Streams of server-sent events: the progress of a sweep, as it happens.
 *
 * Between two events the connection is suspended and costs no thread. One thread of this module waits for
 * changes of the store, renders each followed sweep once however many clients follow it, and resumes their
 * connections. The same thread is the server's clock: it ends slow clients (api/http/peers.h) and notices
 * tokens that were made or revoked (api/http/token_table.h).
 */
#ifndef BIFURCATED_API_SWEEPS_EVENTS_H
#define BIFURCATED_API_SWEEPS_EVENTS_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"

#include <stdint.h>

struct MHD_Connection;
struct MHD_Response;
struct api_events;
struct api_server;

/* Starts the thread. */
int api_events_start(struct api_server *server, struct api_events **ret_events, struct err *err);

/* Ends all streams: each connection is resumed and told that the stream is over. */
void api_events_end(struct api_events *events);

/* After libmicrohttpd has stopped: ends the thread, frees. NULL is allowed. */
void api_events_free(struct api_events *events);

/* An answer that follows a sweep on this connection; the caller queues and destroys it. ERR_NOT_FOUND: no
 * such sweep. ERR_RATE_LIMITED: as many streams as allowed. */
int api_events_open(struct api_events *events, struct MHD_Connection *connection, int64_t sweep_id,
                    struct MHD_Response **ret_response, struct err *err);

/* Streams at present. */
unsigned api_events_count(struct api_events *events);

#endif
