#include "daemon/remote/remote_claim.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/measure/measure_rows.h"
#include "daemon/remote/remote_link.h"
#include "gpu/score.h"

#include <stdio.h>
#include <string.h>

#define WAIT_S 20 /* for work, per request */

/* A sweep was left because what it needs of the hub did not answer. Once that does, all that were left are
 * looked at anew: one whose folder is missing is given back once more. Returns whether something is down. */
static int check_hub(struct remote_worker *worker)
{
    uint64_t mark = hub_outage_mark(worker->options.engine->hub);
    (void)pthread_mutex_lock(&worker->lock);
    int is_back = !mark || (worker->outage_mark && mark != worker->outage_mark);
    worker->outage_mark = mark;
    if (is_back && atomic_exchange(&worker->waits_for_hub, false))
        worker->left.count = 0;
    (void)pthread_mutex_unlock(&worker->lock);
    return mark != 0;
}

/* Milliseconds until the worker has been idle for long enough; -1 if that does not end it, or it is not idle.
 */
static int64_t idle_left_ms(struct remote_worker *worker)
{
    if (!worker->options.idle_exit_s || remote_worker_count_busy(worker))
        return -1;
    (void)pthread_mutex_lock(&worker->lock);
    int was_down = worker->outage_mark != 0;
    (void)pthread_mutex_unlock(&worker->lock);
    if (was_down)
        atomic_store(&worker->last_work_ms, clock_monotonic_ms()); /* it is not for want of work */
    int64_t left =
        atomic_load(&worker->last_work_ms) + worker->options.idle_exit_s * 1000 - clock_monotonic_ms();
    return left > 0 ? left : 0;
}

static void fill_in(struct remote_slot *slot, int64_t wait_s, uint64_t token_mark, struct wire_offer *offer)
{
    struct remote_worker *worker = slot->worker;
    const struct registry_device *device = device_info(worker->options.engine->device);
    if ((check_hub(worker) || atomic_load(&worker->was_refused)) && wait_s > REMOTE_LEFT_WAIT_S)
        wait_s = REMOTE_LEFT_WAIT_S;
    *offer = (struct wire_offer){.protocol = WIRE_PROTOCOL,
                                 .definition = MEASURE_DEFINITION,
                                 .scoring = SCORE_DEFINITION,
                                 .version = BIFURCATED_VERSION,
                                 .sweep_id = worker->options.sweep_id,
                                 .wait_s = wait_s,
                                 .is_again = worker->is_again,
                                 .has_new_token = worker->token_mark && token_mark != worker->token_mark};
    (void)pthread_mutex_lock(&worker->lock);
    offer->except_count = left_list_read(&worker->left, clock_monotonic_ms(), offer->except);
    (void)pthread_mutex_unlock(&worker->lock);
    memcpy(offer->worker, slot->name, sizeof offer->worker);
    memcpy(offer->key, worker->key, sizeof offer->key);
    (void)snprintf(offer->device, sizeof offer->device, "%s", device->id);
    (void)snprintf(offer->backend, sizeof offer->backend, "%s", device->backend);
    hub_read_problem(worker->options.engine->hub, offer->hub_problem);
}

/* The worker stops, and what the slot has asked for last may have been claimed without its hearing of that.
 */
static void take_back(struct remote_slot *slot)
{
    struct wire_offer offer;
    struct wire_task none = {.reference = -1, .previous = -1};
    struct err err = ERR_INIT;
    fill_in(slot, 0, slot->worker->token_mark, &offer);
    offer.is_again = offer.is_leaving = 1;
    slot->worker->is_again = 0; /* no other slot has asked */
    atomic_store(&slot->phase, REMOTE_PHASE_WORD);
    int code = remote_link_claim(slot->rest, &offer, &none, &err);
    wire_task_free(&none);
    if (code != ERR_NOT_FOUND && slot->worker->token_mark) /* it has answered before */
        log_warning("the daemon cannot be told that this worker leaves; a task that it had for it is taken "
                    "back when its lease ends",
                    log_text("reason", err.message), log_end);
}

/* Says once when the daemon stops to answer, and when it answers again. */
static void note_reach(struct remote_worker *worker, int code, const struct err *err)
{
    int is_unreachable = remote_link_may_pass(code);
    if (is_unreachable && !worker->is_unreachable)
        log_warning("the daemon does not answer; trying again", log_text("reason", err->message), log_end);
    if (!is_unreachable && worker->is_unreachable)
        log_info("the daemon answers again", log_end);
    worker->is_unreachable = is_unreachable;
    worker->is_again = is_unreachable;
}

/* `last`: what became of the last claim. Without an answer nobody knows whether there is work. */
static void end_idle(struct remote_worker *worker, const struct err *last)
{
    const int has_answered = worker->token_mark != 0;
    if (has_answered)
        log_info("idle for long enough", log_int("seconds", worker->options.idle_exit_s), log_end);
    else
        log_error("the daemon has never answered; look at --connect, and whether it runs",
                  log_int("seconds", worker->options.idle_exit_s), log_text("reason", last->message),
                  log_end);
    remote_worker_end(worker, has_answered ? REMOTE_END_IDLE : REMOTE_END_UNHEARD);
}

int remote_claim(struct remote_slot *slot, struct wire_task *task, struct err *err)
{
    struct remote_worker *worker = slot->worker;
    int is_cut_off = 0;
    for (int attempt = 1; !remote_worker_is_ending(worker);) {
        struct wire_offer offer;
        int64_t idle_ms = idle_left_ms(worker);
        if (idle_ms == 0) {
            end_idle(worker, err);
            break;
        }
        *err = (struct err)ERR_INIT;
        /* While others are busy, look at them again soon: then the time of idleness begins. */
        int64_t wait_s = worker->options.idle_exit_s && idle_ms < 0 ? 1 : WAIT_S;
        uint64_t token_mark = hub_token_mark(worker->options.engine->hub);
        fill_in(slot, idle_ms > 0 && (idle_ms + 999) / 1000 < wait_s ? (idle_ms + 999) / 1000 : wait_s,
                token_mark, &offer);
        int code = remote_link_claim(slot->rest, &offer, task, err);
        if (code == ERR_UNREACHABLE) /* what has answered for the daemon before may be a proxy without it */
            code = err->code = worker->token_mark ? ERR_NETWORK : ERR_UNSUPPORTED;
        if (code != ERR_CANCELLED)
            note_reach(worker, code, err);
        if (code == 0 || code == ERR_NOT_FOUND)
            worker->token_mark = token_mark;
        if (code == 0)
            return 0;
        is_cut_off = code == ERR_CANCELLED;
        if (remote_link_may_pass(code)) {
            int64_t pause = remote_worker_backoff_ms(attempt++);
            remote_worker_pause(&worker->is_stopping, idle_ms > 0 && idle_ms < pause ? idle_ms : pause);
        } else if (code == ERR_NOT_FOUND) {
            attempt = 1;
        } else if (code != ERR_CANCELLED) {
            log_error("the daemon does not accept this worker", log_text("error", err_name(code)),
                      log_text("reason", err->message), log_end);
            remote_worker_end(worker, REMOTE_END_REFUSED);
            return code;
        }
    }
    if (is_cut_off || worker->is_again)
        take_back(slot);
    return err_set(err, ERR_CANCELLED, "the worker stops");
}
