#include "daemon/remote/remote_slot.h"

#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "daemon/base/local_name.h"
#include "daemon/base/log.h"
#include "daemon/measure/device_turns.h"
#include "daemon/measure/hang.h"
#include "daemon/remote/patience.h"
#include "daemon/remote/remote_link.h"
#include "daemon/sweep/sweep_spec.h"
#include "store/models.h"

#include <stdio.h>
#include <string.h>

#define FAIL_ATTEMPTS 8

static void log_task(const char *event, enum log_level level, const struct wire_task *task, double seconds,
                     int64_t bytes, const struct err *err)
{
    log_event(level, event, log_int("sweep", task->sweep_id), log_int("task", task->task_id),
              log_text("model", task->model.name), log_text("revision", task->revisions[0].row.name),
              log_int("attempt", task->attempt), log_real("seconds", seconds),
              log_int("bytes_fetched", bytes), log_text("error", err_name(err->code)),
              log_text("reason", err->message), log_end);
}

static void begin(struct remote_slot *slot, const struct wire_task *task)
{
    (void)pthread_mutex_lock(&slot->worker->lock);
    atomic_store(&slot->cancel, atomic_load(&slot->worker->is_urgent));
    atomic_store(&slot->fetched_bytes, 0);
    slot->is_busy = 1;
    slot->is_doubted = 0;
    memcpy(slot->claim, task->id, sizeof slot->claim);
    slot->sweep_id = task->sweep_id;
    slot->task_id = task->task_id;
    slot->attempt = task->attempt;
    (void)snprintf(slot->revision, sizeof slot->revision, "%s", task->revisions[0].row.name);
    (void)snprintf(slot->model, sizeof slot->model, "%s", task->model.name);
    pulse_beat();
    slot->lease_ms = task->lease_ms;
    slot->renewed_ms = clock_monotonic_ms();
    (void)pthread_mutex_unlock(&slot->worker->lock);
}

static void end(struct remote_slot *slot)
{
    (void)pthread_mutex_lock(&slot->worker->lock);
    slot->is_busy = 0;
    (void)pthread_mutex_unlock(&slot->worker->lock);
    atomic_store(&slot->worker->last_work_ms, clock_monotonic_ms());
}

/* -- Whether this machine can do it -- */

static int check_path(const char *what, const char *name, struct err *err)
{
    if (!name || !local_name_is(name) || file_exists(local_name_path(name)))
        return 0;
    return err_set(err, ERR_UNSUPPORTED, "%s %s is not on this machine", what, name);
}

static int check_place(const struct wire_task *task, const struct sweep_spec *spec, struct err *err)
{
    int code = check_path("model", task->model.name, err);
    if (!code && spec->wants_perplexity)
        code = check_path("data set", spec->dataset, err);
    return code;
}

/* -- Measure -- */

/* What this worker found out of a model that the daemon could not describe. */
static int take_model(struct remote_slot *slot, const struct wire_task *task, int64_t model_id,
                      struct wire_result *result, struct err *err)
{
    if (task->model.tensor[0])
        return 0;
    int code = models_get(remote_store_database(slot->worker->options.store), model_id, &result->model, err);
    result->has_model = !code && result->model.tensor[0];
    return code;
}

/* Appends the bytes to hand in; after an error, those of a part, or none. */
static int measure(struct remote_slot *slot, const struct wire_task *task, const struct task_row *row,
                   const struct sweep_spec *spec, struct buf *body, struct err *err)
{
    struct measure_shared shared;
    struct measured_task *measured = NULL;
    engine_share(slot->worker->options.engine, remote_store_database(slot->worker->options.store), &shared);
    shared.failures_max = (int)task->failures_max;
    int code = measure_task(&shared, row, spec, &slot->cancel, &slot->fetched_bytes, &measured, err);
    if (measured) {
        struct wire_result result = {.result = *measured_task_result(measured)};
        struct err why = ERR_INIT;
        int made = take_model(slot, task, row->model_id, &result, &why);
        if (!made)
            made = wire_result_append(&result, body, &why);
        if (made)
            buf_clear(body);
        if (!code && made) {
            code = made;
            *err = why;
        }
        if (!code && result.result.caution[0])
            log_event(
                log_repeats_level_of_caution(&slot->worker->told, task->sweep_id, result.result.caution),
                "task measured in part", log_int("sweep", task->sweep_id),
                log_text("revision", row->revision), log_text("reason", result.result.caution), log_end);
    }
    measured_task_free(measured);
    return code;
}

/* Until the daemon has it or does not want it, the process stops, or there is no use in it. */
static int hand_in(struct remote_slot *slot, const struct wire_task *task, const struct buf *body,
                   struct err *err)
{
    struct remote_worker *worker = slot->worker;
    struct patience patience;
    patience_begin(&patience, atomic_load(&slot->beats));
    for (int attempt = 1;; attempt++) {
        *err = (struct err)ERR_INIT;
        int code = remote_link_record(slot->rest, task->id, body, err);
        if (!remote_link_may_pass(code))
            return code;
        if (atomic_load(&worker->is_urgent) || atomic_load(&slot->cancel))
            return code;
        if (patience_is_over(&patience, code, atomic_load(&slot->beats)))
            return err_wrap(err, "the daemon does not take the result, %d times; its log says why", attempt);
        if (attempt == 1)
            log_warning("the daemon does not take a result now; it is kept and handed in again",
                        log_int("sweep", task->sweep_id), log_text("revision", task->revisions[0].row.name),
                        log_text("reason", err->message), log_end);
        remote_worker_pause(&worker->is_urgent, remote_worker_backoff_ms(attempt));
    }
}

/* -- What became of it -- */

static int report_failure(const struct remote_slot *slot, struct rest *rest, const char *claim,
                          const struct err *reason, int is_refused, int *ret_is_final, struct err *err)
{
    for (int attempt = 1;; attempt++) {
        *err = (struct err)ERR_INIT;
        int code = remote_link_fail(rest, claim, reason, is_refused, ret_is_final, err);
        if (!remote_link_may_pass(code) || attempt == FAIL_ATTEMPTS || atomic_load(&slot->worker->is_urgent))
            return code;
        remote_worker_pause(&slot->worker->is_urgent, remote_worker_backoff_ms(attempt));
    }
}

/* Says what became of a failed attempt, or of one whose result was refused. A claim that is lost needs
 * nothing more. Returns whether the task has failed for good. */
static int give_up(struct remote_slot *slot, const struct wire_task *task, const struct err *reason,
                   int is_refused, double seconds)
{
    struct remote_worker *worker = slot->worker;
    struct err err = ERR_INIT;
    int64_t bytes = atomic_load(&slot->fetched_bytes);
    int is_final = 0, code = 0;
    if (!atomic_load(&worker->is_urgent) && (reason->code == ERR_CONFLICT || atomic_load(&slot->cancel))) {
        log_task("task dropped", LOG_LEVEL_INFO, task, seconds, bytes, reason);
        return 0;
    }
    const int is_own = reason->code == ERR_DEVICE_LOST; /* whatever else happens, this task's failure */
    if ((atomic_load(&worker->is_urgent) && !is_own) || reason->code == ERR_CANCELLED) {
        /* All stop, or a neighbour that loaded a tensor for both was cancelled: no failure of this task. */
        code = remote_link_release(slot->rest, task->id, NULL, &err);
        log_task("task given back", LOG_LEVEL_INFO, task, seconds, bytes, reason);
    } else {
        if (reason->code == ERR_GATED)
            atomic_store(&worker->was_refused, true);
        code = report_failure(slot, slot->rest, task->id, reason, is_refused, &is_final, &err);
        log_task(is_final ? "task failed" : "task will be tried again",
                 log_repeats_level(&worker->told, task->sweep_id, reason, is_final), task, seconds, bytes,
                 reason);
    }
    if (code && code != ERR_CONFLICT)
        log_warning("the daemon cannot be told; it takes the task back when its lease ends",
                    log_int("task", task->task_id), log_text("reason", err.message), log_end);
    return is_final;
}

/* The daemon's database was replaced: what this process knows of the old one would make it leave out what the
 * new one lacks. */
static void start_anew(struct remote_slot *slot, const struct wire_task *task, const struct err *reason)
{
    struct err err = ERR_INIT;
    log_error("the worker must be started again", log_text("reason", reason->message), log_end);
    (void)remote_link_release(slot->rest, task->id, reason->message, &err);
    remote_worker_end(slot->worker, REMOTE_END_RESTART);
}

/* The task goes back without a count against it, and its sweep is left to others: this machine does not have
 * the model's folder, or does not reach the hub. */
static void decline(struct remote_slot *slot, const struct wire_task *task, const struct err *reason)
{
    struct err err = ERR_INIT;
    slot->has_left = 1;
    remote_worker_leave(slot->worker, task->sweep_id);
    if (reason->code == ERR_UNREACHABLE)
        atomic_store(&slot->worker->waits_for_hub, true);
    log_task("sweep left to others", reason->code == ERR_UNREACHABLE ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
             task, 0, 0, reason);
    (void)remote_link_release(slot->rest, task->id, reason->message, &err);
}

static int work_on(struct remote_slot *slot, const struct wire_task *task, const struct task_row *row,
                   const struct sweep_spec *spec)
{
    struct err err = ERR_INIT, part = ERR_INIT;
    struct buf body;
    double start = clock_monotonic_s();
    buf_init(&body, LIMIT_CLAIM_RESULT_BYTES);
    int code = measure(slot, task, row, spec, &body, &err);
    atomic_store(&slot->phase, REMOTE_PHASE_RESULT);
    int is_measured = !code;
    if (!code)
        code = hand_in(slot, task, &body, &err);
    else if (body.size)
        (void)hand_in(slot, task, &body, &part); /* the daemon's log says why it does not take it */
    int is_refused = is_measured &&
                     (code == ERR_MISMATCH || code == ERR_INVALID || code == ERR_FORMAT || code == ERR_LIMIT);
    atomic_store(&slot->phase, REMOTE_PHASE_WORD);
    buf_free(&body);
    double seconds = clock_monotonic_s() - start;
    int is_final = 0; /* whoever else could try has failed, too: it is not for this worker */
    if (code == ERR_UNREACHABLE && !atomic_load(&slot->cancel))
        decline(slot, task, &err);
    else if (code)
        is_final = give_up(slot, task, &err, is_refused, seconds);
    else
        log_task("task done", LOG_LEVEL_INFO, task, seconds, atomic_load(&slot->fetched_bytes), &err);
    if (code == ERR_DEVICE_LOST)
        remote_worker_end(slot->worker, REMOTE_END_DEVICE);
    return code && !is_final && code != ERR_CONFLICT && code != ERR_CANCELLED && code != ERR_UNREACHABLE &&
           code != ERR_GATED; /* the hub is not asked for the next one */
}

/* Whoever started a sweep that this worker does not know may have been granted access since one before. */
static void ask_anew(struct remote_worker *worker, const struct wire_task *task,
                     const struct sweep_spec *spec)
{
    (void)pthread_mutex_lock(&worker->lock);
    int is_new = task->sweep_id > worker->newest_sweep;
    worker->newest_sweep = is_new ? task->sweep_id : worker->newest_sweep;
    (void)pthread_mutex_unlock(&worker->lock);
    if (!is_new)
        return;
    hub_forget_refusals(worker->options.engine->hub, task->model.name);
    if (spec->wants_perplexity && spec->dataset)
        hub_forget_refusals(worker->options.engine->hub, spec->dataset);
}

int remote_slot_work(struct remote_slot *slot, const struct wire_task *task)
{
    struct err err = ERR_INIT;
    struct sweep_spec spec = {0};
    struct task_row row;
    int has_failed = 0;
    slot->has_left = 0;
    begin(slot, task);
    if (sweep_spec_parse(task->request, strlen(task->request), &spec, &err)) {
        (void)give_up(slot, task, &err, 0, 0);
    } else if (check_place(task, &spec, &err)) {
        decline(slot, task, &err);
    } else {
        ask_anew(slot->worker, task, &spec);
        int code = remote_store_take(slot->worker->options.store, task, &row, &err);
        if (code == ERR_CONFLICT)
            start_anew(slot, task, &err);
        else if (code)
            (void)give_up(slot, task, &err, 0, 0);
        else
            has_failed = work_on(slot, task, &row, &spec);
    }
    sweep_spec_free(&spec);
    end(slot);
    return has_failed;
}

/* -- What hangs -- */

static void log_hang(const struct remote_slot *slot, const char *event, const struct err *reason)
{
    log_warning(event, log_int("sweep", slot->sweep_id), log_int("task", slot->task_id),
                log_text("revision", slot->revision), log_int("attempt", slot->attempt),
                log_int("bytes_fetched", atomic_load(&slot->fetched_bytes)),
                log_text("error", err_name(reason->code)), log_text("reason", reason->message), log_end);
}

int remote_slot_is_given_up(struct remote_slot *slot)
{
    (void)pthread_mutex_lock(&slot->worker->lock);
    int is_hung = slot->is_hung;
    (void)pthread_mutex_unlock(&slot->worker->lock);
    return is_hung;
}

/* Its thread may still come back, to find that the claim is over; it begins no other task, so that what the
 * slot says of its own stays. */
void remote_slot_check_hang(struct remote_slot *slot)
{
    struct remote_worker *worker = slot->worker;
    struct err reason = ERR_INIT, err = ERR_INIT;
    char claim[WIRE_ID_SIZE];
    int is_final = 0;
    (void)pthread_mutex_lock(&worker->lock);
    enum hang hang = slot->is_busy ? hang_judge(&slot->pulse, worker->options.hang_ms, &reason) : HANG_NONE;
    const int is_news = hang == HANG_DOUBT && !slot->is_doubted;
    slot->is_doubted |= hang == HANG_DOUBT;
    slot->is_hung |= hang == HANG_CERTAIN;
    slot->is_busy &= hang != HANG_CERTAIN;
    if (hang == HANG_CERTAIN) /* before the daemon has the task again, which is not for another slot */
        atomic_store(&worker->is_stopping, true);
    memcpy(claim, slot->claim, sizeof claim);
    if (is_news) /* within the lock: it may end, and another begin */
        log_hang(slot, "task makes no progress", &reason);
    (void)pthread_mutex_unlock(&worker->lock);
    if (hang != HANG_CERTAIN)
        return;
    if (reason.code == ERR_DEVICE_LOST)
        device_turns_give_up(worker->options.engine->turns);
    log_error("a task hangs; the worker ends so that its supervisor starts it again",
              log_text("reason", reason.message), log_end);
    if (hang_is_of_folder(worker->options.engine->hub, slot->model, &reason)) {
        (void)remote_link_release(slot->keeper_rest, claim, NULL, &err);
        log_hang(slot, "task given back", &reason);
    } else {
        (void)report_failure(slot, slot->keeper_rest, claim, &reason, 0, &is_final, &err);
        log_hang(slot, is_final ? "task failed" : "task will be tried again", &reason);
    }
    if (atomic_exchange(&slot->is_running, false))
        atomic_fetch_sub(&worker->running, 1);
    remote_worker_end(worker, REMOTE_END_HANG);
}
