/*
 * For measure*.c only: the state of one task, and the measuring of one tensor.
 */
#ifndef BIFURCATED_MEASURE_MEASURE_TENSOR_H
#define BIFURCATED_MEASURE_MEASURE_TENSOR_H

#include "daemon/hub/repository.h"
#include "daemon/measure/location.h"
#include "daemon/measure/measure.h"
#include "daemon/measure/measure_rows.h"
#include "store/models.h"
#include "store/revisions.h"

struct measure_job {
    const struct measure_shared *shared;
    const struct task_row *task;
    const struct sweep_spec *spec;
    const atomic_bool *cancel;
    _Atomic int64_t *fetched_bytes;
    struct model_row model;
    struct revision_row revision;
    struct repository *repository;
    struct location_context locations;
    struct location_context reference_locations; /* the same, wary after a hang */
    char caution[ERR_MESSAGE_BYTES];             /* the first thing that could not be measured, or "" */
};

/* Brings *fetched_bytes up to date. */
void measure_note_progress(struct measure_job *job);

/* Measures the tensor `name` of the job's revision; *tensor borrows from `rows` and is ready to be recorded.
 */
int measure_tensor(struct measure_job *job, const char *name, struct measure_rows *rows,
                   struct task_tensor *tensor, struct err *err);

#endif
