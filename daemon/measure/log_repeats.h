/*
 * Keeps repeats out of the log: what is the same for every revision of a sweep (a missing tensor, a
 * repository that the token may not read) is a warning once, and debug output after that. The line at the
 * sweep's end says how many failed.
 */
#ifndef BIFURCATED_MEASURE_LOG_REPEATS_H
#define BIFURCATED_MEASURE_LOG_REPEATS_H

#include "daemon/base/err.h"
#include "daemon/base/log.h"

#include <pthread.h>
#include <stdint.h>

#define LOG_REPEATS_MAX 16
#define LOG_REPEATS_BYTES 160

struct log_repeats {
    pthread_mutex_t lock;
    int64_t gated; /* the newest sweep for which it was logged */
    struct log_repeats_row {
        int64_t sweep_id;
        int is_final;
        char reason[LOG_REPEATS_BYTES]; /* without the revision and what follows a semicolon */
    } rows[LOG_REPEATS_MAX];
    size_t next; /* to be overwritten */
};

void log_repeats_init(struct log_repeats *repeats);
void log_repeats_free(struct log_repeats *repeats);

/* The level at which to log the end of an attempt: a warning, or debug if the same reason was logged lately.
 * `is_final`: the task has failed; else it will be tried again. Thread-safe. */
enum log_level log_repeats_level(struct log_repeats *repeats, int64_t sweep_id, const struct err *reason,
                                 int is_final);

/* The same for what a successful task left out. */
enum log_level log_repeats_level_of_caution(struct log_repeats *repeats, int64_t sweep_id,
                                            const char *caution);

#endif
