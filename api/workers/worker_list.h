/*
 * The remote workers that the daemon has heard of lately, in memory: who they are and when they last spoke.
 * What they have claimed is in the store.
 */
#ifndef BIFURCATED_API_WORKERS_WORKER_LIST_H
#define BIFURCATED_API_WORKERS_WORKER_LIST_H

#include "api/wire/wire.h"
#include "api/workers/gated.h"

#include <stddef.h>
#include <stdint.h>

#define API_WORKERS_MAX 2000              /* beyond, the one that has been silent for longest is forgotten */
#define API_WORKER_NEAR 4                 /* revisions; of as many sweeps in turn */
#define API_WORKER_FORGET_MS (10 * 60000) /* of silence */
#define API_WORKER_SILENT_MS 60000        /* as for its hub: longer than a claim waits */

struct api_worker {
    char name[STORE_WORKER_SIZE];    /* without the slot */
    char version[WIRE_VERSION_SIZE]; /* "" since a restart of the daemon, as the next two */
    char device[WIRE_DEVICE_SIZE];
    char backend[STORE_BACKEND_SIZE];
    int64_t first_ms, last_ms;           /* wall clock, to be shown */
    int64_t heard_ms;                    /* monotonic, as last_ms: what silence is counted from */
    int64_t recorded, failed;            /* tasks it has ended since first_ms */
    char hub_problem[WIRE_PROBLEM_SIZE]; /* why it does not reach the hub; "" if it does */
    int64_t near[API_WORKER_NEAR];       /* revisions it claimed last, the newest first; 0: none */
    int64_t sweep_id;                    /* the only one that it works on; 0: it takes any; -1: it leaves */
};

struct api_worker_list;

/* NULL without memory. */
struct api_worker_list *api_worker_list_new(void);
void api_worker_list_free(struct api_worker_list *list);

/* Copies "name" of "name/slot" into name[STORE_WORKER_SIZE]. */
void api_worker_name(const char *worker, char *name);

/* A worker spoke; `offer` is NULL unless it offered itself. */
void api_worker_list_note(struct api_worker_list *list, const char *worker, const struct wire_offer *offer,
                          int recorded, int failed);

/* Whether a worker that spoke within API_WORKER_SILENT_MS has no hub_problem. */
int api_worker_list_some_reach_hub(struct api_worker_list *list);

/* Whether a worker with another name spoke within API_WORKER_SILENT_MS that works on this sweep (0: on any),
 * and for which `gated` does not have this id, of the sweep or of its model. */
int api_worker_list_some_may_read(struct api_worker_list *list, struct api_gated *gated, const char *name,
                                  int64_t sweep_id, int64_t gated_id);

/* A worker claimed this revision. */
void api_worker_list_note_claim(struct api_worker_list *list, const char *worker, int64_t revision_id);

/* Which revisions a worker claimed last, into near[API_WORKER_NEAR]; returns how many. */
size_t api_worker_list_near(struct api_worker_list *list, const char *worker, int64_t *near);

/* Copies at most `max` workers by name into rows; returns how many. */
size_t api_worker_list_copy(struct api_worker_list *list, struct api_worker *rows, size_t max);

/* How many have spoken within so long. */
size_t api_worker_list_count(struct api_worker_list *list, int64_t within_ms);

#endif
