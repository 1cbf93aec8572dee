/*
 * Running another program: arguments without a shell, bounded output, a time limit.
 *
 * The child gets this process's environment, `input` on its standard input, default signals, and no open
 * files but the three standard ones. It is the leader of a process group of its own: what it started dies
 * with it at the time limit, and it dies itself if the daemon does, so that no forgotten child does later
 * what a restarted daemon does again. SIGPIPE must be ignored: a child need not read its input.
 */
#ifndef BIFURCATED_BASE_PROCESS_H
#define BIFURCATED_BASE_PROCESS_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"

#include <stdatomic.h>
#include <stdint.h>

#define PROCESS_ARGUMENTS_MAX 64

struct process {
    const char *const *arguments; /* arguments[0] is the program, looked for in PATH unless it has a '/' */
    const char *input;            /* text for standard input; NULL: empty */
    const char *without;          /* variables that begin so are kept from it; NULL: none */
    int64_t timeout_ms;
    const atomic_bool *cancel; /* (or NULL) set by another thread: ends the child early */
};

struct process_end {
    int status;        /* exit status 0 to 255, or 128 + the signal that ended it */
    struct buf output; /* standard output; its max is a bound: a child that writes more is ended */
    struct buf errors; /* standard error; what is beyond its max is thrown away */
};

/* Sets up *end with these bounds; the caller frees it with process_end_free(). */
void process_end_init(struct process_end *end, size_t output_bytes_max, size_t errors_bytes_max);
void process_end_free(struct process_end *end);

/*
 * Runs the program and waits for its end. 0 if it ended, whatever its status. ERR_NOT_FOUND: there is no such
 * program. ERR_TIMEOUT, ERR_CANCELLED: it was killed, and what it did until then is unknown. ERR_LIMIT: it
 * wrote more than end->output may hold, and was killed.
 */
int process_run(const struct process *process, struct process_end *end, struct err *err);

#endif
