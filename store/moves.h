/*
 * For this folder only: carrying out a move of the state machines (store/machine.h) inside of the writer's
 * transaction: the row, the sweep's counts, the history, and the end of the sweep.
 */
#ifndef BIFURCATED_STORE_MOVES_H
#define BIFURCATED_STORE_MOVES_H

#include "store/connection.h"
#include "store/machine.h"
#include "store/tasks.h"

/* Reads a task. ERR_NOT_FOUND. */
int moves_load_task(struct connection *connection, int64_t id, struct task_row *ret_row, struct err *err);

/*
 * Moves a loaded task by `event` and writes the whole row: its caller has changed the members that go with
 * the event (worker, lease, counters, error, bytes). Keeps the sweep's counts and bytes right, notes the
 * event with `detail` in the history, and if the task was the sweep's last, ends the sweep. ERR_CONFLICT if
 * the machine refuses.
 */
int moves_task(struct connection *connection, struct task_row *task, enum task_event event,
               const char *detail, struct err *err);

/* Cancels what is left of a sweep's tasks. */
int moves_cancel_tasks(struct connection *connection, int64_t sweep_id, struct err *err);

/* Only those that nobody works at; `why` is told in their history. */
int moves_cancel_queued(struct connection *connection, int64_t sweep_id, const char *why, struct err *err);

/* In the history, of a task whose attempt failed: what it could measure is recorded. */
#define MOVES_PART "part"

int moves_sweep_state(struct connection *connection, int64_t id, enum sweep_state *ret_state,
                      struct err *err);

/* ERR_CONFLICT unless the sweep is in this state. */
int moves_sweep_state_is(struct connection *connection, int64_t id, enum sweep_state state, struct err *err);

/* Moves a sweep; `reason` (or NULL) becomes its error. ERR_CONFLICT if the machine refuses, ERR_NOT_FOUND. */
int moves_sweep(struct connection *connection, int64_t id, enum sweep_event event, const struct err *reason,
                struct err *err);

/* Ends a running sweep that has no unfinished task. */
int moves_finish_sweep(struct connection *connection, int64_t id, struct err *err);

/* Adds a line to the history of a task. */
int moves_note(struct connection *connection, int64_t task_id, const char *event, const char *worker,
               const char *detail, struct err *err);

#endif
