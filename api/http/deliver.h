/*
 * From a finished response to what libmicrohttpd sends: 304, codings, the cache, headers.
 */
#ifndef BIFURCATED_API_HTTP_DELIVER_H
#define BIFURCATED_API_HTTP_DELIVER_H

#include "api/http/request.h"
#include "daemon/base/err.h"

#include <microhttpd.h>

/* Whether there is room for an answer of so many bytes until its client has read it, beside the `before`
 * bytes of all others; what it holds counts for its address then. ERR_NO_MEMORY. */
int api_deliver_check_room(const struct api_request *request, size_t size, size_t before, struct err *err);

/* Queues the answer that is kept under `etag`, or 304 if the client has it; *ret_result is what the access
 * handler returns. Returns 0 if nothing is kept. */
int api_deliver_kept(struct api_request *request, const char *etag, enum MHD_Result *ret_result);

/* Queues the response. `keep_etag` ("" for none): keep it under this one. */
enum MHD_Result api_deliver(struct api_request *request, struct api_response *response,
                            const char *keep_etag);

#endif
