/*
 * One round of the Slurm executor: look at the jobs, look at the queue, submit and cancel.
 *
 * All that must survive the daemon is in the store (store/jobs.h): a row is written before its array is
 * submitted, and the array's name is made of the store's instance and the row's id. A daemon that is started
 * again finds by that name what became of a submission that it did not see the end of, so nothing is
 * submitted twice.
 *
 * When something goes wrong: a controller that is down or busy is waited for, however long. A request that
 * sbatch refuses, and EXECUTOR_FAILURES_MAX arrays in a row that end without any revision finished, fail
 * the sweep with Slurm's own words, unless somebody else works at it (workers of this daemon, or of other
 * machines).
 */
#ifndef BIFURCATED_EXECUTOR_EXECUTOR_ROUND_H
#define BIFURCATED_EXECUTOR_EXECUTOR_ROUND_H

#include "daemon/base/err.h"
#include "daemon/slurm/slurm.h"
#include "store/store.h"

#include <stdint.h>

#define EXECUTOR_FAILURES_MAX 5
#define EXECUTOR_BACKOFF_MAX_MS 300000
#define EXECUTOR_PATIENCE_MS 600000   /* a hub that is down for less costs no place in the queue */
#define EXECUTOR_SETTLE_MS 60000      /* after the start: how long workers may take to be heard from again */
#define EXECUTOR_WORKER_WORD "slurm-" /* in the names of workers that run as jobs */

struct executor_round {
    struct store *store;
    struct slurm_options slurm;
    int64_t backoff_ms;    /* pause after the first failure; doubles */
    int has_local_workers; /* this daemon measures, too: no sweep is given up */

    int is_hub_down; /* now: sweeps that need the hub get no further workers, and no array is blamed */

    /* Between rounds; zero at the start. */
    int64_t first_ms;              /* monotonic: of the first round; 0: there was none */
    int64_t hub_down_ms;           /* monotonic: since when it is down; 0: it is not */
    int failures;                  /* in a row, that count towards giving up */
    int delays;                    /* in a row, that lengthen the pause */
    int is_blind;                  /* squeue failed last time */
    int64_t not_before_ms;         /* monotonic: no submission earlier */
    int64_t failures_total;        /* for /metrics */
    char error[ERR_MESSAGE_BYTES]; /* the last failure, "" once something worked again */
};

/*
 * Does a round; `watches` nonzero asks Slurm how the jobs are, else the store's last knowledge of them counts
 * (a sweep was made or cancelled meanwhile). 0, also if Slurm failed (round->error says how); an error of the
 * store, or ERR_CANCELLED.
 */
int executor_round_run(struct executor_round *round, int watches, struct err *err);

#endif
