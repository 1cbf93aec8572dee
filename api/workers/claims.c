/*
 * Remote workers: claims, heartbeats, results, failures, and who is there.
 */
#include "api/form/json.h"
#include "api/http/http.h"
#include "api/resource/context.h"
#include "api/wire/wire.h"
#include "api/workers/claim_check.h"
#include "api/workers/claim_task.h"
#include "api/workers/handlers.h"
#include "api/workers/state.h"
#include "daemon/base/clock.h"
#include "store/models.h"
#include "store/sweeps.h"
#include "store/tasks.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define STATUS_UNPROCESSABLE 422

static const struct api_claims_options *options_of(const struct api_request *request)
{
    return &request->context->workers->options;
}

/* What is kept until its worker has the task. */
struct claim {
    struct task_lease lease;
    int is_held; /* to be given back if the answer does not arrive */
};

/* Passes on `code` of a reader (api/wire/wire.h), whose message begins with the member that is at fault. */
static int name_member(int code, struct api_response *response, const struct err *err)
{
    size_t length = strcspn(err->message, ":");
    if (code != ERR_INVALID)
        return code;
    response->problem_in = "body";
    if (strncmp(err->message, "body:", 5) != 0)
        (void)snprintf(response->problem_field, sizeof response->problem_field, "/%.*s", (int)length,
                       err->message);
    return code;
}

/* A result is no JSON. */
static int check_result_type(const struct api_request *request, struct api_response *response,
                             struct err *err)
{
    static const char wanted[] = WIRE_RESULT_TYPE;
    const char *type = api_request_header(request, "Content-Type");
    if (type && strncasecmp(type, wanted, sizeof wanted - 1) == 0 && strchr("; \t", type[sizeof wanted - 1]))
        return 0;
    return api_response_refuse(response, "header", "Content-Type", err, ERR_UNSUPPORTED,
                               "Content-Type: must be %s", wanted);
}

/* -- Claim -- */

/* Which side is older, in words. */
static int refuse_version(const struct api_request *request, const struct wire_offer *offer,
                          struct api_response *response, struct err *err)
{
    const struct api_claims_options *claims = options_of(request);
    const char *version = api_http_version(request->http);
    response->status = MHD_HTTP_CONFLICT;
    if (offer->protocol != WIRE_PROTOCOL)
        return err_set(err, ERR_UNSUPPORTED,
                       "the worker (bifurcated %s) speaks protocol %" PRId64
                       " and the daemon (%s) %d: upgrade "
                       "the %s",
                       offer->version, offer->protocol, version, WIRE_PROTOCOL,
                       offer->protocol < WIRE_PROTOCOL ? "worker" : "daemon");
    int is_older = offer->definition < claims->definition || offer->scoring < claims->scoring_definition;
    return err_set(err, ERR_UNSUPPORTED,
                   "the worker (bifurcated %s) measures by definition %" PRId64 ".%" PRId64
                   " and the daemon (%s) by %" PRId64 ".%" PRId64 ", so their numbers cannot be compared: "
                   "upgrade the %s",
                   offer->version, offer->definition, offer->scoring, version, claims->definition,
                   claims->scoring_definition, is_older ? "worker" : "daemon");
}

/* "NAME/SLOT" as the description has it: visible characters and a number. */
static int is_well_named(const char *worker, const char *slash)
{
    size_t digits = strspn(slash + 1, "0123456789");
    size_t length = (size_t)(slash - worker);
    for (const char *at = worker; at < slash; at++) {
        if (*at <= ' ' || *at > '~')
            return 0;
    }
    return length >= 1 && length <= WIRE_NAME_BYTES_MAX && digits >= 1 && digits <= WIRE_SLOT_DIGITS_MAX &&
           !slash[1 + digits];
}

/* From here on a worker is called what only the holder of its key can be. */
static int name_worker(struct wire_offer *offer, struct api_response *response, struct err *err)
{
    char name[WIRE_WORKER_NAME_SIZE], slot[WIRE_SLOT_DIGITS_MAX + 1];
    const char *slash = strrchr(offer->worker, '/');
    if (!slash || !is_well_named(offer->worker, slash))
        return api_response_refuse(
            response, "body", "/worker", err, ERR_INVALID,
            "worker: not NAME/SLOT, a name of 1 to %d visible ASCII characters and a number of "
            "at most %d digits",
            WIRE_NAME_BYTES_MAX, WIRE_SLOT_DIGITS_MAX);
    if (strncmp(offer->worker, "local/", 6) == 0)
        return api_response_refuse(response, "body", "/worker", err, ERR_INVALID,
                                   "worker: \"local\" is what the daemon calls its own workers");
    (void)snprintf(slot, sizeof slot, "%s", slash + 1);
    int code = wire_worker_name(offer->worker, (size_t)(slash - offer->worker), offer->key, name, err);
    if (!code)
        (void)snprintf(offer->worker, sizeof offer->worker, "%s/%s", name, slot);
    return code;
}

static int read_offer(struct api_request *request, struct wire_offer *offer, struct api_response *response,
                      struct err *err)
{
    const struct api_claims_options *claims = options_of(request);
    int code = api_request_check_json(request, response, err);
    if (!code)
        code = name_member(wire_offer_parse(buf_text(&request->body), request->body.size, offer, err),
                           response, err);
    if (code)
        return code;
    if (offer->protocol != WIRE_PROTOCOL || offer->definition != claims->definition ||
        offer->scoring != claims->scoring_definition)
        return refuse_version(request, offer, response, err);
    return name_worker(offer, response, err);
}

static void end_claim(struct api_request *request, int is_delivered)
{
    struct claim *claim = request->kept;
    struct err ignored = ERR_INIT;
    if (claim->is_held && !is_delivered)
        (void)tasks_decline(request->context->store, &claim->lease, "the claim did not arrive", &ignored);
    free(claim);
}

/* Who works on one sweep alone would wait for ever for one that there is not. */
static int check_sweep(const struct api_request *request, int64_t id, struct api_response *response,
                       struct err *err)
{
    struct sweep_row row;
    int code = id ? sweeps_get(request->context->store, id, &row, err) : 0;
    if (code != ERR_NOT_FOUND)
        return code;
    return api_response_refuse(response, "body", "/sweep", err, ERR_INVALID,
                               "sweep: there is no sweep %" PRId64 "; `bifurcate sweeps` lists them", id);
}

/* Reads what the worker offers. One that begins anew has nothing any more. */
static int begin_claim(struct api_request *request, struct wire_offer *offer, struct api_response *response,
                       struct err *err)
{
    int code = read_offer(request, offer, response, err);
    if (!code && !request->has_waited && !offer->is_leaving)
        code = check_sweep(request, offer->sweep_id, response, err);
    if (code)
        return code;
    api_worker_list_note(request->context->workers->list, offer->worker, offer, 0, 0);
    if (request->has_waited)
        return 0;
    if (offer->has_new_token)
        api_workers_forget_left(request->context->workers, offer->worker);
    int some_reach_it = api_worker_list_some_reach_hub(request->context->workers->list);
    api_context_note_worker_hub(request->context, offer->hub_problem,
                                some_reach_it ? "" : offer->hub_problem);
    request->kept = calloc(1, sizeof(struct claim));
    if (!request->kept)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    request->on_end = end_claim;
    request->wait_until_ms = clock_monotonic_ms() + offer->wait_s * 1000;
    if (!offer->is_again)
        return 0;
    return tasks_requeue_of_worker(request->context->store, offer->worker, "its worker did not hear of it",
                                   &options_of(request)->policy, NULL, err);
}

/* A worker cannot be told of the task. A fault of the store may pass; with any other every worker would be
 * told so in turn, for ever: it is the task's, and this worker asks for the next one. */
static int end_untold(struct api_request *request, const struct task_lease *lease, const struct err *reason,
                      struct api_response *response, struct err *err)
{
    struct store *store = request->context->store;
    if (err_is_of_the_store(reason->code)) {
        struct err ignored = ERR_INIT;
        (void)tasks_decline(store, lease, "the claim could not be answered", &ignored);
        return reason->code;
    }
    struct err said = *reason;
    *err = (struct err)ERR_INIT;
    (void)err_wrap(&said, "no worker can be told of this task");
    buf_clear(&response->body);
    response->status = MHD_HTTP_NO_CONTENT;
    int code = tasks_fail(store, lease, &said, &options_of(request)->policy, NULL, err);
    api_context_wake(request->context);
    return code;
}

static int answer_claim(struct api_request *request, const struct task_row *row,
                        const struct wire_offer *offer, struct api_response *response, struct err *err)
{
    const struct api_claims_options *claims = options_of(request);
    struct claim *claim = request->kept;
    struct wire_task task;
    int code = api_claim_task(request->context->store, row, offer->backend, claims->definition, &task, err);
    task.lease_ms = claims->lease_ms;
    task.failures_max = claims->policy.failures_max;
    if (!code)
        code = wire_task_append(&task, &response->body, err);
    if (!code && response->body.size > LIMIT_CLAIM_HEAD_BYTES)
        code = err_set(err, ERR_LIMIT,
                       "what is known of its tensors is larger than %zu bytes; sweep fewer of them at once",
                       LIMIT_CLAIM_HEAD_BYTES);
    wire_task_free(&task);
    task_lease_of(row, &claim->lease);
    claim->is_held = !code;
    response->status = MHD_HTTP_CREATED;
    if (!code)
        return 0;
    struct err reason = *err;
    return end_untold(request, &claim->lease, &reason, response, err);
}

int api_create_claim(struct api_request *request, struct api_response *response, struct err *err)
{
    struct store *store = request->context->store;
    const struct api_claims_options *claims = options_of(request);
    struct wire_offer offer;
    struct task_row row;
    int64_t wait_ms = -1;
    response->cache_control = "no-store";
    int code = begin_claim(request, &offer, response, err);
    if (code)
        return code;
    if (offer.is_leaving || api_http_is_draining(request->http) ||
        (request->has_waited && !api_claim_wait_is_alive(request))) {
        response->status = MHD_HTTP_NO_CONTENT;
        return 0;
    }
    int64_t near[API_WORKER_NEAR], except[WIRE_EXCEPT_MAX + API_WORKERS_LEFT_MAX];
    size_t left = api_workers_list_left(request->context->workers, offer.worker, except);
    memcpy(except + left, offer.except, offer.except_count * sizeof except[0]);
    struct tasks_choice choice = {
        .sweep_id = offer.sweep_id,
        .except = except,
        .except_count = left + offer.except_count,
        .near = near,
        .near_count = api_worker_list_near(request->context->workers->list, offer.worker, near),
        .does_spread = 1,
    };
    struct api_hub_wait wait;
    api_context_read_hub_wait(request->context, &wait);
    choice.only_folders = offer.hub_problem[0] && !wait.is_endured;
    uint64_t version = store_version(store);
    code = left < API_WORKERS_LEFT_MAX
               ? tasks_claim_chosen(store, offer.worker, &choice, claims->lease_ms, &claims->policy, &row,
                                    &wait_ms, err)
               : err_set(err, ERR_NOT_FOUND, "its token may not read what too many sweeps need");
    if (code == 0) {
        api_worker_list_note_claim(request->context->workers->list, offer.worker, row.revision_id);
        return answer_claim(request, &row, &offer, response, err);
    }
    if (code != ERR_NOT_FOUND)
        return code;
    *err = (struct err)ERR_INIT;
    response->is_waiting = api_claim_wait(request->context->workers->waits, request, version, wait_ms);
    response->status = MHD_HTTP_NO_CONTENT;
    return 0;
}

/* -- What happens to a claim -- */

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
    const struct api_claims_options *claims = options_of(request);
    struct task_row task;
    struct task_lease lease;
    int64_t fetched = 0;
    int code = api_request_check_json(request, response, err);
    if (!code)
        code = name_member(wire_beat_parse(buf_text(&request->body), request->body.size, &fetched, err),
                           response, err);
    if (!code)
        code = find_claim(request, &task, &lease, err);
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
    const struct api_claims_options *claims = options_of(request);
    struct api_claim_definitions definitions = {.statistics = claims->definition,
                                                .scoring = claims->scoring_definition};
    struct task_row task;
    struct task_lease lease;
    struct wire_result result = {0};
    int code = check_result_type(request, response, err);
    if (!code)
        code = find_claim(request, &task, &lease, err);
    if (code)
        return code;
    int is_done = task.state == TASK_STATE_DONE; /* handed in again: nothing is recorded */
    if (!is_done && task.state != TASK_STATE_CLAIMED)
        code = tasks_heartbeat(store, &lease, claims->lease_ms, task.bytes_fetched, err); /* says why not */
    if (!code && !is_done)
        code = name_member(wire_result_parse(buf_text(&request->body), request->body.size, &result, err),
                           response, err);
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
           task->failures + 1 < options_of(request)->policy.failures_max &&
           api_workers_have_other(request->context->workers, lease->worker, task->sweep_id);
}

static int end_attempt(struct api_request *request, const struct task_row *task,
                       const struct task_lease *lease, struct err *reason, int is_refused,
                       enum task_state *ret_state, struct err *err)
{
    struct store *store = request->context->store;
    const struct tasks_policy *policy = &options_of(request)->policy;
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
    int code = api_request_check_json(request, response, err);
    if (!code)
        code = name_member(
            wire_failure_parse(buf_text(&request->body), request->body.size, &reason, &is_refused, err),
            response, err);
    if (!code)
        code = find_claim(request, &task, &lease, err);
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
    int code = api_request_check_json(request, response, err);
    if (!code)
        code = name_member(wire_release_parse(buf_text(&request->body), request->body.size, &why, err),
                           response, err);
    if (!code)
        code = find_claim(request, &task, &lease, err);
    if (!code)
        code = why.code ? tasks_decline(store, &lease, why.message, err)
                        : tasks_release(store, &lease, &options_of(request)->policy, err);
    if (!code) {
        buf_append_text(&response->body, "{\"state\":\"queued\"}");
        api_context_wake(request->context);
    }
    return finish(code, response);
}
