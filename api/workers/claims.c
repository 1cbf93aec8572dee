/*
 * Claims of workers on other machines (POST /v1/claims): one offers what it can, waits, and is given a task.
 */
#include "api/http/http.h"
#include "api/resource/context.h"
#include "api/wire/wire.h"
#include "api/workers/claim_offer.h"
#include "api/workers/claim_task.h"
#include "api/workers/handlers.h"
#include "api/workers/state.h"
#include "daemon/base/clock.h"
#include "store/sweeps.h"
#include "store/tasks.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

/* What is kept until its worker has the task. */
struct claim {
    struct api_asker asker;
    struct task_lease lease;
    int is_held; /* to be given back if the answer does not arrive */
};

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

static void end_claim(struct api_request *request, int is_delivered)
{
    struct claim *claim = request->kept;
    struct err ignored = ERR_INIT;
    api_askers_leave(request->context->workers->askers, &claim->asker);
    if (claim->is_held && !is_delivered)
        (void)tasks_decline(request->context->store, &claim->lease, "the claim did not arrive", &ignored);
    free(claim);
}

static int enter(struct api_request *request, const char *worker, struct err *err)
{
    struct claim *claim = calloc(1, sizeof *claim);
    if (!claim)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    api_askers_enter(request->context->workers->askers, &claim->asker, worker);
    request->kept = claim;
    request->on_end = end_claim;
    return 0;
}

/* Reads what the worker offers. One that begins anew has nothing any more. */
static int begin_claim(struct api_request *request, struct wire_offer *offer, struct api_response *response,
                       struct err *err)
{
    int code = api_claim_offer_read(request, offer, response, err);
    if (!code && !request->has_waited && !offer->is_leaving)
        code = check_sweep(request, offer->sweep_id, response, err);
    if (!code && !request->has_waited)
        code = enter(request, offer->worker, err);
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
    request->wait_until_ms = clock_monotonic_ms() + offer->wait_s * 1000;
    if (!offer->is_again)
        return 0;
    return tasks_requeue_of_worker(request->context->store, offer->worker, "its worker did not hear of it",
                                   &request->context->workers->options.policy, NULL, err);
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
    int code = tasks_fail(store, lease, &said, &request->context->workers->options.policy, NULL, err);
    api_context_wake(request->context);
    return code;
}

static int answer_claim(struct api_request *request, const struct task_row *row,
                        const struct wire_offer *offer, struct api_response *response, struct err *err)
{
    const struct api_claims_options *claims = &request->context->workers->options;
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

/* Its worker has asked anew or left since, and then it was seen what it had claimed: not this. */
static int is_over(struct api_request *request)
{
    const struct claim *claim = request->kept;
    return api_askers_is_over(request->context->workers->askers, &claim->asker);
}

static int take_back(struct api_request *request, const struct task_row *row, struct api_response *response)
{
    struct task_lease lease;
    struct err ignored = ERR_INIT;
    task_lease_of(row, &lease);
    (void)tasks_decline(request->context->store, &lease, "its worker has spoken since it asked", &ignored);
    api_context_wake(request->context);
    response->status = MHD_HTTP_NO_CONTENT;
    return 0;
}

int api_create_claim(struct api_request *request, struct api_response *response, struct err *err)
{
    struct store *store = request->context->store;
    const struct api_claims_options *claims = &request->context->workers->options;
    struct wire_offer offer;
    struct task_row row;
    int64_t wait_ms = -1;
    response->cache_control = "no-store";
    int code = begin_claim(request, &offer, response, err);
    if (code)
        return code;
    if (offer.is_leaving || api_http_is_draining(request->http) ||
        (request->has_waited && (is_over(request) || !api_claim_wait_is_alive(request)))) {
        response->status = MHD_HTTP_NO_CONTENT;
        return 0;
    }
    int64_t near[API_WORKER_NEAR], except[WIRE_EXCEPT_MAX + API_WORKERS_LEFT_MAX];
    size_t left = api_workers_list_left(request->context->workers, offer.worker, except);
    memcpy(except + left, offer.except, offer.except_count * sizeof except[0]);
    const struct tasks_claimant claimant = {offer.worker, claims->lease_ms, &claims->policy};
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
               ? tasks_claim(store, &claimant, &choice, &row, &wait_ms, err)
               : err_set(err, ERR_NOT_FOUND, "its token may not read what too many sweeps need");
    if (code == 0 && is_over(request))
        return take_back(request, &row, response);
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
