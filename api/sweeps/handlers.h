/*
 * The handlers of the routes (api/routes.c) of sweeps, watches and jobs. Each answers by filling in
 * `response` and returning 0, or returns an error, which becomes a problem.
 */
#ifndef BIFURCATED_API_SWEEPS_HANDLERS_H
#define BIFURCATED_API_SWEEPS_HANDLERS_H

#include "api/http/request.h"
#include "daemon/base/err.h"

/* api/sweeps/sweeps.c */
int api_list_sweeps(struct api_request *request, struct api_response *response, struct err *err);
int api_create_sweep(struct api_request *request, struct api_response *response, struct err *err);
int api_get_sweep(struct api_request *request, struct api_response *response, struct err *err);
int api_cancel_sweep(struct api_request *request, struct api_response *response, struct err *err);
int api_list_tasks(struct api_request *request, struct api_response *response, struct err *err);
int api_list_task_events(struct api_request *request, struct api_response *response, struct err *err);
int api_follow_sweep(struct api_request *request, struct api_response *response, struct err *err);

/* api/sweeps/watches.c */
int api_list_watches(struct api_request *request, struct api_response *response, struct err *err);
int api_get_watch(struct api_request *request, struct api_response *response, struct err *err);
int api_put_watch(struct api_request *request, struct api_response *response, struct err *err);
int api_delete_watch(struct api_request *request, struct api_response *response, struct err *err);
int api_list_deliveries(struct api_request *request, struct api_response *response, struct err *err);
int api_run_watch(struct api_request *request, struct api_response *response, struct err *err);

/* api/sweeps/jobs.c */
int api_list_jobs(struct api_request *request, struct api_response *response, struct err *err);

#endif
