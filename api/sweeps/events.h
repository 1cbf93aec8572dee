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

struct MHD_Response;
struct api_context;
struct api_events;
struct api_http;
struct api_request;

struct api_events_options {
    unsigned streams_max;         /* at once; 0: half of the connections, since others want to be served */
    unsigned streams_per_address; /* of them for one address; not for this machine's, as of requests */
    unsigned heartbeat_ms;        /* a silent stream gets a comment this often */
};

/* Starts the thread. `context` and `http` are borrowed. */
int api_events_start(const struct api_events_options *options, const struct api_context *context,
                     struct api_http *http, struct api_events **ret_events, struct err *err);

/* Ends all streams: each connection is resumed and told that the stream is over. */
void api_events_end(struct api_events *events);

/* After libmicrohttpd has stopped: ends the thread, frees. NULL is allowed. */
void api_events_free(struct api_events *events);

/* An answer that follows a sweep on the request's connection; the caller queues and destroys it.
 * ERR_NOT_FOUND: no such sweep. ERR_RATE_LIMITED: as many streams as allowed. */
int api_events_open(struct api_events *events, const struct api_request *request, int64_t sweep_id,
                    struct MHD_Response **ret_response, struct err *err);

/* Streams at present. */
unsigned api_events_count(struct api_events *events);

#endif
