/*
 * Rewritten revisions: a name that holds other weights now than when it was measured before. In a folder that
 * is a second run that reuses the names of the first, or one that went on from an earlier checkpoint.
 */
#ifndef BIFURCATED_STORE_REWRITES_H
#define BIFURCATED_STORE_REWRITES_H

#include "store/revisions.h"
#include "store/store.h"

#include <stddef.h>

struct rewrite_row {
    struct revision_row revision;        /* the current one */
    int64_t before_id;                   /* the last one of its name with other weights; ids grow with time */
    int64_t since_id;                    /* the first one with what it holds now */
    size_t count;                        /* entries that were sampled of both; 0: they cannot be compared */
    const float *values, *values_before; /* [count], borrowed */
};

/* Of a model, in step order; one that has several tensors comes for each that differs. Nonzero ends it. */
int rewrites_list(struct store *store, int64_t model_id,
                  int (*row)(void *context, const struct rewrite_row *row), void *context, struct err *err);

#endif
