/*
 * The handlers of the routes (api/routes.c) of models, their revisions, and what they show. Each answers by
 * filling in `response` and returning 0, or returns an error, which becomes a problem.
 */
#ifndef BIFURCATED_API_SERIES_HANDLERS_H
#define BIFURCATED_API_SERIES_HANDLERS_H

#include "api/http/request.h"
#include "daemon/base/err.h"

/* api/series/models.c */
int api_list_models(struct api_request *request, struct api_response *response, struct err *err);
int api_get_model(struct api_request *request, struct api_response *response, struct err *err);
int api_remove_model(struct api_request *request, struct api_response *response, struct err *err);

/* api/series/revisions.c */
int api_list_revisions(struct api_request *request, struct api_response *response, struct err *err);
int api_get_revision(struct api_request *request, struct api_response *response, struct err *err);

/* api/series/distribution.c */
int api_get_distribution(struct api_request *request, struct api_response *response, struct err *err);

/* api/series/values.c */
int api_get_values(struct api_request *request, struct api_response *response, struct err *err);

/* api/series/hidden_columns.c */
int api_get_columns(struct api_request *request, struct api_response *response, struct err *err);

/* api/series/trajectories.c */
int api_get_trajectories(struct api_request *request, struct api_response *response, struct err *err);
int api_get_displacement(struct api_request *request, struct api_response *response, struct err *err);

/* api/series/analysis.c, api/series/audit.c, api/series/scaling.c */
int api_get_analysis(struct api_request *request, struct api_response *response, struct err *err);
int api_get_audit(struct api_request *request, struct api_response *response, struct err *err);
int api_get_scaling(struct api_request *request, struct api_response *response, struct err *err);

#endif
