/*
 * Streams of server-sent events: the progress of a sweep, as it happens.
 *
 * Between two events the connection is suspended and costs no thread. One thread of this module waits for
 * changes of the store, renders each followed sweep once however many clients follow it, and resumes their
 * connections. The same thread is the clock of the transport (api_http_tick()).
 */
#ifndef BIFURCATED_API_SWEEPS_EVENTS_H
#define BIFURCATED_API_SWEEPS_EVENTS_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"

#include <stdint.h>

struct MHD_Connection;
struct MHD_Response;
struct api_context;
struct api_events;
struct api_http;

/* Starts the thread. At most `streams_max` streams at once; a silent one gets a comment every `heartbeat_ms`.
 * `context` and `http` are borrowed. */
int api_events_start(const struct api_context *context, struct api_http *http, unsigned streams_max,
                     unsigned heartbeat_ms, struct api_events **ret_events, struct err *err);

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
