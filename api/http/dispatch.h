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

/* Refuses before its body is sent what would be refused once it is there (api/http/admit.h), if anything. */
enum MHD_Result api_dispatch_head(struct api_request *request, int is_too_large);

#endif
