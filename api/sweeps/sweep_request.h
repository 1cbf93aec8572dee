/*
 * What POST /v1/sweeps takes: a JSON object, checked strictly before it is stored.
 *
 *     {"model": "EleutherAI/pythia-14m", "tensors": ["embed_out.weight"], "metrics": ["statistics"],
 *      "revisions": {"from": 0, "to": 143000, "every": 1, "names": ["step0"]}, "reference": "step0",
 *      "priority": 0}
 *
 * Only the model is needed. null counts as not given. Unknown members are refused by name.
 */
#ifndef BIFURCATED_API_SWEEPS_SWEEP_REQUEST_H
#define BIFURCATED_API_SWEEPS_SWEEP_REQUEST_H

#include "daemon/base/err.h"
#include "daemon/base/limits.h"
#include "store/models.h"

#include <stddef.h>

#define API_SWEEP_FIELD_SIZE 128

struct api_sweep_request {
    char model[LIMIT_MODEL_NAME_BYTES + 1];
    enum model_kind kind;
    int priority;
    char *text; /* canonical JSON: members sorted, nulls left out; owned */
};

/* Parses body[size]; on ERR_INVALID, `field` is the JSON pointer of what is wrong ("" for the whole). The
 * caller frees request->text. ERR_NO_MEMORY. */
int api_sweep_request_parse(const char *body, size_t size, struct api_sweep_request *request,
                            char field[API_SWEEP_FIELD_SIZE], struct err *err);

/* Refuses what stands at `pointer`: ERR_INVALID, with the pointer in field[API_SWEEP_FIELD_SIZE]. Also for
 * parsers of requests that hold such a sweep (watch_request.h). */
int api_sweep_request_refuse(char *field, struct err *err, const char *pointer, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
