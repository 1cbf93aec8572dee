/*
 * What went wrong between the Slurm executor and Slurm: how long to wait after it, and when a sweep has no
 * future.
 */
#ifndef BIFURCATED_EXECUTOR_EXECUTOR_FAILURES_H
#define BIFURCATED_EXECUTOR_EXECUTOR_FAILURES_H

#include "daemon/base/err.h"
#include "daemon/executor/executor_round.h"

#include <stdint.h>

/* Remembers the failure, lengthens the pause before the next submission, and logs the failure unless it is
 * the same as before. */
void executor_note_failure(struct executor_round *round, const struct err *reason);

/* Slurm works (again). */
void executor_note_success(struct executor_round *round);

/* Fails the sweep with Slurm's words, unless it has ended or somebody works on it. Returns an error of the
 * store. */
int executor_give_up(struct executor_round *round, int64_t sweep_id, const struct err *reason,
                     struct err *err);

#endif
