/*
 * What a worker offers when it asks for a task (POST /v1/claims): who it is, how it measures, what it cannot
 * reach. A worker that measures otherwise than this daemon is refused, with the side that is to be upgraded.
 */
#ifndef BIFURCATED_API_WORKERS_CLAIM_OFFER_H
#define BIFURCATED_API_WORKERS_CLAIM_OFFER_H

#include "api/http/request.h"
#include "api/wire/wire.h"
#include "daemon/base/err.h"

/* Reads the body; offer->worker becomes the name by which the worker is known from here on, which only the
 * holder of its key can have. */
int api_claim_offer_read(struct api_request *request, struct wire_offer *offer, struct api_response *response,
                         struct err *err);

#endif
