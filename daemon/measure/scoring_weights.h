/*
 * The weights of a model that is scored: which tensors there must be, where they lie, and their bytes.
 *
 * Where the listing does not tell the digests of the files, the bytes are what tells two revisions apart:
 * then they are read for scoring_weights_digest already, and what was hashed is what is scored, the same
 * memory.
 *
 * A tensor that the statistics have just read is copied from the pool, with its digest, if it is still there:
 * one way over the network less. It is not held there, since others may wait for its room.
 */
#ifndef BIFURCATED_MEASURE_SCORING_WEIGHTS_H
#define BIFURCATED_MEASURE_SCORING_WEIGHTS_H

#include "daemon/base/err.h"
#include "daemon/checkpoint/checkpoint.h"
#include "daemon/measure/scoring.h"
#include "gpu/score_architecture.h"
#include "store/revisions.h"

#include <stddef.h>
#include <stdint.h>

struct scoring_weights {
    const struct scoring_request *request; /* borrowed */
    const struct score_config *config;     /* borrowed */
    struct checkpoint *checkpoint;
    const char *left_out;           /* of the family's names, in the files: its prefix, or "" */
    char wrapper[SCORE_NAME_BYTES]; /* what the files have before them: of a trainer that keeps more than the
                                       model */
    size_t count;
    struct score_tensor *tensors; /* [count], the family's names, owned; data after scoring_weights_fetch */
    struct checkpoint_tensor *located; /* [count] where they lie */
    void **owned;                      /* [count] bytes that are not mapped */
    uint64_t size_bytes;               /* of all, as stored */
};

/* Finds the tensors that the numbers ask for; reads headers alone. ERR_NOT_FOUND for a missing one (named),
 * ERR_FORMAT for more layers than the numbers say, ERR_UNSUPPORTED for a tied model with another unembedding
 * (only there, and where both matrices are stored, they are read). The caller closes *ret_weights, also after
 * an error. */
int scoring_weights_open(struct scoring_weights *ret_weights, const struct scoring_request *request,
                         const struct score_config *config, struct err *err);

/* What tells these weights from others (scoring_identity.h). ERR_CANCELLED, what the repository reports. */
int scoring_weights_digest(struct scoring_weights *weights, char *hex, struct err *err);

/* The files that hold them, of which the listing tells the digests: *ret_files is for the caller to free; at
 * most LIMIT_CLAIM_FILES. */
int scoring_weights_list_files(const struct scoring_weights *weights, struct revision_file_row **ret_files,
                               size_t *ret_count, struct err *err);

/* Brings all into memory that is not there. The same errors, and ERR_NO_MEMORY. */
int scoring_weights_fetch(struct scoring_weights *weights, struct err *err);

/* A zeroed struct is allowed. */
void scoring_weights_close(struct scoring_weights *weights);

#endif
