/*
 * A sweep as JSON: what the routes of /v1/sweeps, the event streams and the list show.
 */
#ifndef BIFURCATED_API_SWEEPS_SWEEP_VIEW_H
#define BIFURCATED_API_SWEEPS_SWEEP_VIEW_H

#include "api/form/json.h"
#include "api/resource/context.h"
#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "store/jobs.h"
#include "store/sweeps.h"

#include <stdint.h>

/* Failed tasks that a sweep shows; the rest is under /v1/sweeps/{id}/tasks. */
#define API_SWEEP_ERRORS_MAX 20

/* Job arrays that a sweep shows, the newest. */
#define API_SWEEP_JOBS_MAX 50

/* Appends a sweep as one object, with its metrics; with its whole request, the first failed tasks, its jobs
 * and what it waits for (see api_sweep_append()) if `is_whole`. */
int api_sweep_render(struct store *store, const struct sweep_row *row, int is_whole,
                     const struct api_hub_wait *wait, struct api_json *json, struct err *err);

/* Appends a job array as one object of a list. */
void api_sweep_append_job(struct api_json *json, const struct job_row *row);

/* Reads and appends a whole sweep, with what the daemon's requests to the hub wait for if `wait` is not NULL
 * and the sweep may need the hub; *ret_version grows with each change, *ret_is_over says that it has ended.
 * Both may be NULL. ERR_NOT_FOUND. */
int api_sweep_append(struct store *store, int64_t id, const struct api_hub_wait *wait, struct buf *buf,
                     uint64_t *ret_version, int *ret_is_over, struct err *err);

#endif
