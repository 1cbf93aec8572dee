/*
 * What has become of the executor's job arrays: asks Slurm, and keeps the answer in the store.
 */
#ifndef BIFURCATED_EXECUTOR_EXECUTOR_WATCH_H
#define BIFURCATED_EXECUTOR_EXECUTOR_WATCH_H

#include "daemon/base/err.h"
#include "daemon/executor/executor_round.h"
#include "daemon/slurm/slurm.h"
#include "store/jobs.h"

#include <stddef.h>
#include <stdint.h>

/* The name by which Slurm knows the array, SLURM_NAME_SIZE bytes: no two daemons or submissions share one. */
void executor_job_name(const struct executor_round *round, const struct job_row *job, char *name);

/* Whether that time is less than so long ago. A time far ahead is of a clock that was set back since: not
 * recent. */
int executor_is_recent(int64_t at_ms, int64_t span_ms);

/* Brings `count` live jobs up to date, in memory and in the store; `arrays` is room for as many. Where Slurm
 * does not answer, they stay as they are. An error of the store, or ERR_CANCELLED. */
int executor_watch(struct executor_round *round, struct job_row *jobs, struct slurm_array *arrays,
                   size_t count, struct err *err);

/* Marks the row as ended now; the caller stores it. */
void executor_job_end(struct job_row *job, enum job_state state);

#endif
