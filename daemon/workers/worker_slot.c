#include "daemon/workers/worker_slot.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/measure/device_turns.h"
#include "daemon/measure/hang.h"
#include "store/models.h"
#include "store/sweeps.h"

#include <stdbool.h>
#include <string.h>

#define RECORD_TRIES 30 /* of ten seconds each */

static void begin_task(struct worker_slot *slot, const struct task_row *task)
{
    (void)pthread_mutex_lock(&slot->workers->lock);
    atomic_store(&slot->cancel, false);
    atomic_store(&slot->fetched_bytes, 0);
    slot->is_busy = 1;
    slot->is_doubted = 0;
    slot->reported_bytes = 0;
    slot->renewed_ms = clock_monotonic_ms();
    slot->task = *task;
    task_lease_of(task, &slot->lease);
    pulse_beat();
    (void)pthread_mutex_unlock(&slot->workers->lock);
}

static void end_task(struct worker_slot *slot)
{
    (void)pthread_mutex_lock(&slot->workers->lock);
    slot->is_busy = 0;
    (void)pthread_mutex_unlock(&slot->workers->lock);
}

static int read_spec(struct store *store, int64_t sweep_id, struct sweep_spec *spec, struct err *err)
{
    struct buf request;
    buf_init(&request, LIMIT_API_BODY_BYTES);
    int code = sweeps_get_request(store, sweep_id, &request, err);
    if (!code)
        code = sweep_spec_parse(buf_text(&request), request.size, spec, err);
    buf_free(&request);
    return code;
}

/* The statistics of a revision whose perplexity failed: its checkpoint may be deleted before that is there.
 */
static void keep_part(struct worker_slot *slot, const struct task_row *task,
                      const struct measured_task *measured)
{
    struct err err = ERR_INIT;
    int code =
        tasks_record(slot->workers->options.shared.store, &slot->lease, measured_task_result(measured), &err);
    if (code && code != ERR_CONFLICT && code != ERR_CANCELLED)
        log_warning("statistics are not kept, since the perplexity failed, too",
                    log_int("sweep", task->sweep_id), log_text("revision", task->revision),
                    log_text("reason", err.message), log_end);
}

/* Another program's lock on the database passes, and what took minutes to measure is not thrown away for it.
 */
static int record(struct worker_slot *slot, const struct task_result *result, struct err *err)
{
    int code = 0;
    for (int try = 0; try < RECORD_TRIES; try++) {
        *err = (struct err)ERR_INIT;
        code = tasks_record(slot->workers->options.shared.store, &slot->lease, result, err);
        if (code != ERR_TIMEOUT || atomic_load(&slot->cancel) || atomic_load(&slot->workers->is_stopping))
            break;
        pulse_beat();
    }
    return code;
}

/* Measures and records; the result of the attempt is in *err. */
static int run_task(struct worker_slot *slot, const struct task_row *task, struct err *err)
{
    const struct measure_shared *shared = &slot->workers->options.shared;
    struct sweep_spec spec = {0};
    struct measured_task *measured = NULL;
    int code = read_spec(shared->store, task->sweep_id, &spec, err);
    if (!code)
        code = measure_task(shared, task, &spec, &slot->cancel, &slot->fetched_bytes, &measured, err);
    if (!code)
        code = record(slot, measured_task_result(measured), err);
    else if (measured)
        keep_part(slot, task, measured);
    const char *caution = code ? "" : measured_task_result(measured)->caution;
    if (caution[0])
        log_event(log_repeats_level_of_caution(&slot->workers->told, task->sweep_id, caution),
                  "task recorded in part", log_int("sweep", task->sweep_id),
                  log_text("revision", task->revision), log_text("reason", caution), log_end);
    measured_task_free(measured);
    sweep_spec_free(&spec);
    return code;
}

static void log_task(const char *event, enum log_level level, const struct task_row *task, double seconds,
                     int64_t bytes, const struct err *err)
{
    log_event(level, event, log_int("sweep", task->sweep_id), log_int("task", task->id),
              log_text("revision", task->revision), log_int("attempt", task->attempts),
              log_real("seconds", seconds), log_int("bytes_fetched", bytes),
              log_text("error", err_name(err->code)), log_text("reason", err->message), log_end);
}

/* What it needs of the hub is down: no failure of this task, nor of any other of its sweep. */
static int wait_for_hub(struct worker_slot *slot, const struct task_row *task, const struct err *reason,
                        struct err *err)
{
    struct workers *workers = slot->workers;
    (void)pthread_mutex_lock(&workers->lock);
    size_t i = 0;
    while (i < workers->except_count && workers->except[i] != task->sweep_id)
        i++;
    if (i == workers->except_count && i < WORKERS_EXCEPT_MAX)
        workers->except[workers->except_count++] = task->sweep_id;
    (void)pthread_mutex_unlock(&workers->lock);
    return tasks_decline(workers->options.shared.store, &slot->lease, reason->message, err);
}

/* Says what became of a failed attempt. A lost lease and a cancelled task need nothing more. */
static void give_up(struct worker_slot *slot, const struct task_row *task, const struct err *reason,
                    double seconds)
{
    struct workers *workers = slot->workers;
    struct store *store = workers->options.shared.store;
    struct err err = ERR_INIT;
    enum task_state state = TASK_STATE_FAILED;
    int64_t bytes = atomic_load(&slot->fetched_bytes);
    int code;
    if (reason->code == ERR_CONFLICT || (reason->code == ERR_CANCELLED && atomic_load(&slot->cancel) &&
                                         !atomic_load(&workers->is_stopping))) {
        log_task("task dropped", LOG_LEVEL_INFO, task, seconds, bytes, reason);
        return;
    }
    if (reason->code == ERR_CANCELLED) {
        /* All stop, or a neighbour that loaded a tensor for both was cancelled: no failure of this task. */
        code = tasks_release(store, &slot->lease, &workers->options.policy, &err);
    } else if (reason->code == ERR_UNREACHABLE) {
        code = wait_for_hub(slot, task, reason, &err);
        log_task("task waits for the hub", LOG_LEVEL_DEBUG, task, seconds, bytes, reason);
    } else if (reason->code == ERR_GATED && workers->options.leave &&
               workers->options.leave(workers->options.left, task->sweep_id)) {
        code = tasks_leave(store, &slot->lease, reason, &err);
        log_task("sweep left to workers with another token",
                 log_repeats_level(&workers->told, task->sweep_id, reason, 0), task, seconds, bytes, reason);
    } else {
        code = tasks_fail(store, &slot->lease, reason, &workers->options.policy, &state, &err);
        if (code == ERR_NO_SPACE && reserve_spend(workers->options.reserve))
            code = tasks_fail(store, &slot->lease, reason, &workers->options.policy, &state, &err);
        const int is_final = !code && state != TASK_STATE_QUEUED; /* else its lease will run out */
        if (code == ERR_CANCELLED || code == ERR_CONFLICT) /* it failed since it is gone, or another's */
            log_task("task dropped", LOG_LEVEL_INFO, task, seconds, bytes, &err);
        else
            log_task(is_final ? "task failed" : "task will be tried again",
                     log_repeats_level(&workers->told, task->sweep_id, reason, is_final), task, seconds,
                     bytes, reason);
    }
    if (code && code != ERR_CONFLICT && code != ERR_CANCELLED)
        log_error("the outcome of a task cannot be recorded", log_int("task", task->id),
                  log_text("reason", err.message), log_end);
}

void worker_slot_work(struct worker_slot *slot, const struct task_row *task)
{
    struct err err = ERR_INIT;
    double start = clock_monotonic_s();
    begin_task(slot, task);
    int code = run_task(slot, task, &err);
    double seconds = clock_monotonic_s() - start;
    if (code)
        give_up(slot, task, &err, seconds);
    else
        log_task("task done", LOG_LEVEL_DEBUG, task, seconds, atomic_load(&slot->fetched_bytes), &err);
    end_task(slot);
    if (code == ERR_DEVICE_LOST && slot->workers->options.lost)
        slot->workers->options.lost(slot->workers->options.context, &err, 0);
}

/* -- What hangs -- */

int worker_slot_is_given_up(struct worker_slot *slot)
{
    (void)pthread_mutex_lock(&slot->workers->lock);
    int is_hung = slot->is_hung;
    (void)pthread_mutex_unlock(&slot->workers->lock);
    return is_hung;
}

/* Ends the lease of a task on which nothing moves any more, and with it the process: from here on no slot
 * claims anything. The slot's thread may still come back and find the lease lost; it begins no other task. */
void worker_slot_check_hang(struct worker_slot *slot)
{
    struct workers *workers = slot->workers;
    struct err reason = ERR_INIT;
    (void)pthread_mutex_lock(&workers->lock);
    enum hang hang = slot->is_busy ? hang_judge(&slot->pulse, workers->options.hang_ms, &reason) : HANG_NONE;
    const int is_news = hang == HANG_DOUBT && !slot->is_doubted;
    slot->is_doubted |= hang == HANG_DOUBT;
    const double seconds = (double)pulse_age_ms(&slot->pulse) / 1000.0;
    if (is_news) /* within the lock: it may end, and another begin */
        log_task("task makes no progress", LOG_LEVEL_WARNING, &slot->task, seconds,
                 atomic_load(&slot->fetched_bytes), &reason);
    if (hang == HANG_CERTAIN) {
        slot->is_hung = 1;
        slot->is_busy = 0;
        workers->running--;
    }
    (void)pthread_mutex_unlock(&workers->lock);
    if (hang != HANG_CERTAIN)
        return;
    (void)pthread_mutex_lock(&workers->claim_lock);
    atomic_store(&workers->is_stopping, true);
    (void)pthread_mutex_unlock(&workers->claim_lock);
    if (reason.code == ERR_DEVICE_LOST)
        device_turns_give_up(workers->options.shared.turns);
    struct model_row model;
    struct err err = ERR_INIT;
    if (!models_get(workers->options.shared.store, slot->task.model_id, &model, &err))
        (void)hang_is_of_folder(workers->options.shared.hub, model.name, &reason);
    give_up(slot, &slot->task, &reason, seconds);
    if (workers->options.lost)
        workers->options.lost(workers->options.context, &reason, 1);
}
