/*
 * The handlers of the routes (api/routes.c) of the service itself, its pages and its tokens. Each answers by
 * filling in `response` and returning 0, or returns an error, which becomes a problem.
 */
#ifndef BIFURCATED_API_HANDLERS_H
#define BIFURCATED_API_HANDLERS_H

#include "api/http/request.h"
#include "daemon/base/err.h"

/* api/service.c */
int api_get_health(struct api_request *request, struct api_response *response, struct err *err);
int api_get_readiness(struct api_request *request, struct api_response *response, struct err *err);
int api_get_metrics(struct api_request *request, struct api_response *response, struct err *err);
int api_get_description(struct api_request *request, struct api_response *response, struct err *err);
int api_get_status(struct api_request *request, struct api_response *response, struct err *err);
int api_list_devices(struct api_request *request, struct api_response *response, struct err *err);

/* api/dashboard.c */
int api_get_dashboard(struct api_request *request, struct api_response *response, struct err *err);
int api_get_asset(struct api_request *request, struct api_response *response, struct err *err);

/* api/tokens.c */
int api_list_tokens(struct api_request *request, struct api_response *response, struct err *err);
int api_create_token(struct api_request *request, struct api_response *response, struct err *err);
int api_get_token(struct api_request *request, struct api_response *response, struct err *err);
int api_revoke_token(struct api_request *request, struct api_response *response, struct err *err);

#endif
