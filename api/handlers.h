/*
 * The handlers of the routes (api/routes.c), by resource. Each answers by filling in `response` and
 * returning 0, or returns an error, which becomes a problem.
 */
#ifndef BIFURCATED_API_HANDLERS_H
#define BIFURCATED_API_HANDLERS_H

#include "api/request.h"
#include "daemon/base/err.h"

/* api/service.c */
int api_get_health(struct api_request *request, struct api_response *response, struct err *err);
int api_get_readiness(struct api_request *request, struct api_response *response, struct err *err);
int api_get_metrics(struct api_request *request, struct api_response *response, struct err *err);
int api_get_description(struct api_request *request, struct api_response *response, struct err *err);
int api_get_status(struct api_request *request, struct api_response *response, struct err *err);
int api_list_devices(struct api_request *request, struct api_response *response, struct err *err);

/* api/models.c */
int api_list_models(struct api_request *request, struct api_response *response, struct err *err);
int api_get_model(struct api_request *request, struct api_response *response, struct err *err);

/* api/revisions.c */
int api_list_revisions(struct api_request *request, struct api_response *response, struct err *err);
int api_get_revision(struct api_request *request, struct api_response *response, struct err *err);

/* api/distribution.c */
int api_get_distribution(struct api_request *request, struct api_response *response, struct err *err);

/* api/trajectories.c */
int api_get_trajectories(struct api_request *request, struct api_response *response, struct err *err);
int api_get_displacement(struct api_request *request, struct api_response *response, struct err *err);

/* api/analysis.c, api/audit.c, api/scaling.c */
int api_get_analysis(struct api_request *request, struct api_response *response, struct err *err);
int api_get_audit(struct api_request *request, struct api_response *response, struct err *err);
int api_get_scaling(struct api_request *request, struct api_response *response, struct err *err);

/* api/dashboard.c */
int api_get_dashboard(struct api_request *request, struct api_response *response, struct err *err);
int api_get_asset(struct api_request *request, struct api_response *response, struct err *err);

/* api/tokens.c */
int api_list_tokens(struct api_request *request, struct api_response *response, struct err *err);
int api_create_token(struct api_request *request, struct api_response *response, struct err *err);
int api_get_token(struct api_request *request, struct api_response *response, struct err *err);
int api_revoke_token(struct api_request *request, struct api_response *response, struct err *err);

/* api/sweeps.c */
int api_list_sweeps(struct api_request *request, struct api_response *response, struct err *err);
int api_create_sweep(struct api_request *request, struct api_response *response, struct err *err);
int api_get_sweep(struct api_request *request, struct api_response *response, struct err *err);
int api_cancel_sweep(struct api_request *request, struct api_response *response, struct err *err);
int api_list_tasks(struct api_request *request, struct api_response *response, struct err *err);
int api_list_task_events(struct api_request *request, struct api_response *response, struct err *err);
int api_follow_sweep(struct api_request *request, struct api_response *response, struct err *err);

/* api/watches.c */
int api_list_watches(struct api_request *request, struct api_response *response, struct err *err);
int api_get_watch(struct api_request *request, struct api_response *response, struct err *err);
int api_put_watch(struct api_request *request, struct api_response *response, struct err *err);
int api_delete_watch(struct api_request *request, struct api_response *response, struct err *err);
int api_list_deliveries(struct api_request *request, struct api_response *response, struct err *err);
int api_run_watch(struct api_request *request, struct api_response *response, struct err *err);

/* api/claims.c */
int api_create_claim(struct api_request *request, struct api_response *response, struct err *err);
int api_extend_claim(struct api_request *request, struct api_response *response, struct err *err);
int api_record_claim(struct api_request *request, struct api_response *response, struct err *err);
int api_fail_claim(struct api_request *request, struct api_response *response, struct err *err);
int api_release_claim(struct api_request *request, struct api_response *response, struct err *err);
/* The answer to a claim did not reach its worker: gives the task back. */
void api_claim_undelivered(struct api_request *request);

/* api/workers.c */
int api_list_workers(struct api_request *request, struct api_response *response, struct err *err);

/* api/jobs.c */
int api_list_jobs(struct api_request *request, struct api_response *response, struct err *err);

#endif
