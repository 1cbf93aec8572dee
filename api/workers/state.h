/*
 * What the handlers of this folder share of remote workers (request->context->workers).
 */
#ifndef BIFURCATED_API_WORKERS_STATE_H
#define BIFURCATED_API_WORKERS_STATE_H

#include "api/workers/askers.h"
#include "api/workers/claim_wait.h"
#include "api/workers/gated.h"
#include "api/workers/worker_list.h"
#include "api/workers/workers.h"

struct api_workers {
    struct api_claims_options options;
    struct store *store;
    int64_t started_ms;            /* wall clock */
    struct api_worker_list *list;  /* who spoke lately */
    struct api_gated *gated;       /* who may not read what a sweep needs */
    struct api_gated *models;      /* who was refused something of a model's sweeps */
    struct api_askers *askers;     /* who asks for work */
    struct api_claim_waits *waits; /* who of them waits for it */
};

#endif
