/*
 * Which workers may not read what a sweep needs: the hub keeps the repository from their tokens (ERR_GATED).
 * In memory, for a while: what a token may read can change; and only for as long as the worker has that
 * token.
 *
 * A worker is named without its slot, since all slots of a process have one token; "local" are the daemon's.
 */
#ifndef BIFURCATED_API_WORKERS_GATED_H
#define BIFURCATED_API_WORKERS_GATED_H

#include "store/tasks.h"

#include <stddef.h>
#include <stdint.h>

#define API_GATED_MAX 4096 /* beyond, the oldest is forgotten */
#define API_GATED_MS TASKS_LEFT_MS
#define API_GATED_MODEL_MS INT64_C(604800000) /* a week; of models, with their ids in the sweeps' place */
#define API_GATED_SWEEPS_MAX 64               /* of one worker; with more it is given nothing */

struct api_gated;

/* Keeps a refusal for so long. NULL without memory. */
struct api_gated *api_gated_new(int64_t keep_ms);
void api_gated_free(struct api_gated *gated);

/* The hub has refused it. The time is monotonic, as the next. */
void api_gated_note(struct api_gated *gated, const char *name, int64_t sweep_id, int64_t now_ms);

/* The hub has given what it had refused. */
void api_gated_take_back(struct api_gated *gated, const char *name, int64_t sweep_id);

/* The worker has another token: it may ask for all of them again. */
void api_gated_forget(struct api_gated *gated, const char *name);

int api_gated_is(struct api_gated *gated, const char *name, int64_t sweep_id, int64_t now_ms);

/* The sweeps of a worker into ids[API_GATED_SWEEPS_MAX]; returns how many. */
size_t api_gated_list(struct api_gated *gated, const char *name, int64_t now_ms, int64_t *ids);

#endif
