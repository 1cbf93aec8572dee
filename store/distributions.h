/*
 * The large values of a content: the exact distribution of its codes, per-column statistics, sampled entries.
 *
 * They are compressed here (zstd) and lie in tables of their own. Written by tasks_record().
 */
#ifndef BIFURCATED_STORE_DISTRIBUTIONS_H
#define BIFURCATED_STORE_DISTRIBUTIONS_H

#include "store/contents.h"
#include "store/revisions.h"
#include "store/statistics.h"
#include "store/store.h"

#define DISTRIBUTION_CODES 65536

/* A large value as it is stored (store/blob.h) instead of its numbers: whoever hands it to tasks_record() has
 * decoded it to see that it is sound, and so it is not compressed twice. All borrowed. */
struct packed_values {
    const void *data;
    size_t size;
    int64_t size_raw;
};

/* How often each 16-bit code occurs. */
struct distribution_row {
    enum row_set row_set;
    int64_t token_rows; /* 0 for ROW_SET_ALL */
    int is_centred;
    int64_t definition;
    char code[CONTENTS_DTYPE_SIZE]; /* what a code means: "float16", "bfloat16", "float32_top16", ... */
    const uint64_t *counts;         /* [DISTRIBUTION_CODES], borrowed; to tasks_record() also NULL and: */
    struct packed_values packed;
};

/* Mean and bimodality of each column. */
struct columns_row {
    int64_t token_rows; /* 0: all rows */
    int64_t definition;
    int64_t columns;
    const double *mean;          /* [columns], borrowed; to tasks_record() also NULL and `packed` */
    const double *bimodality;    /* [columns], borrowed */
    struct packed_values packed; /* all means, then all bimodalities */
};

/* The values of a fixed, seeded choice of entries. */
struct sample_row {
    int64_t definition; /* version of the rule that picks the entries */
    int64_t seed;
    int64_t count;
    const float *values; /* [count], borrowed; NaN and Inf as they are; to tasks_record() also NULL and: */
    struct packed_values packed;
};

/* ERR_NOT_FOUND. row_set, token_rows, is_centred and definition of `key` are looked up; counts has room for
 * DISTRIBUTION_CODES values. ret_row->counts is `counts`. */
int distributions_find(struct store *store, int64_t content_id, const struct distribution_row *key,
                       uint64_t *counts, struct distribution_row *ret_row, struct err *err);

/* Whether all large values of a measurement are kept: the distributions and columns of all rows and of these
 * token rows, and what was sampled of the latter. Retention deletes all, damage (store/damage.h) any. */
int distributions_are_kept(struct store *store, int64_t content_id, int64_t token_rows, int64_t definition,
                           int *ret_are_kept, struct err *err);

/* Whose values are listed: a tensor's, over the current revisions of its model in step order. Revisions
 * without such a value are left out; of one that is damaged (store/damage.h) the row has no numbers: counts,
 * mean or values are NULL. */
struct values_range {
    int64_t model_id;
    const char *tensor;
    const struct revision_key *after; /* NULL: from the start */
    int limit;                        /* of revisions that are listed */
};

/* row_set, token_rows and is_centred as in `key`, with the definition that each revision's series shows. */
int distributions_list(struct store *store, const struct values_range *range,
                       const struct distribution_row *key,
                       int (*row)(void *context, const struct revision_row *revision,
                                  const struct distribution_row *row),
                       void *context, struct err *err);

int columns_list(struct store *store, const struct values_range *range, int64_t token_rows,
                 int (*row)(void *context, const struct revision_row *revision,
                            const struct columns_row *row),
                 void *context, struct err *err);

/* The contents that columns_list() would take, without their values. */
struct columns_content {
    int64_t id, definition, token_rows;
};
int columns_list_contents(struct store *store, const struct values_range *range, int64_t token_rows,
                          int (*row)(void *context, const struct revision_row *revision,
                                     const struct columns_content *content),
                          void *context, struct err *err);

/* One of them, which never changes once it is there. The caller frees *ret_values, which hold both arrays of
 * *ret_row; NULL: it is damaged. ERR_NOT_FOUND: it was deleted meanwhile. */
int columns_get(struct store *store, const struct columns_content *content, struct columns_row *ret_row,
                double **ret_values, struct err *err);

/* Sampled from the first `token_rows` rows; definition, seed and count as in `key`. */
int samples_list(struct store *store, const struct values_range *range, int64_t token_rows,
                 const struct sample_row *key,
                 int (*row)(void *context, const struct revision_row *revision, const struct sample_row *row),
                 void *context, struct err *err);

/* Deletes distributions, columns and samples of contents that no current revision has, of at most `limit`
 * contents among 5,000 after *after (0: from the start), which becomes where the next call goes on;
 * *ret_count becomes how many contents lost them, *ret_is_over whether there are no contents behind. */
int distributions_prune(struct store *store, int64_t *after, int limit, int64_t *ret_count, int *ret_is_over,
                        struct err *err);

#endif
