/*
 * The states of sweeps and tasks and every move between them: one table each, in store/machine.c. Pure
 * functions; nothing else decides whether a move is allowed.
 *
 *   task:  (plan) -> queued -claim-> claimed -record-> done
 *                                    claimed -retry|expire|interrupt-> queued
 *                                    claimed -fail|exhaust-> failed
 *                    queued, claimed -cancel-> cancelled
 *
 *   sweep: (create) -> planning -start-> running -finish-> done
 *                      planning, running -fail-> failed;  -cancel-> cancelled
 */
#ifndef BIFURCATED_STORE_MACHINE_H
#define BIFURCATED_STORE_MACHINE_H

enum task_state {
    TASK_STATE_QUEUED,
    TASK_STATE_CLAIMED,
    TASK_STATE_DONE,
    TASK_STATE_FAILED,
    TASK_STATE_CANCELLED,
    TASK_STATE_COUNT
};

enum task_event {
    TASK_EVENT_CLAIM,     /* a worker takes it */
    TASK_EVENT_HEARTBEAT, /* the worker is alive: the lease is longer */
    TASK_EVENT_RECORD,    /* its result is in the store */
    TASK_EVENT_RETRY,     /* failed for now, tried again after a pause */
    TASK_EVENT_FAIL,      /* failed for good */
    TASK_EVENT_EXPIRE,    /* the lease ended without a word: others may take it */
    TASK_EVENT_EXHAUST,   /* failed, expired or was interrupted once too often */
    TASK_EVENT_INTERRUPT, /* the worker stopped or restarted: not the task's fault */
    TASK_EVENT_CANCEL,
    TASK_EVENT_COUNT
};

enum sweep_state {
    SWEEP_STATE_PLANNING,
    SWEEP_STATE_RUNNING,
    SWEEP_STATE_DONE,
    SWEEP_STATE_FAILED,
    SWEEP_STATE_CANCELLED,
    SWEEP_STATE_COUNT
};

enum sweep_event {
    SWEEP_EVENT_START,  /* the plan is complete */
    SWEEP_EVENT_FINISH, /* the last task ended, all are done */
    SWEEP_EVENT_FAIL,   /* the plan failed, or the last task ended and some failed */
    SWEEP_EVENT_CANCEL,
    SWEEP_EVENT_COUNT
};

/* Returns 1 and sets *ret_to if `event` is allowed in `from`, else 0. */
int task_machine_next(enum task_state from, enum task_event event, enum task_state *ret_to);
int sweep_machine_next(enum sweep_state from, enum sweep_event event, enum sweep_state *ret_to);

/* Whether no event leads out of the state. */
int task_state_is_final(enum task_state state);
int sweep_state_is_final(enum sweep_state state);

/* "queued", "claim", "running", "start", ...: as in the database and the API. */
const char *task_state_name(enum task_state state);
const char *task_event_name(enum task_event event);
const char *sweep_state_name(enum sweep_state state);
const char *sweep_event_name(enum sweep_event event);

/* Returns 1 and sets *ret_state if `name` is a state, else 0. */
int task_state_parse(const char *name, enum task_state *ret_state);
int sweep_state_parse(const char *name, enum sweep_state *ret_state);

#endif
