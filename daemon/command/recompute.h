/*
 * Computes statistics again from the distributions that are kept, without fetching a tensor: after a formula
 * has changed, or to check that none has. For a store that no daemon has open.
 *
 * Of codes that stand for a range of values (float32, and everything centred) the moments, extremes and zeros
 * were measured beside the counts, more exactly than the counts tell: these numbers stay.
 */
#ifndef BIFURCATED_COMMAND_RECOMPUTE_H
#define BIFURCATED_COMMAND_RECOMPUTE_H

#include "daemon/base/err.h"
#include "store/store.h"

#include <stdint.h>

struct recompute_counts {
    int64_t contents;      /* that have kept distributions */
    int64_t distributions; /* that were read */
    int64_t skipped;       /* statistics whose distribution is not kept any more */
    int64_t numbers;       /* that changed */
    int64_t contents_changed;
};

/* Of one model (NULL: of all). Each content is written in one transaction, and only if a number changed.
 * ERR_NOT_FOUND: no such model. */
int recompute_run(struct store *store, const char *model, struct recompute_counts *ret_counts,
                  struct err *err);

#endif
