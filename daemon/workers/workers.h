/*
 * The local workers: threads that claim tasks, measure them and record them, and one thread that keeps their
 * leases alive.
 *
 * There are more workers than devices: while one computes, the others fetch. The device is taken by one of
 * them at a time.
 */
#ifndef BIFURCATED_WORKERS_WORKERS_H
#define BIFURCATED_WORKERS_WORKERS_H

#include "daemon/base/err.h"
#include "daemon/base/pulse.h"
#include "daemon/base/reserve.h"
#include "daemon/measure/measure.h"

#include <stdatomic.h>
#include <stddef.h>

struct workers;

struct workers_options {
    struct measure_shared shared;
    int count;                  /* tasks at once, 0 to WORKERS_MAX */
    struct tasks_policy policy; /* of failures */
    struct reserve *reserve;    /* given up to record failures with a full disk; or NULL */
    /* After which a task at which nothing moves has failed (daemon/measure/hang.h); 0: never. */
    int64_t hang_ms;
    /* Called when the device is lost (ERR_DEVICE_LOST) or a task hangs; the process should end soon, and with
     * `hangs` nothing that tasks use may be freed. */
    void (*lost)(void *context, const struct err *reason, int hangs);
    /* The hub refuses what a sweep needs to this process's token: asks whether another worker may read it.
     * NULL: there is none. */
    int (*leave)(void *left, int64_t sweep_id);
    /* This process has another token: sweeps that were left to others are no longer. Not NULL where `leave`
     * is not. */
    void (*forget_left)(void *left);
    /* The sweeps that are left to others now, into ids[WORKERS_LEFT_MAX]; returns how many. NULL: none. */
    size_t (*list_left)(void *left, int64_t *ids);
    void *left;    /* of these three, */
    void *context; /* and of lost */
};

#define WORKERS_MAX 64
#define WORKERS_LEFT_MAX 64 /* with so many, nothing is claimed */
#define WORKERS_NAME_PREFIX "local/"

/* Gives back what an earlier life of this daemon had claimed, and starts the threads. */
int workers_start(const struct workers_options *options, struct workers **ret_workers, struct err *err);

/* Tells the workers to end after their present tasks, or at once with `is_urgent` (their tasks are given
 * back). Does not wait. */
void workers_stop(struct workers *workers, int is_urgent);

/* Waits at most timeout_ms for all workers to end, but for those that hang; returns whether they have. */
int workers_wait(struct workers *workers, int64_t timeout_ms);

/* Stops urgently, waits, frees. Not if one hangs. NULL is allowed. */
void workers_free(struct workers *workers);

/* Beats as long as leases are kept; borrowed. */
const struct pulse *workers_pulse(const struct workers *workers);

/* How many tasks are being worked on. */
int workers_busy_count(struct workers *workers);

#endif
