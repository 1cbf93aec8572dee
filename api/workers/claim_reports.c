/*
 * What a worker reports of a claim that it has (PUT /v1/claims/{id}/...): that it is at work, its result, its
 * failure, or that it gives the task back.
 */
#include "api/http/http.h"
#include "api/resource/context.h"
#include "api/wire/wire.h"
#include "api/workers/claim_check.h"
#include "api/workers/claim_task.h"
#include "api/workers/handlers.h"
#include "api/workers/state.h"
#include "store/models.h"
#include "store/tasks.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <string.h>

#define STATUS_UNPROCESSABLE 422

/* The task and lease that the path names. */
static int find_claim(struct api_request *request, struct task_row *task, struct task_lease *lease,
                      struct err *err)
{
    int code = api_claim_find(request->context->store, request->arguments[0], task, err);
    if (code)
        return code;
    task_lease_of(task, lease);
    api_worker_list_note(request->context->workers->list, lease->worker, NULL, 0, 0);
    return 0;
}

/* A cancelled task is no fault of the daemon: the worker drops it. */
static int finish(int code, struct api_response *response)
{
    if (code == ERR_CANCELLED)
        response->status = MHD_HTTP_CONFLICT;
    if (code == ERR_MISMATCH)
        response->status = STATUS_UNPROCESSABLE;
    return code;
}

/* 409 would read as a lost lease, and 415 as a wrong header. */
static int finish_result(int code, struct api_response *response)
{
    if (code == ERR_UNSUPPORTED)
        response->status = STATUS_UNPROCESSABLE;
    return finish(code, response);
}

int api_extend_claim(struct api_request *request, struct api_response *response, struct err *err)
{
    const struct api_claims_options *claims = &request->context->workers->options;
    struct task_row task;
    struct task_lease lease;
    int64_t fetched = 0;
    int code = find_claim(request, &task, &lease, err);
    if (!code)
        code = api_response_name_member(
            response, wire_beat_parse(buf_text(&request->body), request->body.size, &fetched, err), err);
    if (!code)
        code = tasks_heartbeat(request->context->store, &lease, claims->lease_ms, fetched, err);
    if (!code)
        buf_appendf(&response->body, "{\"lease_ms\":%" PRId64 "}", claims->lease_ms);
    return finish(code, response);
}

/* What the worker learnt of the model, unless it is known by now. */
static int describe_model(struct store *store, const struct task_row *task, struct wire_result *result,
                          struct err *err)
{
    struct model_row model;
    int code = result->has_model ? models_get(store, task->model_id, &model, err) : ERR_NOT_FOUND;
    if (code || model.tensor[0])
        return code == ERR_NOT_FOUND ? 0 : code;
    result->model.id = task->model_id;
    return models_describe(store, &result->model, err);
}

int api_record_claim(struct api_request *request, struct api_response *response, struct err *err)
{
    struct store *store = request->context->store;
    const struct api_claims_options *claims = &request->context->workers->options;
    struct api_claim_definitions definitions = {.statistics = claims->definition,
                                                .scoring = claims->scoring_definition};
    struct task_row task;
    struct task_lease lease;
    struct wire_result result = {0};
    int code = find_claim(request, &task, &lease, err);
    if (code)
        return code;
    int is_done = task.state == TASK_STATE_DONE; /* handed in again: nothing is recorded */
    if (!is_done && task.state != TASK_STATE_CLAIMED)
        code = tasks_heartbeat(store, &lease, claims->lease_ms, task.bytes_fetched, err); /* says why not */
    if (!code && !is_done)
        code = api_response_name_member(
            response, wire_result_parse(buf_text(&request->body), request->body.size, &result, err), err);
    if (!code && !is_done)
        code = api_claim_check(store, &task, &result, &definitions, err);
    if (!code && !is_done)
        code = describe_model(store, &task, &result, err);
    if (!code && !is_done)
        code = tasks_record(store, &lease, &result.result, err);
    if (!code && !is_done && !result.result.is_part)
        api_worker_list_note(request->context->workers->list, lease.worker, NULL, 1, 0);
    if (!code && !is_done && result.result.bytes_fetched > 0)
        api_workers_note_access(request->context->workers, lease.worker, task.model_id);
    if (!code)
        buf_appendf(&response->body, "{\"state\":\"%s\"}", result.result.is_part ? "claimed" : "done");
    wire_result_free(&result);
    api_context_wake(request->context);
    return finish_result(code, response);
}

/* Whether a failure that would be the task's end may be that of the worker's machine (a damaged cache, a
 * mirror that lacks files, too little memory), and there is another to see; what two say is so. */
static int may_be_its_own(const struct api_request *request, const struct task_row *task,
                          const struct task_lease *lease, const struct err *reason)
{
    return !err_is_transient(reason->code) && reason->code != ERR_GATED &&
           strcmp(task->error_code, err_name(TASKS_REFUSED)) != 0 &&
           task->failures + 1 < request->context->workers->options.policy.failures_max &&
           api_workers_have_other(request->context->workers, lease->worker, task->sweep_id);
}

static int end_attempt(struct api_request *request, const struct task_row *task,
                       const struct task_lease *lease, struct err *reason, int is_refused,
                       enum task_state *ret_state, struct err *err)
{
    struct store *store = request->context->store;
    const struct tasks_policy *policy = &request->context->workers->options.policy;
    if (is_refused)
        return tasks_refuse(store, lease, reason, policy, ret_state, err);
    if (reason->code == ERR_GATED) {
        /* At the end: what all revisions have in common shall be equal. */
        const char *slash = strrchr(lease->worker, '/');
        struct err said = *reason;
        (void)err_set(reason, ERR_GATED, "%.380s (worker %.*s)", said.message,
                      (int)(slash ? slash - lease->worker : 0), lease->worker);
        if (api_workers_leave(request->context->workers, lease->worker, task->sweep_id)) {
            *ret_state = TASK_STATE_QUEUED;
            return tasks_leave(store, lease, reason, err);
        }
    }
    if (may_be_its_own(request, task, lease, reason))
        return tasks_refuse(store, lease, reason, policy, ret_state, err);
    return tasks_fail(store, lease, reason, policy, ret_state, err);
}

int api_fail_claim(struct api_request *request, struct api_response *response, struct err *err)
{
    struct task_row task;
    struct task_lease lease;
    struct err reason = ERR_INIT;
    enum task_state state = TASK_STATE_FAILED;
    int is_refused = 0;
    int code = find_claim(request, &task, &lease, err);
    if (!code)
        code = api_response_name_member(
            response,
            wire_failure_parse(buf_text(&request->body), request->body.size, &reason, &is_refused, err), err);
    if (!code)
        code = end_attempt(request, &task, &lease, &reason, is_refused, &state, err);
    if (!code) {
        api_worker_list_note(request->context->workers->list, lease.worker, NULL, 0, 1);
        buf_appendf(&response->body, "{\"state\":\"%s\"}", task_state_name(state));
        api_context_wake(request->context);
    }
    return finish(code, response);
}

int api_release_claim(struct api_request *request, struct api_response *response, struct err *err)
{
    struct store *store = request->context->store;
    struct task_row task;
    struct task_lease lease;
    struct err why = ERR_INIT;
    int code = find_claim(request, &task, &lease, err);
    if (!code)
        code = api_response_name_member(
            response, wire_release_parse(buf_text(&request->body), request->body.size, &why, err), err);
    if (!code)
        code = why.code ? tasks_decline(store, &lease, why.message, err)
                        : tasks_release(store, &lease, &request->context->workers->options.policy, err);
    if (!code) {
        buf_append_text(&response->body, "{\"state\":\"queued\"}");
        api_context_wake(request->context);
    }
    return finish(code, response);
}
