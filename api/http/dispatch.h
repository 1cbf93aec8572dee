/*
 * From a whole request to its answer: the route, who may do it, the handler, errors as problems.
 */
#ifndef BIFURCATED_API_HTTP_DISPATCH_H
#define BIFURCATED_API_HTTP_DISPATCH_H

#include "api/http/head.h"
#include "api/http/request.h"

#include <microhttpd.h>

/* Answers the request; returns what the access handler returns. */
enum MHD_Result api_dispatch(struct api_request *request);

/* Once the headers are there: how large the body may be. More than usual only where the route takes more from
 * those whose token allows it. */
size_t api_dispatch_body_max(struct api_request *request);

/* Answers with what is wrong with the head. */
enum MHD_Result api_dispatch_refuse_head(struct api_request *request, const struct api_head_fault *fault);

/* Answers with 413 before the body is read. */
enum MHD_Result api_dispatch_too_large(struct api_request *request);

#endif
