/*
 * For the files of a remote worker only (remote_worker.c, remote_slot.c, remote_claim.c): the state of a
 * worker and its slots.
 */
#ifndef BIFURCATED_REMOTE_REMOTE_SLOT_H
#define BIFURCATED_REMOTE_REMOTE_SLOT_H

#include "daemon/base/pulse.h"
#include "daemon/measure/log_repeats.h"
#include "daemon/remote/left_list.h"
#include "daemon/remote/remote_worker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* What a slot asks the daemon for at the moment, and so what may end it. */
enum remote_phase {
    REMOTE_PHASE_CLAIM,  /* the worker stops */
    REMOTE_PHASE_RESULT, /* what runs is to be given back, or the lease is lost */
    REMOTE_PHASE_WORD    /* nothing: it is short */
};

struct remote_slot {
    struct remote_worker *worker;
    pthread_t thread, keeper;
    int is_started, is_kept;
    char name[STORE_WORKER_SIZE]; /* "worker/07" */
    struct rest *rest, *keeper_rest;
    atomic_int phase;   /* enum remote_phase */
    atomic_bool cancel; /* of the task at hand */
    _Atomic int64_t fetched_bytes;
    _Atomic int64_t beats; /* how often the daemon has said that a claim of this slot holds */
    int has_left;          /* the last task, to others */
    struct pulse pulse;
    atomic_bool is_running; /* its thread: has not ended, and does not hang */
    /* under worker->lock */
    int is_busy, is_doubted, is_hung;
    char claim[WIRE_ID_SIZE];
    int64_t sweep_id, task_id, attempt; /* of that claim, for the log; */
    char revision[LIMIT_REVISION_NAME_BYTES + 1], model[LIMIT_MODEL_NAME_BYTES + 1];
    int64_t lease_ms, renewed_ms;
};

struct remote_worker {
    struct remote_worker_options options;
    char key[WIRE_KEY_SIZE];
    pthread_mutex_t lock;
    pthread_mutex_t claim_lock; /* held by the slot that waits for work; taken before `lock` */
    struct remote_slot slots[REMOTE_SLOTS_MAX];
    atomic_bool is_stopping;        /* claim no more */
    atomic_bool is_urgent;          /* give back what runs */
    atomic_bool is_keeper_stopping; /* nothing runs any more */
    atomic_bool is_ended;           /* `ended` was called */
    atomic_int running;             /* threads of slots */
    atomic_bool waits_for_hub;      /* sweeps were left because what they need of the hub was down */
    _Atomic int64_t last_work_ms;   /* when a task last ended */
    atomic_bool was_refused;        /* a repository is kept from our token */
    struct log_repeats told;
    /* under lock */
    struct left_list left;
    uint64_t outage_mark; /* of the hub, as of the last claim */
    int64_t newest_sweep; /* that it had a task of */
    /* under claim_lock */
    int is_unreachable, is_again;
    uint64_t token_mark; /* of the token that the daemon knows of; 0: it has heard of none yet */
};

/* Measures a claimed task and hands it in, or says what became of it. Logs once. Returns whether the attempt
 * failed in a way that may be this machine's: not where the task has failed for good, since it would have
 * gone to another worker first. */
int remote_slot_work(struct remote_slot *slot, const struct wire_task *task);

/* Whether its thread came back after all, when its task had been given up: the process is about to end. */
int remote_slot_is_given_up(struct remote_slot *slot);

/* For the thread that keeps the slot's lease: looks whether its task hangs, and ends the claim then. */
void remote_slot_check_hang(struct remote_slot *slot);

/* The worker ends by itself. */
void remote_worker_end(struct remote_worker *worker, enum remote_end end);

/* Whether nothing more is to be claimed. */
int remote_worker_is_ending(const struct remote_worker *worker);

/* Slots that have a task. */
int remote_worker_count_busy(struct remote_worker *worker);

/* Remembers that this worker cannot work on a sweep now. */
void remote_worker_leave(struct remote_worker *worker, int64_t sweep_id);

/* Sleeps, but not longer than until *stop is set. */
void remote_worker_pause(const atomic_bool *stop, int64_t duration_ms);

/* The pause before the n-th attempt (1 on) of a call: doubles up to half a minute, with jitter. */
int64_t remote_worker_backoff_ms(int attempt);

#endif
