/*
 * What Slurm's programs print, parsed: pure functions over text that another program wrote.
 *
 * Only formats that this program asks for are read (--parsable, --format), so that versions of Slurm and
 * settings of a site do not matter. A state that a newer Slurm invents counts as waiting: better too few jobs
 * than a flood of them.
 */
#ifndef BIFURCATED_SLURM_OUTPUT_H
#define BIFURCATED_SLURM_OUTPUT_H

#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

#define SLURM_NAME_SIZE 64
#define SLURM_REASON_SIZE 160
#define SLURM_ELEMENTS_MAX 100000 /* lines of one answer */
#define SLURM_QUEUE_FORMAT "%F|%T|%j|%r"
#define SLURM_ACCOUNT_FORMAT "State,ExitCode"

/* What becomes of an element of a job array. */
enum slurm_fate {
    SLURM_FATE_PENDING,   /* waits, or was put back into the queue */
    SLURM_FATE_HELD,      /* waits for a person: Slurm could not start it and will not try again */
    SLURM_FATE_RUNNING,   /* holds a node */
    SLURM_FATE_COMPLETED, /* ended with status 0 */
    SLURM_FATE_CANCELLED, /* taken away: cancelled, preempted for good */
    SLURM_FATE_FAILED,    /* ended with an error, the time limit, or its node */
    SLURM_FATE_COUNT,
};

/* A job array, folded from its elements. */
struct slurm_array {
    char name[SLURM_NAME_SIZE]; /* the job's name: set by the caller, who looks for it */
    int64_t job_id;             /* 0: not in the answer */
    int64_t elements[SLURM_FATE_COUNT];
    char reason[SLURM_REASON_SIZE]; /* why the first that waits waits, else how the first that failed ended */
};

/* The fate that a state's name stands for ("RUNNING", "CANCELLED by 1000"); the reason tells held ones. */
enum slurm_fate slurm_fate_of(const char *state, const char *reason);

/* Elements that hold or will hold a node. */
int64_t slurm_array_live(const struct slurm_array *array);

/* The answer of sbatch --parsable: "123" or "123;cluster". ERR_FORMAT. */
int slurm_parse_submission(const char *text, size_t size, int64_t *ret_job_id, struct err *err);

/* The answer of squeue --noheader --array --format=SLURM_QUEUE_FORMAT, one line an element: adds each to the
 * array of its name; other names are passed over. ERR_FORMAT names the line, ERR_LIMIT. */
int slurm_parse_queue(const char *text, size_t size, struct slurm_array *arrays, size_t count,
                      struct err *err);

/* The answer of sacct -n -P -X --format=SLURM_ACCOUNT_FORMAT for one job: fills the elements of `array` anew.
 * ERR_FORMAT, ERR_LIMIT. */
int slurm_parse_account(const char *text, size_t size, struct slurm_array *array, struct err *err);

/* What a failed call means for the next. */
enum slurm_failure {
    SLURM_FAILURE_UNKNOWN, /* may go away */
    SLURM_FAILURE_BUSY, /* will go away: the controller is down or busy, or a limit of the account is reached
                         */
    SLURM_FAILURE_UNHEARD, /* as busy, but the controller may have done it: only its answer was not heard */
    SLURM_FAILURE_REFUSED, /* will not: the request itself is wrong */
};

/* Makes one line of what a program wrote to standard error, without "sbatch: error: ", and says what it
 * means. Bytes that are no visible ASCII become blanks. */
enum slurm_failure slurm_read_failure(const char *text, size_t size, char *message, size_t message_size);

#endif
