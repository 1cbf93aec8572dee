/*
 * What a model is: read once from a revision's config.json, tokenizer.json and the names of its tensors, and
 * kept in the store.
 */
#ifndef BIFURCATED_DAEMON_DESCRIBE_H
#define BIFURCATED_DAEMON_DESCRIBE_H

#include "daemon/base/err.h"
#include "daemon/hub/repository.h"
#include "store/models.h"
#include "store/revisions.h"
#include "store/sweeps.h"

/*
 * Describes the sweep's model by this revision, unless the store knows it already. *ret_described becomes 0
 * if this revision does not tell (no readable checkpoint); another may. Errors are of the store, or
 * ERR_CANCELLED.
 */
int describe_model(struct store *store, struct repository *repository, const struct sweep_row *sweep,
                   const struct revision_row *revision, int *ret_described, struct err *err);

/* Bytes of the unembedding as far as config.json tells, for the estimate of a sweep; 0 if unknown. */
int64_t describe_expected_bytes(const struct model_row *model);

#endif
