/*
 * Whether a result that a worker hands in is one of its task, and agrees with what the store knows: what
 * wire_result_parse() cannot see. Reads only.
 */
#ifndef BIFURCATED_API_WORKERS_CLAIM_CHECK_H
#define BIFURCATED_API_WORKERS_CLAIM_CHECK_H

#include "api/wire/wire.h"
#include "daemon/base/err.h"
#include "store/store.h"
#include "store/tasks.h"

/* By which the daemon stores results. */
struct api_claim_definitions {
    int64_t statistics, scoring;
};

/*
 * Checks: definitions; that the tensors and perplexities are those that the sweep asks for, all of them; that
 * numbers are there for every content that the store has none of; that a file whose digest is known has the
 * content that it had before, and so the references. Fills in the revisions that displacements refer to.
 * ERR_INVALID; ERR_MISMATCH: it contradicts the store; ERR_UNSUPPORTED: another definition.
 */
int api_claim_check(struct store *store, const struct task_row *task, struct wire_result *result,
                    const struct api_claim_definitions *definitions, struct err *err);

#endif
