/*
 * Measuring: what one task does between its claim and its record.
 *
 * For each tensor that the sweep asks for: find out what is known already, fetch only what is missing, run
 * one pass of statistics on the device against the first and the previous revision, and make the rows to
 * store. Equal content is never measured twice.
 */
#ifndef BIFURCATED_MEASURE_MEASURE_H
#define BIFURCATED_MEASURE_MEASURE_H

#include "daemon/base/err.h"
#include "daemon/hub/hub.h"
#include "daemon/measure/data_cache.h"
#include "daemon/measure/file_digests.h"
#include "daemon/measure/location_cache.h"
#include "daemon/measure/passages_cache.h"
#include "daemon/measure/references.h"
#include "daemon/measure/tensor_pool.h"
#include "daemon/sweep/sweep_spec.h"
#include "gpu/registry.h"
#include "store/store.h"
#include "store/tasks.h"

#include <stdatomic.h>

/* What all tasks of a process share. */
struct measure_shared {
    struct store *store;
    struct hub *hub;
    struct tensor_pool *pool;
    struct references *references; /* NULL: none is kept */
    struct location_cache *locations;
    struct data_cache *data;
    struct file_digests *digests;
    struct passages_cache *passages;
    const struct device *device; /* which one it is */
    struct device_turns *turns;  /* to compute on it */
    struct scorers *scorers;     /* which device scores a model */
    int keeps_large;  /* the store keeps distributions beside statistics, unless they were deleted; a remote
                         worker's store has none */
    int failures_max; /* the attempt after which a task fails for good does without references it cannot reach
                       */
};

/* Whether the task is measured *alone* (device_turns.h): an earlier attempt failed in a way that the
 * device, or memory that a neighbour held, may have caused. Faults of the hub or the disk do not count. */
int measure_is_alone(const struct task_row *task);

/* The rows of a measured task; `result` points into them. */
struct measured_task;

/*
 * Measures a claimed task. *cancel ends it with ERR_CANCELLED; *fetched_bytes is kept up to date for
 * heartbeats. The caller records measured_task_result() and frees what it got: also after an error, if what
 * was measured before it is worth keeping (a part, tasks.h), else *ret_measured is NULL.
 */
int measure_task(const struct measure_shared *shared, const struct task_row *task,
                 const struct sweep_spec *spec, const atomic_bool *cancel, _Atomic int64_t *fetched_bytes,
                 struct measured_task **ret_measured, struct err *err);

/* For tasks_record(); borrowed. Its caution, never NULL, is one sentence (a reference that cannot be read).
 */
const struct task_result *measured_task_result(const struct measured_task *measured);

/* NULL is allowed. */
void measured_task_free(struct measured_task *measured);

#endif
