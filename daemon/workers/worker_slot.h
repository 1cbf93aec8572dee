/*
 * For the workers only (daemon/workers/workers.h): one of them, and what it does with a task: measure it,
 * record it, or say what became of it.
 */
#ifndef BIFURCATED_WORKERS_WORKER_SLOT_H
#define BIFURCATED_WORKERS_WORKER_SLOT_H

#include "daemon/measure/log_repeats.h"
#include "daemon/workers/workers.h"
#include "store/tasks.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define WORKERS_EXCEPT_MAX 256 /* beyond, nothing is claimed until the hub is back */

struct worker_slot {
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
    pthread_mutex_t claim_lock; /* held while one is claimed, taken before `lock`; after is_stopping was set
                                   within it, none is */
    struct worker_slot slots[WORKERS_MAX];
    int running; /* threads that have not ended and do not hang, under lock */
    pthread_t keeper;
    struct pause *pause; /* between what the keeper does */
    int is_keeper_started;
    int64_t except[WORKERS_EXCEPT_MAX]; /* sweeps whose tasks wait for what of the hub is down; under lock */
    size_t except_count;
    uint64_t outage_mark; /* as of the last claim; under lock */
    uint64_t token_mark;  /* likewise */
    struct log_repeats told;
    _Atomic int64_t complaint_due_ms; /* when the next failed claim is told, monotonic */
    struct pulse pulse;               /* the keeper's */
    atomic_bool is_stopping;
    atomic_bool is_keeper_stopping;
};

/* Does a claimed task. Logs once. */
void worker_slot_work(struct worker_slot *slot, const struct task_row *task);

/* Whether its thread came back after all, when its task had been given up: the process is about to end. */
int worker_slot_is_given_up(struct worker_slot *slot);

/* For the thread that keeps the leases: looks whether the slot's task hangs, and gives it up then. */
void worker_slot_check_hang(struct worker_slot *slot);

#endif
