/*
 * What tells two perplexities apart: digests and parameters (scoring.h).
 */
#ifndef BIFURCATED_MEASURE_SCORING_IDENTITY_H
#define BIFURCATED_MEASURE_SCORING_IDENTITY_H

#include "daemon/measure/scoring.h"
#include "daemon/measure/tensor_digests.h"
#include "daemon/text/tokenizer_config.h"

struct scoring_weights;

/* Whether the listing tells the digest of every file that holds one of the tensors. */
int scoring_identity_knows_files(const struct scoring_weights *weights);

/* SHA-256 over the model's numbers and, per tensor, its name and kind with the digest of its file; if a
 * file's digest is not known, with those of the tensors' bytes: `digests`, finished, in the same order; NULL
 * where all files' digests are known. hex[DIGEST_SHA256_HEX_SIZE]. */
int scoring_identity_digest_weights(const struct scoring_weights *weights,
                                    const struct tensor_digests *digests, char *hex, struct err *err);

/* JSON with members in alphabetical order; defaults are left out. Beside what was asked for, it holds what
 * config.json says of how texts are cut: the context and the token before a text (use->prefix_id; negative:
 * none), and whether it stands before all of them. ERR_LIMIT for a field's name that is too long. */
int scoring_identity_write_parameters(const struct scoring_request *request,
                                      const struct score_config *config, const struct tokenizer_use *use,
                                      char *text, size_t size, struct err *err);

#endif
