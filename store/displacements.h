/*
 * Displacements: how far one content lies from another, entry by entry.
 */
#ifndef BIFURCATED_STORE_DISPLACEMENTS_H
#define BIFURCATED_STORE_DISPLACEMENTS_H

#include "store/statistics.h"
#include "store/store.h"

#define DISPLACEMENT_REALS(X)                                                                                \
    X(msd)    /* (1/N) sum (w - w_reference)^2 over the N pairs where both are finite */                     \
    X(cosine) /* of the two as vectors */                                                                    \
    X(norm)   /* Euclidean, of the content */                                                                \
    X(reference_norm)                                                                                        \
    X(wasserstein1) /* between the two value distributions */

struct displacement_row {
    enum row_set row_set;
    int64_t token_rows; /* 0 for ROW_SET_ALL */
    int64_t definition;
    char backend[STORE_BACKEND_SIZE];
    int64_t elements;        /* N */
#define X(name) double name; /* NaN: not computed */
    DISPLACEMENT_REALS(X)
#undef X
};

/* Sets every real to NaN and the rest to 0. */
void displacement_row_init(struct displacement_row *row);

/* The displacement of a content against a reference content under row_set, token_rows, definition and backend
 * ("": any) of `key`. ERR_NOT_FOUND. */
int displacements_find(struct store *store, int64_t content_id, int64_t reference_id,
                       const struct displacement_row *key, struct displacement_row *ret_row, struct err *err);

/* Whether a current revision of a folder's model was measured against the content with this digest. */
int displacements_is_reference(struct store *store, const char *digest, int *ret_is_reference,
                               struct err *err);

#endif
