#include "daemon/remote/remote_worker.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/base/pulse.h"
#include "daemon/measure/device_turns.h"
#include "daemon/measure/hang.h"
#include "daemon/measure/tensor_pool.h"
#include "daemon/remote/remote_claim.h"
#include "daemon/remote/remote_link.h"
#include "daemon/remote/remote_slot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEARTBEAT_MS 5000 /* or a quarter of the lease; */
#define LOOK_MS 1000      /* of one slot after the other, so that a cancelled task is dropped soon */
#define BACKOFF_MS 500
#define BACKOFF_MAX_MS 30000
#define STEP_MS 50
#define LEAVE_MS 10000 /* what the others have, where one hangs: to give their tasks back */

void remote_worker_pause(const atomic_bool *stop, int64_t duration_ms)
{
    int64_t deadline = clock_monotonic_ms() + duration_ms;
    while (!atomic_load(stop) && clock_monotonic_ms() < deadline) {
        pulse_beat();
        clock_sleep_ms(STEP_MS);
    }
}

int64_t remote_worker_backoff_ms(int attempt)
{
    int64_t pause = BACKOFF_MS;
    for (int i = 1; i < attempt && pause < BACKOFF_MAX_MS; i++)
        pause *= 2;
    if (pause > BACKOFF_MAX_MS)
        pause = BACKOFF_MAX_MS;
    /* Many workers lose the same daemon at the same moment. */
    return pause / 2 + clock_monotonic_ms() * 7919 % (pause / 2 + 1);
}

void remote_worker_end(struct remote_worker *worker, enum remote_end end)
{
    atomic_store(&worker->is_stopping, true);
    if (!atomic_exchange(&worker->is_ended, true) && worker->options.ended)
        worker->options.ended(worker->options.context, end);
}

void remote_worker_leave(struct remote_worker *worker, int64_t sweep_id)
{
    (void)pthread_mutex_lock(&worker->lock);
    left_list_note(&worker->left, sweep_id, clock_monotonic_ms());
    (void)pthread_mutex_unlock(&worker->lock);
}

/* Whether there may be more sweeps that this worker cannot work on than it can name in a claim: then it is
 * given one after the other. */
static int is_full_of_left(struct remote_worker *worker)
{
    (void)pthread_mutex_lock(&worker->lock);
    int is_full = left_list_is_full(&worker->left);
    (void)pthread_mutex_unlock(&worker->lock);
    return is_full;
}

int remote_worker_is_ending(const struct remote_worker *worker)
{
    return atomic_load(&worker->is_stopping) || device_turns_is_lost(worker->options.engine->turns);
}

int remote_worker_count_busy(struct remote_worker *worker)
{
    int count = 0;
    (void)pthread_mutex_lock(&worker->lock);
    for (int i = 0; i < worker->options.count; i++)
        count += worker->slots[i].is_busy;
    (void)pthread_mutex_unlock(&worker->lock);
    return count;
}

/* Whether a request of the thread that keeps leases shall end. */
static int is_keeper_stopping(void *context)
{
    const struct remote_worker *worker = context;
    return atomic_load(&worker->is_keeper_stopping);
}

/* Whether the request of a slot shall end. */
static int is_over(void *context)
{
    const struct remote_slot *slot = context;
    pulse_beat(); /* waiting for the daemon is no standing still */
    switch (atomic_load(&slot->phase)) {
    case REMOTE_PHASE_CLAIM:
        return atomic_load(&slot->worker->is_stopping);
    case REMOTE_PHASE_RESULT:
        return atomic_load(&slot->worker->is_urgent) || atomic_load(&slot->cancel);
    default:
        return 0;
    }
}

/* -- Slots -- */

static void *work(void *context)
{
    struct remote_slot *slot = context;
    struct remote_worker *worker = slot->worker;
    int failures = 0; /* in a row */
    pulse_attach(&slot->pulse);
    while (!remote_worker_is_ending(worker) && !remote_slot_is_given_up(slot)) {
        struct wire_task task = {.reference = -1, .previous = -1};
        struct err err = ERR_INIT;
        (void)pthread_mutex_lock(&worker->claim_lock);
        int code = remote_claim(slot, &task, &err);
        (void)pthread_mutex_unlock(&worker->claim_lock);
        if (code)
            break;
        atomic_store(&slot->phase, REMOTE_PHASE_WORD);
        failures = remote_slot_work(slot, &task) ? failures + 1 : 0;
        atomic_store(&slot->phase, REMOTE_PHASE_CLAIM);
        wire_task_free(&task);
        if (slot->has_left && is_full_of_left(worker))
            remote_worker_pause(&worker->is_stopping, REMOTE_LEFT_WAIT_S * 1000);
        /* A machine on which everything fails would use up the attempts of a whole sweep. */
        if (failures)
            remote_worker_pause(&worker->is_stopping, remote_worker_backoff_ms(failures));
    }
    if (atomic_exchange(&slot->is_running, false))
        atomic_fetch_sub(&worker->running, 1);
    return NULL;
}

/* -- Leases -- */

/* The claim is over. A result that is on its way may be why, and what became of it says its own answer. */
static void cancel(struct remote_worker *worker, struct remote_slot *slot, const char *claim_id)
{
    (void)pthread_mutex_lock(&worker->lock);
    if (slot->is_busy && strcmp(slot->claim, claim_id) == 0 &&
        atomic_load(&slot->phase) != REMOTE_PHASE_RESULT)
        atomic_store(&slot->cancel, true);
    (void)pthread_mutex_unlock(&worker->lock);
    tensor_pool_wake(worker->options.engine->pool);
}

/* Renews the lease if it is due; a task whose lease is lost is told to end. */
static void keep_lease(struct remote_worker *worker, struct remote_slot *slot)
{
    char id[WIRE_ID_SIZE];
    int busy = remote_worker_count_busy(worker);
    struct err err = ERR_INIT;
    int64_t now = clock_monotonic_ms();
    (void)pthread_mutex_lock(&worker->lock);
    int64_t lease_ms = slot->lease_ms, every = lease_ms / 4 < HEARTBEAT_MS ? lease_ms / 4 : HEARTBEAT_MS;
    if (every > busy * LOOK_MS)
        every = busy * LOOK_MS;
    int is_due = slot->is_busy && !atomic_load(&slot->cancel) && now - slot->renewed_ms >= every;
    memcpy(id, slot->claim, sizeof id);
    if (is_due)
        slot->renewed_ms = now;
    (void)pthread_mutex_unlock(&worker->lock);
    if (!is_due)
        return;
    int code = remote_link_extend(slot->keeper_rest, id, lease_ms, atomic_load(&slot->fetched_bytes), &err);
    if (code == ERR_CONFLICT)
        cancel(worker, slot, id);
    else if (!code)
        atomic_fetch_add(&slot->beats, 1);
}

/* Each slot has a thread for it: one after the other, the leases of many slots would run out while a slow
 * daemon answers for the first. */
static void *keep_leases(void *context)
{
    struct remote_slot *slot = context;
    int64_t looked_ms = clock_monotonic_ms();
    while (!atomic_load(&slot->worker->is_keeper_stopping)) {
        int64_t now = clock_monotonic_ms();
        hang_forgive(&slot->pulse, now - looked_ms, slot->worker->options.hang_ms);
        looked_ms = now;
        remote_slot_check_hang(slot);
        keep_lease(slot->worker, slot);
        clock_sleep_ms(STEP_MS);
    }
    return NULL;
}

/* -- Life cycle -- */

static int open_links(struct remote_worker *worker, struct err *err)
{
    const struct remote_worker_options *options = &worker->options;
    struct rest_options rest = {.server = options->server,
                                .token = options->token,
                                .token_path = options->token_path,
                                .ca_file = options->ca_file,
                                .agent = "bifurcated/" BIFURCATED_VERSION};
    int code = 0;
    for (int i = 0; i < options->count && !code; i++) {
        struct remote_slot *slot = &worker->slots[i];
        *slot = (struct remote_slot){.worker = worker};
        (void)snprintf(slot->name, sizeof slot->name, "%.*s/%02d", WIRE_NAME_BYTES_MAX, options->name, i);
        rest.is_cancelled = is_over;
        rest.context = slot;
        code = rest_open(&rest, &slot->rest, err);
        rest.is_cancelled = is_keeper_stopping;
        rest.context = worker;
        if (!code)
            code = rest_open(&rest, &slot->keeper_rest, err);
    }
    return code;
}

/* Makes the key by which the daemon tells this process from all that may bear its name. */
static int make_key(struct remote_worker *worker, struct err *err)
{
    char known[WIRE_WORKER_NAME_SIZE];
    const struct remote_worker_options *options = &worker->options;
    int code = wire_key_make(worker->key, err);
    if (!code)
        code = wire_worker_name(options->name, strlen(options->name), worker->key, known, err);
    if (!code)
        log_info("worker", log_text("version", BIFURCATED_VERSION), log_text("name", known),
                 log_text("daemon", options->server), log_end);
    return code;
}

int remote_worker_start(const struct remote_worker_options *options, struct remote_worker **ret_worker,
                        struct err *err)
{
    struct remote_worker *worker = calloc(1, sizeof *worker);
    if (!worker)
        return err_set(err, ERR_NO_MEMORY, "worker: out of memory");
    worker->options = *options;
    atomic_store(&worker->last_work_ms, clock_monotonic_ms());
    (void)pthread_mutex_init(&worker->lock, NULL);
    (void)pthread_mutex_init(&worker->claim_lock, NULL);
    log_repeats_init(&worker->told);
    int code = make_key(worker, err);
    if (!code)
        code = open_links(worker, err);
    if (!code) {
        int result = 0;
        for (int i = 0; i < options->count && !result; i++) {
            struct remote_slot *slot = &worker->slots[i];
            result = pthread_create(&slot->keeper, NULL, keep_leases, slot);
            slot->is_kept = result == 0;
            if (result)
                break;
            atomic_fetch_add(&worker->running, 1);
            atomic_store(&slot->is_running, true);
            result = pthread_create(&slot->thread, NULL, work, slot);
            slot->is_started = result == 0;
            if (result)
                atomic_fetch_sub(&worker->running, 1);
        }
        if (result)
            code = err_set_errno(err, result, "worker: cannot start a thread");
    }
    if (code) {
        (void)remote_worker_stop(worker, 0);
        return code;
    }
    *ret_worker = worker;
    return 0;
}

static void wait_for_slots(struct remote_worker *worker, int64_t timeout_ms)
{
    int64_t deadline = clock_monotonic_ms() + timeout_ms;
    while (atomic_load(&worker->running) && clock_monotonic_ms() < deadline)
        clock_sleep_ms(STEP_MS / 5);
}

static int has_hung(struct remote_worker *worker)
{
    int count = 0;
    (void)pthread_mutex_lock(&worker->lock);
    for (int i = 0; i < worker->options.count; i++)
        count += worker->slots[i].is_hung;
    (void)pthread_mutex_unlock(&worker->lock);
    return count > 0;
}

int remote_worker_stop(struct remote_worker *worker, int64_t drain_ms)
{
    if (!worker)
        return 0;
    atomic_store(&worker->is_stopping, true);
    wait_for_slots(worker, drain_ms);
    atomic_store(&worker->is_urgent, true);
    const int64_t deadline = clock_monotonic_ms() + LEAVE_MS;
    if (atomic_load(&worker->running))
        hub_cancel(worker->options.engine->hub);
    while (atomic_load(&worker->running)) {
        for (int i = 0; i < worker->options.count; i++)
            atomic_store(&worker->slots[i].cancel, true);
        tensor_pool_wake(worker->options.engine->pool);
        wait_for_slots(worker, 1000);
        if (has_hung(worker) && clock_monotonic_ms() >= deadline)
            break;
    }
    if (has_hung(worker))
        return 1;
    for (int i = 0; i < worker->options.count; i++) {
        if (worker->slots[i].is_started)
            (void)pthread_join(worker->slots[i].thread, NULL);
        rest_close(worker->slots[i].rest);
    }
    atomic_store(&worker->is_keeper_stopping, true);
    for (int i = 0; i < worker->options.count; i++) {
        if (worker->slots[i].is_kept)
            (void)pthread_join(worker->slots[i].keeper, NULL);
        rest_close(worker->slots[i].keeper_rest);
    }
    (void)pthread_mutex_destroy(&worker->lock);
    (void)pthread_mutex_destroy(&worker->claim_lock);
    log_repeats_free(&worker->told);
    free(worker);
    return 0;
}
