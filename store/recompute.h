/*
 * Statistics written again from what is kept of a content, without its bytes.
 */
#ifndef BIFURCATED_STORE_RECOMPUTE_H
#define BIFURCATED_STORE_RECOMPUTE_H

#include "store/statistics.h"
#include "store/store.h"

/* The contents with kept distributions, by id, at most `limit` after the id `after`: of one model's revisions
 * (current or not), or with model_id 0 of all. */
int recompute_list(struct store *store, int64_t model_id, int64_t after, int limit,
                   int (*row)(void *context, int64_t content_id), void *context, struct err *err);

/*
 * Replaces rows of a content, in one transaction: each row stands for the one with the same row set,
 * token_rows, is_centred and backend under `definition`. All rows have one definition. If that is another
 * one, the old rows stay as they are, and the kept distributions, the columns and the series go over to the
 * new one. ERR_INVALID: no rows, or of different definitions.
 */
int recompute_replace(struct store *store, int64_t content_id, int64_t definition,
                      const struct statistics_row *rows, size_t count, struct err *err);

#endif
