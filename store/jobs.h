/*
 * Jobs: arrays of workers that were submitted to a batch system, each for a sweep.
 *
 * A row is written before the submission, so that a crash in between leaves a trace, and kept up to date by
 * whoever watches the batch system. Each change is a change of the sweep, too.
 */
#ifndef BIFURCATED_STORE_JOBS_H
#define BIFURCATED_STORE_JOBS_H

#include "store/machine.h"
#include "store/store.h"

#define JOBS_REASON_SIZE ERR_MESSAGE_BYTES

enum job_state {
    JOB_STATE_SUBMITTING, /* not submitted yet, or not known whether */
    JOB_STATE_PENDING,    /* no element runs, some will */
    JOB_STATE_RUNNING,
    JOB_STATE_ENDED,
    JOB_STATE_REFUSED, /* never submitted */
    JOB_STATE_COUNT,
};

struct job_row {
    int64_t id;
    int64_t sweep_id;
    enum sweep_state sweep_state; /* read only */
    int is_sweep_removed;         /* read only: with its model; the row stays until the job has ended */
    int64_t job_id;               /* 0: not known */
    enum job_state state;
    int64_t size; /* elements */
    int64_t pending, running, completed, failed, cancelled;
    char reason[JOBS_REASON_SIZE];
    int64_t attempts;     /* of submitting */
    int64_t submitted_ms; /* of the last attempt */
    int64_t ended_ms;     /* 0: not yet */
    int64_t cancelled_ms; /* 0: nobody asked to cancel it */
    int64_t tasks_ended;  /* done or failed in the whole store when it was submitted */
};

const char *job_state_name(enum job_state state);
/* Returns 0 and leaves *ret_state for an unknown name. */
int job_state_parse(const char *name, enum job_state *ret_state);
/* Whether the job may still hold, or come to hold, a node. */
int job_state_is_live(enum job_state state);

/* A row in state submitting; *ret_row becomes what was written. ERR_NOT_FOUND: there is no such sweep. */
int jobs_create(struct store *store, int64_t sweep_id, int64_t size, struct job_row *ret_row,
                struct err *err);

/* Writes the row's members from job_id on if any differs; tasks_ended is counted anew where a refused row is
 * submitted again, and is left alone else. ERR_NOT_FOUND. */
int jobs_update(struct store *store, const struct job_row *row, struct err *err);

/* Live jobs of all sweeps, oldest first. */
int jobs_list_live(struct store *store, int (*row)(void *context, const struct job_row *row), void *context,
                   struct err *err);

/* Jobs of a sweep, newest first, at most `limit`. */
int jobs_list(struct store *store, int64_t sweep_id, int limit,
              int (*row)(void *context, const struct job_row *row), void *context, struct err *err);

/* Jobs of all sweeps, newest first: those in `state` (NULL: any) with an id below `before` (0: from the
 * newest on), at most `limit`. */
int jobs_list_all(struct store *store, const enum job_state *state, int64_t before, int limit,
                  int (*row)(void *context, const struct job_row *row), void *context, struct err *err);

/* Which tasks need a worker of ours. */
struct jobs_question {
    const char *ours;     /* what the names of our workers hold; borrowed */
    int64_t pause_ms_max; /* a longer pause was given before the clock was set back: claims ignore it, too */
    int64_t over_ms;      /* wall clock: a lease that ended before has lost its worker */
    int64_t tasks_max;    /* of one sweep: counted no further */
    int limit;            /* sweeps */
};

/* Running sweeps in the order in which the queue serves them, each with how many of its tasks need a worker
 * of ours: those that could run now, those that run on workers of ours, and those of others whose lease
 * ended before `over_ms`, since the next claim gets them. While what is begun decides whether there is hope
 * (store/hopeless.h), nothing else could run. */
int jobs_demand(struct store *store, const struct jobs_question *question,
                int (*row)(void *context, int64_t sweep_id, int64_t tasks), void *context, struct err *err);

struct jobs_counts {
    int64_t submitted; /* rows that got a job_id */
    int64_t pending;   /* elements of the live ones */
    int64_t running;
};

int jobs_count(struct store *store, struct jobs_counts *ret_counts, struct err *err);

/* How many tasks have ended, done or failed, in the whole store. */
int jobs_count_ended_tasks(struct store *store, int64_t *ret_count, struct err *err);

#endif
