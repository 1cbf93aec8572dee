/*
 * Errors on the wire: application/problem+json (RFC 9457).
 *
 *     {"type": "about:blank", "title": "Bad Request", "status": 400, "code": "invalid",
 *      "detail": "metrics/0: ...", "in": "body", "field": "/metrics/0", "request_id": "..."}
 */
#ifndef BIFURCATED_API_HTTP_PROBLEM_H
#define BIFURCATED_API_HTTP_PROBLEM_H

#include "api/http/request.h"
#include "daemon/base/err.h"

/* Makes the response a problem: its body, type and status (if that is still below 400). */
void api_problem_render(struct api_response *response, const char *request_id, const struct err *err);

#endif
