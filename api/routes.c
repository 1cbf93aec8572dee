#include "api/routes.h"

#include "api/handlers.h"
#include "api/resource/context.h"
#include "api/resource/query.h"
#include "api/series/handlers.h"
#include "api/sweeps/handlers.h"
#include "api/wire/wire.h"
#include "api/workers/handlers.h"

#define JSON "application/json"

/* Method, path, operationId, handler, parameters of the query, what the answer depends on, CSV as well,
 * what the request must be allowed to do, the type of its body.
 * tests/e2e/test_openapi.py compares this table with openapi.json, both ways. */
static const struct api_route rows[] = {
    {"GET", "/", "getDashboard", api_get_dashboard, "", API_SCOPE_NONE, 0, API_RIGHT_PUBLIC, NULL},
    {"GET", "/assets/{file}", "getAsset", api_get_asset, "", API_SCOPE_NONE, 0, API_RIGHT_PUBLIC, NULL},
    {"GET", "/healthz", "getHealth", api_get_health, "", API_SCOPE_NONE, 0, API_RIGHT_PUBLIC, NULL},
    {"GET", "/readyz", "getReadiness", api_get_readiness, "", API_SCOPE_NONE, 0, API_RIGHT_PUBLIC, NULL},
    {"GET", "/metrics", "getMetrics", api_get_metrics, "", API_SCOPE_NONE, 0, API_RIGHT_READ, NULL},
    {"GET", "/openapi.json", "getDescription", api_get_description, "", API_SCOPE_PROGRAM, 0,
     API_RIGHT_PUBLIC, NULL},
    {"GET", "/v1/status", "getStatus", api_get_status, "", API_SCOPE_NONE, 0, API_RIGHT_READ, NULL},
    {"GET", "/v1/devices", "listDevices", api_list_devices, " fields format ", API_SCOPE_NONE, 1,
     API_RIGHT_READ, NULL},
    {"GET", "/v1/models", "listModels", api_list_models, " fields limit cursor format ", API_SCOPE_STORE, 1,
     API_RIGHT_READ, NULL},
    {"GET", "/v1/models/{owner}/{name}", "getModel", api_get_model, "", API_SCOPE_PATH, 0, API_RIGHT_READ,
     NULL},
    {"DELETE", "/v1/models/{owner}/{name}", "removeModel", api_remove_model, " dry_run ", API_SCOPE_NONE, 0,
     API_RIGHT_REMOVE, NULL},
    {"GET", "/v1/models/{owner}/{name}/revisions", "listRevisions", api_list_revisions,
     " tensor fields from to stepless limit cursor format ", API_SCOPE_PATH, 1, API_RIGHT_READ, NULL},
    {"GET", "/v1/models/{owner}/{name}/revisions/{revision}", "getRevision", api_get_revision,
     " tensor commit fields ", API_SCOPE_STORE, 0, API_RIGHT_READ, NULL},
    {"GET", "/v1/models/{owner}/{name}/revisions/{revision}/values", "getValues", api_get_values,
     " tensor commit rows view format ", API_SCOPE_PATH, 1, API_RIGHT_READ, NULL},
    {"GET", "/v1/models/{owner}/{name}/distribution", "getDistribution", api_get_distribution,
     " tensor rows view bins low high limit cursor format ", API_SCOPE_PATH, 1, API_RIGHT_READ, NULL},
    {"GET", "/v1/models/{owner}/{name}/columns", "getColumns", api_get_columns,
     " tensor rows limit cursor format ", API_SCOPE_PATH, 1, API_RIGHT_READ, NULL},
    {"GET", "/v1/models/{owner}/{name}/trajectories", "getTrajectories", api_get_trajectories,
     " tensor entries limit cursor format ", API_SCOPE_PATH, 1, API_RIGHT_READ, NULL},
    {"GET", "/v1/models/{owner}/{name}/displacement", "getDisplacement", api_get_displacement,
     " tensor from to limit format ", API_SCOPE_PATH, 1, API_RIGHT_READ, NULL},
    {"GET", "/v1/models/{owner}/{name}/analysis", "getAnalysis", api_get_analysis,
     " tensor points schedule peak floor warmup stable total steps decay ", API_SCOPE_PATH, 0, API_RIGHT_READ,
     NULL},
    {"GET", "/v1/models/{owner}/{name}/audit", "getAudit", api_get_audit, " tensor ", API_SCOPE_STORE, 0,
     API_RIGHT_READ, NULL},
    {"GET", "/v1/scaling", "getScaling", api_get_scaling, " rows view unit prefix tensor fields format ",
     API_SCOPE_STORE, 1, API_RIGHT_READ, NULL},
    {"GET", "/v1/sweeps", "listSweeps", api_list_sweeps, " model state fields limit cursor format ",
     API_SCOPE_NONE, 1, API_RIGHT_READ, NULL},
    {"POST", "/v1/sweeps", "createSweep", api_create_sweep, "", API_SCOPE_NONE, 0, API_RIGHT_SWEEP, JSON},
    {"GET", "/v1/sweeps/{id}", "getSweep", api_get_sweep, "", API_SCOPE_NONE, 0, API_RIGHT_READ, NULL},
    {"DELETE", "/v1/sweeps/{id}", "cancelSweep", api_cancel_sweep, "", API_SCOPE_NONE, 0, API_RIGHT_SWEEP,
     NULL},
    {"GET", "/v1/sweeps/{id}/tasks", "listTasks", api_list_tasks, " state fields limit cursor format ",
     API_SCOPE_NONE, 1, API_RIGHT_READ, NULL},
    {"GET", "/v1/sweeps/{id}/tasks/{task}/events", "listTaskEvents", api_list_task_events,
     " fields limit cursor format ", API_SCOPE_NONE, 1, API_RIGHT_READ, NULL},
    {"GET", "/v1/watches", "listWatches", api_list_watches, " fields limit cursor format ", API_SCOPE_NONE, 1,
     API_RIGHT_READ, NULL},
    {"GET", "/v1/watches/{owner}/{name}", "getWatch", api_get_watch, "", API_SCOPE_NONE, 0, API_RIGHT_READ,
     NULL},
    {"PUT", "/v1/watches/{owner}/{name}", "putWatch", api_put_watch, "", API_SCOPE_NONE, 0, API_RIGHT_SWEEP,
     JSON},
    {"DELETE", "/v1/watches/{owner}/{name}", "deleteWatch", api_delete_watch, "", API_SCOPE_NONE, 0,
     API_RIGHT_SWEEP, NULL},
    {"GET", "/v1/watches/{owner}/{name}/deliveries", "listDeliveries", api_list_deliveries,
     " fields limit cursor format ", API_SCOPE_NONE, 1, API_RIGHT_READ, NULL},
    {"POST", "/v1/watches/{owner}/{name}/runs", "runWatch", api_run_watch, "", API_SCOPE_NONE, 0,
     API_RIGHT_SWEEP, NULL},
    {"GET", "/v1/sweeps/{id}/events", "followSweep", api_follow_sweep, "", API_SCOPE_NONE, 0, API_RIGHT_READ,
     NULL},
    {"POST", "/v1/claims", "createClaim", api_create_claim, "", API_SCOPE_NONE, 0, API_RIGHT_WORKER, JSON},
    {"PUT", "/v1/claims/{id}/heartbeat", "extendClaim", api_extend_claim, "", API_SCOPE_NONE, 0,
     API_RIGHT_WORKER, JSON},
    {"PUT", "/v1/claims/{id}/result", "recordClaim", api_record_claim, "", API_SCOPE_NONE, 0,
     API_RIGHT_WORKER, WIRE_RESULT_TYPE},
    {"PUT", "/v1/claims/{id}/failure", "failClaim", api_fail_claim, "", API_SCOPE_NONE, 0, API_RIGHT_WORKER,
     JSON},
    {"PUT", "/v1/claims/{id}/release", "releaseClaim", api_release_claim, "", API_SCOPE_NONE, 0,
     API_RIGHT_WORKER, JSON},
    {"GET", "/v1/workers", "listWorkers", api_list_workers, " fields limit cursor format ", API_SCOPE_NONE, 1,
     API_RIGHT_READ, NULL},
    {"GET", "/v1/jobs", "listJobs", api_list_jobs, " state fields limit cursor format ", API_SCOPE_NONE, 1,
     API_RIGHT_READ, NULL},
    {"GET", "/v1/tokens", "listTokens", api_list_tokens, " fields limit cursor format ", API_SCOPE_NONE, 1,
     API_RIGHT_ADMIN, NULL},
    {"POST", "/v1/tokens", "createToken", api_create_token, "", API_SCOPE_NONE, 0, API_RIGHT_ADMIN, JSON},
    {"GET", "/v1/tokens/{id}", "getToken", api_get_token, "", API_SCOPE_NONE, 0, API_RIGHT_ADMIN, NULL},
    {"DELETE", "/v1/tokens/{id}", "revokeToken", api_revoke_token, "", API_SCOPE_NONE, 0, API_RIGHT_ADMIN,
     NULL},
};

/* The version of the model that the path names. */
static int find_version(const struct api_request *request, int64_t *ret_id, uint64_t *ret_version,
                        struct err *err)
{
    char name[LIMIT_MODEL_NAME_BYTES + 1];
    int code = api_query_model_name(request, name, err);
    return code ? code : models_version(request->context->store, name, ret_id, ret_version, err);
}

static size_t body_max(const struct api_route *route)
{
    return route->handler == api_record_claim ? LIMIT_CLAIM_RESULT_BYTES : 0;
}

static int is_replacing(const struct api_route *route)
{
    return route->handler == api_put_watch || route->handler == api_delete_watch;
}

const struct api_route_table api_routes = {rows, sizeof rows / sizeof rows[0], find_version, is_replacing,
                                           body_max};
