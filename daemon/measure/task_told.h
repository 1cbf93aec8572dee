/*
 * What the log has said about tasks, so that what is the same for every revision of a sweep (a tensor that
 * none of them has, a repository that the token may not read) is said once. The line at the sweep's end
 * says how many failed.
 */
#ifndef BIFURCATED_MEASURE_TASK_TOLD_H
#define BIFURCATED_MEASURE_TASK_TOLD_H

#include "daemon/base/err.h"
#include "daemon/base/log.h"

#include <pthread.h>
#include <stdint.h>

#define TASK_TOLD_MAX 16
#define TASK_TOLD_BYTES 160

struct task_told {
    pthread_mutex_t lock;
    int64_t gated; /* the newest sweep of which it was said */
    struct task_told_row {
        int64_t sweep_id;
        int is_final;
        char reason[TASK_TOLD_BYTES]; /* without the revision and what follows a semicolon */
    } rows[TASK_TOLD_MAX];
    size_t next; /* to be forgotten */
};

void task_told_init(struct task_told *told);
void task_told_free(struct task_told *told);

/* At which level the end of an attempt is to be logged, which counts as said from now on: a warning, or
 * debug if the same was said lately. `is_final`: the task has failed; else it will be tried again. Safe for
 * threads. */
enum log_level task_told_level(struct task_told *told, int64_t sweep_id, const struct err *reason,
                               int is_final);

/* The same of what was left out of a task that succeeded. */
enum log_level task_told_caution(struct task_told *told, int64_t sweep_id, const char *caution);

#endif
