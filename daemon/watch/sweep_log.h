/*
 * Tells the log how sweeps end: one line for each, whoever ended it, a worker here or on another machine, a
 * request or the executor. It is the line that an administrator looks for in the morning.
 *
 *     info    sweep ended sweep=7 model=EleutherAI/pythia-14m state=done measured=154 failed=0 ...
 *     warning sweep ended sweep=8 ... state=failed measured=152 failed=2 ... reason="2 of 154 revisions ..."
 *
 * A sweep that could not be planned is not told again: the planner has.
 */
#ifndef BIFURCATED_WATCH_SWEEP_LOG_H
#define BIFURCATED_WATCH_SWEEP_LOG_H

#include "daemon/base/err.h"
#include "store/store.h"

struct sweep_log;

/* Starts the thread; what ends, or ended and was not told yet, is told. Of a daemon that was killed between
 * an end and its line the next start tells it; between the line and the note of it, once more. */
int sweep_log_start(struct store *store, struct sweep_log **ret_log, struct err *err);

/* Tells what ended until now, and ends; frees. NULL is allowed. */
void sweep_log_stop(struct sweep_log *log);

#endif
