/*
 * The handlers of the routes (api/routes.c) of remote workers. Each answers by filling in `response` and
 * returning 0, or returns an error, which becomes a problem.
 */
#ifndef BIFURCATED_API_WORKERS_HANDLERS_H
#define BIFURCATED_API_WORKERS_HANDLERS_H

#include "api/http/request.h"
#include "daemon/base/err.h"

/* api/workers/claims.c */
int api_create_claim(struct api_request *request, struct api_response *response, struct err *err);

/* api/workers/claim_reports.c */
int api_extend_claim(struct api_request *request, struct api_response *response, struct err *err);
int api_record_claim(struct api_request *request, struct api_response *response, struct err *err);
int api_fail_claim(struct api_request *request, struct api_response *response, struct err *err);
int api_release_claim(struct api_request *request, struct api_response *response, struct err *err);

/* api/workers/workers.c */
int api_list_workers(struct api_request *request, struct api_response *response, struct err *err);

#endif
