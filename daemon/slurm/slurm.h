/*
 * Slurm's programs, called: sbatch, squeue, sacct, scancel. No state, no thread.
 *
 * Each call waits for the program's end, a minute at most, and ends early with ERR_CANCELLED once *cancel is
 * set. The programs are those in PATH or in a folder that the options name; they find their cluster as they
 * do for a person at this machine (SLURM_CONF, /etc/slurm). ERR_NOT_FOUND: they are not installed.
 */
#ifndef BIFURCATED_SLURM_SLURM_H
#define BIFURCATED_SLURM_SLURM_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "daemon/slurm/output.h"

#include <stdatomic.h>
#include <stdint.h>

#define SLURM_CALL_TIMEOUT_MS 60000
#define SLURM_ARRAYS_MAX 200 /* looked for in one call */

/* All texts are borrowed; "" where nothing is said. */
struct slurm_options {
    const char *folder; /* of the programs; "": PATH */
    const char *partition;
    const char *account;
    const char *gres;      /* "gpu:1" */
    const char *time;      /* "2:00:00" */
    const char *arguments; /* more for sbatch, separated by blanks */
    const char *output;    /* where jobs write, a pattern of sbatch; "": /dev/null */
    const char *program;   /* what a job runs, as seen by the nodes; gets the worker's arguments */
    const char *connect;   /* the daemon's address, as seen by the nodes */
    const char *token_file;
    const char *ca_file; /* certificates that workers trust, as seen by the nodes; "": the system's */
    int64_t workers_max; /* at once */
    int64_t idle_s;      /* a worker with nothing to do ends after so long */
    const atomic_bool *cancel;
};

/* Whether workers could be given this address: ERR_INVALID names the option. */
int slurm_check_connect(const char *address, struct err *err);

/* The batch script of an array: runs the worker under a name that tells its job. Values are quoted. */
int slurm_write_script(const struct slurm_options *options, struct buf *script, struct err *err);

/* Submits an array of `size` workers. On failure *ret_failure says what that means; after ERR_TIMEOUT and
 * ERR_CANCELLED the array may have been submitted all the same: look for its name. */
int slurm_submit(const struct slurm_options *options, const char *name, int64_t size, int64_t *ret_job_id,
                 enum slurm_failure *ret_failure, struct err *err);

/* Looks for `count` arrays, at most SLURM_ARRAYS_MAX, by their names, and fills in the rest of each. Slurm
 * forgets a job some minutes after its end (MinJobAge): job_id 0 then. */
int slurm_find(const struct slurm_options *options, struct slurm_array *arrays, size_t count,
               struct err *err);

/* Asks the accounting how the elements of an array ended. ERR_NOT_FOUND: there is no accounting, or it does
 * not know the job. */
int slurm_account(const struct slurm_options *options, int64_t job_id, struct slurm_array *array,
                  struct err *err);

/* Cancels an array, or only its elements that wait. Workers that run get SIGTERM and give their tasks back. A
 * job that has ended is no error. */
int slurm_cancel(const struct slurm_options *options, int64_t job_id, int only_pending, struct err *err);

#endif
