#include "daemon/workers.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/measure/device_turns.h"
#include "daemon/measure/hang.h"
#include "daemon/measure/task_told.h"
#include "store/sweeps.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEASE_MS 60000
#define HEARTBEAT_MS 1000 /* progress as the API shows it; without any, whether the task is still wanted */
#define IDLE_MS 10000
#define ERROR_PAUSE_MS 1000
#define OUTAGE_LOOK_MS 1000 /* whether a hub that is down is back */
#define EXCEPT_MAX 256      /* beyond, nothing is claimed until the hub is back */

struct slot {
    struct workers *workers;
    pthread_t thread;
    int is_started;
    int number;
    atomic_bool cancel; /* of the task at hand */
    _Atomic int64_t fetched_bytes;
    struct pulse pulse;
    /* under workers->lock */
    int is_busy, is_doubted, is_hung;
    struct task_row task; /* at hand */
    struct task_lease lease;
    int64_t reported_bytes;
    int64_t renewed_ms;
};

struct workers {
    struct workers_options options;
    pthread_mutex_t lock;
    struct slot slots[WORKERS_MAX];
    int running; /* threads that have not ended and do not hang, under lock */
    pthread_t keeper;
    int is_keeper_started;
    int64_t except[EXCEPT_MAX]; /* sweeps whose tasks wait for what of the hub is down; under lock */
    size_t except_count;
    uint64_t outage_mark; /* as of the last claim; under lock */
    uint64_t token_mark;  /* likewise */
    struct task_told told;
    struct pulse pulse; /* the keeper's */
    atomic_bool is_stopping;
    atomic_bool is_keeper_stopping;
};

/* -- One task -- */

static void begin_task(struct slot *slot, const struct task_row *task)
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

static void end_task(struct slot *slot)
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
static void keep_part(struct slot *slot, const struct task_row *task, const struct measured_task *measured)
{
    struct err err = ERR_INIT;
    int code =
        tasks_record(slot->workers->options.shared.store, &slot->lease, measured_task_result(measured), &err);
    if (code && code != ERR_CONFLICT && code != ERR_CANCELLED)
        log_warning("statistics are not kept, since the perplexity failed, too",
                    log_int("sweep", task->sweep_id), log_text("revision", task->revision),
                    log_text("reason", err.message), log_end);
}

/* Measures and records; the result of the attempt is in *err. */
static int run_task(struct slot *slot, const struct task_row *task, struct err *err)
{
    const struct measure_shared *shared = &slot->workers->options.shared;
    struct sweep_spec spec = {0};
    struct measured_task *measured = NULL;
    int code = read_spec(shared->store, task->sweep_id, &spec, err);
    if (!code)
        code = measure_task(shared, task, &spec, &slot->cancel, &slot->fetched_bytes, &measured, err);
    if (!code)
        code = tasks_record(shared->store, &slot->lease, measured_task_result(measured), err);
    else if (measured)
        keep_part(slot, task, measured);
    const char *caution = code ? "" : measured_task_result(measured)->caution;
    if (caution[0])
        log_event(task_told_caution(&slot->workers->told, task->sweep_id, caution), "task recorded in part",
                  log_int("sweep", task->sweep_id), log_text("revision", task->revision),
                  log_text("reason", caution), log_end);
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
static int wait_for_hub(struct slot *slot, const struct task_row *task, const struct err *reason,
                        struct err *err)
{
    struct workers *workers = slot->workers;
    (void)pthread_mutex_lock(&workers->lock);
    size_t i = 0;
    while (i < workers->except_count && workers->except[i] != task->sweep_id)
        i++;
    if (i == workers->except_count && i < EXCEPT_MAX)
        workers->except[workers->except_count++] = task->sweep_id;
    (void)pthread_mutex_unlock(&workers->lock);
    return tasks_decline(workers->options.shared.store, &slot->lease, reason->message, err);
}

/* Says what became of a failed attempt. A lost lease and a cancelled task need nothing more. */
static void give_up(struct slot *slot, const struct task_row *task, const struct err *reason, double seconds)
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
                 task_told_level(&workers->told, task->sweep_id, reason, 0), task, seconds, bytes, reason);
    } else {
        code = tasks_fail(store, &slot->lease, reason, &workers->options.policy, &state, &err);
        if (code == ERR_NO_SPACE && reserve_spend(workers->options.reserve))
            code = tasks_fail(store, &slot->lease, reason, &workers->options.policy, &state, &err);
        const int is_final = state != TASK_STATE_QUEUED;
        log_task(is_final ? "task failed" : "task will be tried again",
                 task_told_level(&workers->told, task->sweep_id, reason, is_final), task, seconds, bytes,
                 reason);
    }
    if (code && code != ERR_CONFLICT && code != ERR_CANCELLED)
        log_error("the end of a task cannot be recorded", log_int("task", task->id),
                  log_text("reason", err.message), log_end);
}

static void work_on(struct slot *slot, const struct task_row *task)
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

/* -- Threads -- */

/* What the hub refuses to one token it may give to another. */
static void look_at_token(struct workers *workers)
{
    uint64_t mark = hub_token_mark(workers->options.shared.hub);
    (void)pthread_mutex_lock(&workers->lock);
    int is_new = workers->token_mark && mark != workers->token_mark;
    workers->token_mark = mark;
    (void)pthread_mutex_unlock(&workers->lock);
    if (is_new && workers->options.leave)
        workers->options.forget_left(workers->options.left);
}

/* Claims a task; while something of the hub is down, of a sweep that did not meet it. */
static int claim(struct workers *workers, const char *name, struct task_row *task, int64_t *ret_wait_ms,
                 struct err *err)
{
    struct store *store = workers->options.shared.store;
    int64_t except[EXCEPT_MAX + WORKERS_LEFT_MAX];
    struct tasks_choice choice = {.except = except};
    uint64_t mark = hub_outage_mark(workers->options.shared.hub);
    look_at_token(workers);
    (void)pthread_mutex_lock(&workers->lock);
    if (!mark || (workers->outage_mark && mark != workers->outage_mark))
        workers->except_count = 0;
    workers->outage_mark = mark;
    choice.except_count = workers->except_count;
    memcpy(except, workers->except, sizeof workers->except);
    (void)pthread_mutex_unlock(&workers->lock);
    int may_claim = choice.except_count < EXCEPT_MAX;
    if (workers->options.list_left) {
        size_t left = workers->options.list_left(workers->options.left, except + choice.except_count);
        may_claim = may_claim && left < WORKERS_LEFT_MAX;
        choice.except_count += left;
    }
    int code = may_claim ? tasks_claim_chosen(store, name, &choice, LEASE_MS, &workers->options.policy, task,
                                              ret_wait_ms, err)
                         : err_set(err, ERR_NOT_FOUND,
                                   "too many sweeps wait for the hub, or for workers with another token");
    if (mark && (*ret_wait_ms < 0 || *ret_wait_ms > OUTAGE_LOOK_MS))
        *ret_wait_ms = OUTAGE_LOOK_MS;
    return code;
}

/* Came back after all, when its task had been given up: the process is about to end. */
static int is_given_up(struct slot *slot)
{
    (void)pthread_mutex_lock(&slot->workers->lock);
    int is_hung = slot->is_hung;
    (void)pthread_mutex_unlock(&slot->workers->lock);
    return is_hung;
}

static void *work(void *context)
{
    struct slot *slot = context;
    struct workers *workers = slot->workers;
    struct store *store = workers->options.shared.store;
    char name[STORE_WORKER_SIZE];
    (void)snprintf(name, sizeof name, WORKERS_NAME_PREFIX "%d", slot->number);
    pulse_attach(&slot->pulse);
    while (!atomic_load(&workers->is_stopping) && !device_turns_is_lost(workers->options.shared.turns) &&
           !is_given_up(slot)) {
        struct task_row task;
        struct err err = ERR_INIT;
        int64_t wait_ms = -1;
        uint64_t version = store_version(store);
        int code = claim(workers, name, &task, &wait_ms, &err);
        if (code == 0) {
            work_on(slot, &task);
            continue;
        }
        if (code != ERR_NOT_FOUND) {
            log_error("no task can be claimed", log_text("reason", err.message), log_end);
            wait_ms = ERROR_PAUSE_MS;
            version = store_version(store);
        }
        if (wait_ms < 0 || wait_ms > IDLE_MS)
            wait_ms = IDLE_MS;
        if (!atomic_load(&workers->is_stopping))
            (void)store_wait_change(store, version, wait_ms);
    }
    (void)pthread_mutex_lock(&workers->lock);
    workers->running -= !slot->is_hung;
    (void)pthread_mutex_unlock(&workers->lock);
    return NULL;
}

/* Ends the lease of a task at which nothing moves any more. Its thread may still come back, to find that the
 * lease is lost; it begins no other task, so that the slot's stays. */
static void look_for_hang(struct workers *workers, struct slot *slot)
{
    struct err reason = ERR_INIT;
    (void)pthread_mutex_lock(&workers->lock);
    enum hang hang = slot->is_busy ? hang_judge(&slot->pulse, workers->options.hang_ms, &reason) : HANG_NONE;
    const int is_news = hang == HANG_DOUBT && !slot->is_doubted;
    slot->is_doubted |= hang == HANG_DOUBT;
    const double seconds = (double)pulse_age_ms(&slot->pulse) / 1000.0;
    if (is_news) /* within the lock: it may end, and another begin */
        log_task("task does not move", LOG_LEVEL_WARNING, &slot->task, seconds,
                 atomic_load(&slot->fetched_bytes), &reason);
    if (hang == HANG_CERTAIN) {
        slot->is_hung = 1;
        slot->is_busy = 0;
        workers->running--;
    }
    (void)pthread_mutex_unlock(&workers->lock);
    if (hang != HANG_CERTAIN)
        return;
    if (reason.code == ERR_DEVICE_LOST)
        device_turns_give_up(workers->options.shared.turns);
    give_up(slot, &slot->task, &reason, seconds);
    if (workers->options.lost)
        workers->options.lost(workers->options.context, &reason, 1);
}

/* Renews one lease if it is due; a lost or cancelled task is told to end. */
static void keep_lease(struct workers *workers, struct slot *slot)
{
    struct err err = ERR_INIT;
    struct task_lease lease;
    int64_t now = clock_monotonic_ms();
    (void)pthread_mutex_lock(&workers->lock);
    int64_t bytes = atomic_load(&slot->fetched_bytes); /* of the task that the lease is of */
    int is_due = slot->is_busy && (bytes != slot->reported_bytes || now - slot->renewed_ms >= HEARTBEAT_MS);
    lease = slot->lease;
    if (is_due) {
        slot->reported_bytes = bytes;
        slot->renewed_ms = now;
    }
    (void)pthread_mutex_unlock(&workers->lock);
    if (!is_due)
        return;
    int code = tasks_heartbeat(workers->options.shared.store, &lease, LEASE_MS, bytes, &err);
    if (code != ERR_CANCELLED && code != ERR_CONFLICT)
        return;
    (void)pthread_mutex_lock(&workers->lock);
    if (slot->is_busy && slot->lease.task_id == lease.task_id && slot->lease.attempt == lease.attempt)
        atomic_store(&slot->cancel, true);
    (void)pthread_mutex_unlock(&workers->lock);
    tensor_pool_wake(workers->options.shared.pool);
}

static void *keep_leases(void *context)
{
    struct workers *workers = context;
    pulse_attach(&workers->pulse);
    while (!atomic_load(&workers->is_keeper_stopping)) {
        pulse_beat();
        for (int i = 0; i < workers->options.count; i++)
            look_for_hang(workers, &workers->slots[i]);
        for (int i = 0; i < workers->options.count; i++)
            keep_lease(workers, &workers->slots[i]);
        clock_sleep_ms(HEARTBEAT_MS / 4);
    }
    return NULL;
}

static int start_threads(struct workers *workers, struct err *err)
{
    for (int i = 0; i < workers->options.count; i++)
        workers->slots[i] = (struct slot){.workers = workers, .number = i};
    int code = pthread_create(&workers->keeper, NULL, keep_leases, workers);
    workers->is_keeper_started = code == 0;
    for (int i = 0; i < workers->options.count && !code; i++) {
        struct slot *slot = &workers->slots[i];
        (void)pthread_mutex_lock(&workers->lock);
        code = pthread_create(&slot->thread, NULL, work, slot);
        slot->is_started = code == 0;
        workers->running += slot->is_started;
        (void)pthread_mutex_unlock(&workers->lock);
    }
    return code ? err_set_errno(err, code, "workers: cannot start a thread") : 0;
}

int workers_start(const struct workers_options *options, struct workers **ret_workers, struct err *err)
{
    int64_t requeued = 0;
    int code = tasks_requeue_of_worker(options->shared.store, WORKERS_NAME_PREFIX,
                                       "the daemon was started again", &options->policy, &requeued, err);
    if (code)
        return code;
    if (requeued)
        log_info("unfinished tasks of an earlier run are queued again", log_int("tasks", requeued), log_end);
    struct workers *workers = calloc(1, sizeof *workers);
    if (!workers)
        return err_set(err, ERR_NO_MEMORY, "workers: out of memory");
    workers->options = *options;
    workers->options.shared.failures_max = options->policy.failures_max;
    workers->options.shared.keeps_large = 1;
    (void)pthread_mutex_init(&workers->lock, NULL);
    task_told_init(&workers->told);
    code = start_threads(workers, err);
    if (code) {
        workers_free(workers);
        return code;
    }
    *ret_workers = workers;
    return 0;
}

void workers_stop(struct workers *workers, int is_urgent)
{
    atomic_store(&workers->is_stopping, true);
    if (is_urgent) {
        for (int i = 0; i < workers->options.count; i++)
            atomic_store(&workers->slots[i].cancel, true);
        tensor_pool_wake(workers->options.shared.pool);
    }
    store_wake(workers->options.shared.store);
}

int workers_wait(struct workers *workers, int64_t timeout_ms)
{
    int64_t deadline = clock_monotonic_ms() + timeout_ms;
    for (;;) {
        (void)pthread_mutex_lock(&workers->lock);
        int running = workers->running;
        (void)pthread_mutex_unlock(&workers->lock);
        if (running == 0)
            return 1;
        if (clock_monotonic_ms() >= deadline)
            return 0;
        /* A thread that was about to wait when it was woken would miss it: wake again. */
        store_wake(workers->options.shared.store);
        clock_sleep_ms(10);
    }
}

void workers_free(struct workers *workers)
{
    if (!workers)
        return;
    workers_stop(workers, 1);
    while (!workers_wait(workers, 1000))
        workers_stop(workers, 1);
    for (int i = 0; i < workers->options.count; i++) {
        if (workers->slots[i].is_started)
            (void)pthread_join(workers->slots[i].thread, NULL);
    }
    atomic_store(&workers->is_keeper_stopping, true);
    if (workers->is_keeper_started)
        (void)pthread_join(workers->keeper, NULL);
    (void)pthread_mutex_destroy(&workers->lock);
    task_told_free(&workers->told);
    free(workers);
}

const struct pulse *workers_pulse(const struct workers *workers)
{
    return &workers->pulse;
}

int workers_busy_count(struct workers *workers)
{
    int count = 0;
    (void)pthread_mutex_lock(&workers->lock);
    for (int i = 0; i < workers->options.count; i++)
        count += workers->slots[i].is_busy;
    (void)pthread_mutex_unlock(&workers->lock);
    return count;
}
