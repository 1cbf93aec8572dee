/*
 * Tells the log how sweeps end: one line for each, whoever ended it, a worker here or on another machine, a
 * request or the executor. It is the line that an administrator looks for in the morning.
 *
 *     info    sweep ended sweep=7 model=EleutherAI/pythia-14m state=done measured=154 failed=0 ...
 *     warning sweep ended sweep=8 ... state=failed measured=152 failed=2 ... reason="2 of 154 revisions ..."
 *
 * A sweep that could not be planned is not logged again: the planner has done that.
 */
#ifndef BIFURCATED_WATCH_SWEEP_LOG_H
#define BIFURCATED_WATCH_SWEEP_LOG_H

#include "daemon/base/err.h"
#include "store/store.h"

struct sweep_log;

/* Starts the thread; it logs every end from now on, and those that were not logged yet. If a daemon was
 * killed between an end and its line, the next start writes it; if between the line and the note of it, the
 * line is written twice. */
int sweep_log_start(struct store *store, struct sweep_log **ret_log, struct err *err);

/* Tells what ended until now, and ends; frees. NULL is allowed. */
void sweep_log_stop(struct sweep_log *log);

#endif
