/*
 * Sweeps: someone asks for some metrics of some revisions of a model.
 *
 * A sweep is born in state `planning` with the request as JSON; whoever plans (the daemon) adds its tasks and
 * starts it. It ends by itself, in the transaction that ends its last task: `done` if all tasks are done,
 * `failed` if any failed (the others count nevertheless).
 */
#ifndef BIFURCATED_STORE_SWEEPS_H
#define BIFURCATED_STORE_SWEEPS_H

#include "daemon/base/buf.h"
#include "daemon/base/limits.h"
#include "store/machine.h"
#include "store/store.h"
#include "store/tokens.h"

#define SWEEPS_KEY_SIZE 256
#define SWEEPS_METRICS_SIZE 64
#define SWEEPS_PRIORITY_MIN (-100)
#define SWEEPS_PRIORITY_MAX 100

struct sweep_request {
    int64_t model_id;
    const char *request;         /* JSON text, at most LIMIT_API_BODY_BYTES; of it `metrics` and
                                    `revisions.rule` are read here */
    const char *idempotency_key; /* or NULL; shorter than SWEEPS_KEY_SIZE */
    int priority;                /* SWEEPS_PRIORITY_MIN to _MAX, higher first; 0 is usual */
    const char *requested_by;    /* name of the token that came with it; NULL: none did */
};

struct sweep_row {
    int64_t id;
    int64_t model_id;
    char model[LIMIT_MODEL_NAME_BYTES + 1];
    enum sweep_state state;
    int priority;
    char idempotency_key[SWEEPS_KEY_SIZE]; /* "" if none */
    int64_t created_ms;
    int64_t started_ms;                     /* 0 until the plan is complete */
    int64_t finished_ms;                    /* 0 until it ends */
    char error_code[STORE_ERROR_NAME_SIZE]; /* "" unless failed, or waiting for its plan with a reason */
    char error_message[STORE_ERROR_MESSAGE_SIZE];
    int64_t tasks[TASK_STATE_COUNT];    /* how many are in each state */
    int64_t bytes_expected;             /* of all tasks */
    int64_t bytes_fetched;              /* so far; running tasks as of their last heartbeat */
    uint64_t version;                   /* grows with every change of the sweep or its tasks */
    int64_t watch_id;                   /* of the watch whose run started it; 0: someone asked for it */
    char requested_by[TOKEN_NAME_SIZE]; /* the name of whose token; "" without one */
    char metrics[SWEEPS_METRICS_SIZE];  /* JSON list, never empty: statistics where the request names none */
    int64_t end_number;                 /* its place in the order of ends, from 1; 0 until it ends */
};

/*
 * Makes a sweep in state planning. With a key that was used before, nothing is made: *ret_id is the older
 * sweep's and *ret_is_new 0, provided model, request and priority are the same, else ERR_CONFLICT. ret_is_new
 * may be NULL. ERR_NOT_FOUND: the model was removed since its number was read.
 */
int sweeps_create(struct store *store, const struct sweep_request *request, int64_t *ret_id, int *ret_is_new,
                  struct err *err);

/* ERR_NOT_FOUND. */
int sweeps_get(struct store *store, int64_t id, struct sweep_row *ret_row, struct err *err);

/* Appends the request's JSON to buf. ERR_NOT_FOUND. */
int sweeps_get_request(struct store *store, int64_t id, struct buf *buf, struct err *err);

struct sweeps_query {
    int64_t model_id;              /* 0: of all models */
    const enum sweep_state *state; /* NULL: in any */
    int64_t before;                /* an id; 0: from the newest */
    int limit;
};

/* Newest first. */
int sweeps_list(struct store *store, const struct sweeps_query *wanted,
                int (*row)(void *context, const struct sweep_row *row), void *context, struct err *err);

/* In the order in which they ended, what ended after the sweep with this end number, at most `limit`. */
int sweeps_list_ended(struct store *store, int64_t after, int limit,
                      int (*row)(void *context, const struct sweep_row *row), void *context, struct err *err);

/* The end number of the last sweep whose end was logged, or 0. Noting it wakes nobody and changes no ETag. */
int sweeps_read_logged(struct store *store, int64_t *ret_number, struct err *err);
int sweeps_note_logged(struct store *store, int64_t number, struct err *err);

/* The oldest sweep that waits for its plan, highest priority first, but for those with one of the ids; with
 * `only_folders` of those whose model is a folder. ERR_NOT_FOUND if none does. */
int sweeps_next_planning(struct store *store, int only_folders, const int64_t *except, size_t except_count,
                         struct sweep_row *ret_row, struct err *err);

/* Notes as its error why a sweep still waits for its plan; that goes when it starts. Nothing happens to one
 * that is not planning any more. */
int sweeps_note_wait(struct store *store, int64_t id, const struct err *reason, struct err *err);

/* The plan is complete: planning -> running; with no unfinished task at once -> done. ERR_CONFLICT if it is
 * not planning any more (cancelled meanwhile). */
int sweeps_start(struct store *store, int64_t id, struct err *err);

/* The plan failed: planning -> failed with the error's name and message. ERR_CONFLICT. */
int sweeps_fail(struct store *store, int64_t id, const struct err *reason, struct err *err);

/* Nobody can work at a running sweep any more: fails it with this reason and cancels its queued tasks.
 * ERR_CONFLICT if it is not running, or a worker holds one of its tasks. */
int sweeps_give_up(struct store *store, int64_t id, const struct err *reason, struct err *err);

/* Cancels the sweep and its unfinished tasks; workers learn it from their next heartbeat. A sweep that is
 * cancelled already stays so (no error); a finished one is ERR_CONFLICT. ERR_NOT_FOUND. */
int sweeps_cancel(struct store *store, int64_t id, struct err *err);

/* Deletes sweeps that ended before `before_ms`, with their tasks and history, oldest first, at most `limit`
 * (1 to 1,000) per call, from the one after *after (0: the first) on, which moves on, and no
 * more than SWEEPS_PRUNE_TASKS tasks at a time, since all writers wait meanwhile: of a larger sweep each call
 * deletes so many. A sweep stays while one of its tasks is the newest of its revision, since series show that
 * one's state, and while one of its job arrays has not ended, since nobody else knows of it. *ret_count
 * becomes how many were deleted, *ret_is_over whether nothing was found. */
int sweeps_prune(struct store *store, int64_t before_ms, int64_t *after, int limit, int64_t *ret_count,
                 int *ret_is_over, struct err *err);

#define SWEEPS_PRUNE_TASKS 1000

/* How many sweeps are in each state; counts[SWEEP_STATE_COUNT]. */
int sweeps_count(struct store *store, int64_t *counts, struct err *err);

#endif
