#include "daemon/workers/workers.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/base/pause.h"
#include "daemon/measure/device_turns.h"
#include "daemon/measure/hang.h"
#include "daemon/workers/worker_slot.h"

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
#define TELL_MS 60000       /* of one complaint to the next, while all slots try again each second */

/* -- Threads -- */

/* What the hub refuses to one token it may give to another. */
static void check_token(struct workers *workers)
{
    uint64_t mark = hub_token_mark(workers->options.shared.hub);
    (void)pthread_mutex_lock(&workers->lock);
    int is_new = workers->token_mark && mark != workers->token_mark;
    workers->token_mark = mark;
    (void)pthread_mutex_unlock(&workers->lock);
    if (is_new && workers->options.leave)
        workers->options.forget_left(workers->options.left);
}

/* ERR_NOT_FOUND as soon as the workers stop: what has just hung is not for another slot of this process. */
static int claim_chosen(struct workers *workers, const char *name, const struct tasks_choice *choice,
                        struct task_row *task, int64_t *ret_wait_ms, struct err *err)
{
    const struct tasks_claimant claimant = {name, LEASE_MS, &workers->options.policy};
    (void)pthread_mutex_lock(&workers->claim_lock);
    int code = atomic_load(&workers->is_stopping)
                   ? err_set(err, ERR_NOT_FOUND, "the workers stop")
                   : tasks_claim(workers->options.shared.store, &claimant, choice, task, ret_wait_ms, err);
    (void)pthread_mutex_unlock(&workers->claim_lock);
    return code;
}

/* Claims a task; while something of the hub is down, of a sweep that did not meet it. */
static int claim(struct workers *workers, const char *name, struct task_row *task, int64_t *ret_wait_ms,
                 struct err *err)
{
    int64_t except[WORKERS_EXCEPT_MAX + WORKERS_LEFT_MAX];
    struct tasks_choice choice = {.except = except};
    uint64_t mark = hub_outage_mark(workers->options.shared.hub);
    check_token(workers);
    (void)pthread_mutex_lock(&workers->lock);
    if (!mark || (workers->outage_mark && mark != workers->outage_mark))
        workers->except_count = 0;
    workers->outage_mark = mark;
    choice.except_count = workers->except_count;
    memcpy(except, workers->except, sizeof workers->except);
    (void)pthread_mutex_unlock(&workers->lock);
    int may_claim = choice.except_count < WORKERS_EXCEPT_MAX;
    if (workers->options.list_left) {
        size_t left = workers->options.list_left(workers->options.left, except + choice.except_count);
        may_claim = may_claim && left < WORKERS_LEFT_MAX;
        choice.except_count += left;
    }
    int code = may_claim ? claim_chosen(workers, name, &choice, task, ret_wait_ms, err)
                         : err_set(err, ERR_NOT_FOUND,
                                   "too many sweeps wait for the hub, or for workers with another token");
    if (mark && (*ret_wait_ms < 0 || *ret_wait_ms > OUTAGE_LOOK_MS))
        *ret_wait_ms = OUTAGE_LOOK_MS;
    return code;
}

static void complain(struct workers *workers, const struct err *reason)
{
    int64_t now = clock_monotonic_ms(), due = atomic_load(&workers->complaint_due_ms);
    if (now >= due && atomic_compare_exchange_strong(&workers->complaint_due_ms, &due, now + TELL_MS))
        log_error("no task can be claimed", log_text("reason", reason->message), log_end);
}

static void *work(void *context)
{
    struct worker_slot *slot = context;
    struct workers *workers = slot->workers;
    struct store *store = workers->options.shared.store;
    char name[STORE_WORKER_SIZE];
    (void)snprintf(name, sizeof name, WORKERS_NAME_PREFIX "%d", slot->number);
    pulse_attach(&slot->pulse);
    while (!atomic_load(&workers->is_stopping) && !device_turns_is_lost(workers->options.shared.turns) &&
           !worker_slot_is_given_up(slot)) {
        struct task_row task;
        struct err err = ERR_INIT;
        int64_t wait_ms = -1;
        uint64_t version = store_version(store);
        int code = claim(workers, name, &task, &wait_ms, &err);
        if (code == 0) {
            worker_slot_work(slot, &task);
            continue;
        }
        if (code != ERR_NOT_FOUND) {
            complain(workers, &err);
            wait_ms = ERROR_PAUSE_MS;
            version = store_version(store);
        }
        if (wait_ms < 0 || wait_ms > IDLE_MS)
            wait_ms = IDLE_MS;
        (void)store_wait_change(store, version, wait_ms, &workers->is_stopping);
    }
    (void)pthread_mutex_lock(&workers->lock);
    workers->running -= !slot->is_hung;
    (void)pthread_mutex_unlock(&workers->lock);
    return NULL;
}

/* Renews one lease if it is due; a lost or cancelled task is told to end. */
static void keep_lease(struct workers *workers, struct worker_slot *slot)
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
        int64_t since_ms = pulse_age_ms(&workers->pulse);
        pulse_beat();
        for (int i = 0; i < workers->options.count; i++) {
            hang_forgive(&workers->slots[i].pulse, since_ms, workers->options.hang_ms);
            worker_slot_check_hang(&workers->slots[i]);
        }
        for (int i = 0; i < workers->options.count; i++)
            keep_lease(workers, &workers->slots[i]);
        (void)pause_wait(workers->pause, HEARTBEAT_MS / 4);
    }
    return NULL;
}

static int start_threads(struct workers *workers, struct err *err)
{
    for (int i = 0; i < workers->options.count; i++)
        workers->slots[i] = (struct worker_slot){.workers = workers, .number = i};
    int code = pthread_create(&workers->keeper, NULL, keep_leases, workers);
    workers->is_keeper_started = code == 0;
    for (int i = 0; i < workers->options.count && !code; i++) {
        struct worker_slot *slot = &workers->slots[i];
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
        log_info("unfinished tasks of an earlier run were queued again", log_int("tasks", requeued), log_end);
    struct workers *workers = calloc(1, sizeof *workers);
    if (!workers)
        return err_set(err, ERR_NO_MEMORY, "workers: out of memory");
    workers->options = *options;
    workers->options.shared.failures_max = options->policy.failures_max;
    workers->options.shared.keeps_large = 1;
    (void)pthread_mutex_init(&workers->lock, NULL);
    (void)pthread_mutex_init(&workers->claim_lock, NULL);
    log_repeats_init(&workers->told);
    code = pause_new(&workers->pause, err);
    if (!code)
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
    if (workers->is_keeper_started) {
        pause_end(workers->pause);
        (void)pthread_join(workers->keeper, NULL);
    }
    pause_free(workers->pause);
    (void)pthread_mutex_destroy(&workers->lock);
    (void)pthread_mutex_destroy(&workers->claim_lock);
    log_repeats_free(&workers->told);
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
