/*
 * What a model is: read once from a revision's config.json, tokenizer.json and the names of its tensors, and
 * kept in the store.
 */
#ifndef BIFURCATED_SWEEP_DESCRIBE_H
#define BIFURCATED_SWEEP_DESCRIBE_H

#include "daemon/base/err.h"
#include "daemon/hub/repository.h"
#include "store/models.h"
#include "store/revisions.h"

/*
 * Describes a model by one of its revisions, unless the store knows it already; fills *model with what is
 * then known. Fails where this revision does not tell (no readable checkpoint); another may. model->tensor is
 * then still "".
 */
int describe_model(struct store *store, struct repository *repository, int64_t model_id,
                   const struct revision_row *revision, struct model_row *model, struct err *err);

/* Bytes of the unembedding, or (`is_whole`) of all weights, as far as config.json tells, for the estimate of
 * a sweep; 0 if unknown. */
int64_t describe_expected_bytes(const struct model_row *model, int is_whole);

#endif
