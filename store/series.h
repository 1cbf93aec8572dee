/*
 * The series: a row per revision in step order with everything that polls ask for, read by one statement.
 */
#ifndef BIFURCATED_STORE_SERIES_H
#define BIFURCATED_STORE_SERIES_H

#include "store/contents.h"
#include "store/displacements.h"
#include "store/perplexities.h"
#include "store/revisions.h"
#include "store/statistics.h"
#include "store/store.h"

enum series_state {
    SERIES_STATE_UNMEASURED, /* no sweep asked for it (or none for this tensor), or it was cancelled */
    SERIES_STATE_PENDING,    /* a task is queued or claimed, and there is no measurement yet */
    SERIES_STATE_FAILED,     /* the newest task failed, and there is no measurement */
    SERIES_STATE_MEASURED,
};

/* The four variants of statistics, in the order of their prefixes "", "tokens_", "centred_",
 * "tokens_centred_". */
enum series_variant {
    SERIES_VARIANT_ALL,
    SERIES_VARIANT_TOKENS,
    SERIES_VARIANT_CENTRED,
    SERIES_VARIANT_TOKENS_CENTRED,
    SERIES_VARIANT_COUNT
};

/* Displacements: against the reference and against the previous revision, of all rows and of the tokens. */
enum series_displacement {
    SERIES_DISPLACEMENT_ALL,
    SERIES_DISPLACEMENT_TOKENS,
    SERIES_DISPLACEMENT_LAG1_ALL,
    SERIES_DISPLACEMENT_LAG1_TOKENS,
    SERIES_DISPLACEMENT_COUNT
};

struct series_row {
    struct revision_row revision;
    enum series_state state; /* measured: the asked tensor, or else any perplexity */
    /* of the newest task, if that failed: shown beside older measurements too; else "" */
    char error_code[STORE_ERROR_NAME_SIZE];
    char error_message[STORE_ERROR_MESSAGE_SIZE];
    int has_tensor;                                     /* the members of `tensor` are filled */
    struct revision_tensor_row tensor;                  /* tensor.tensor is always the asked one */
    char same_as[LIMIT_REVISION_NAME_BYTES + 1];        /* first revision with equal content, or "" */
    char reference[LIMIT_REVISION_NAME_BYTES + 1];      /* of msd and cosine, or "" */
    char lag1_reference[LIMIT_REVISION_NAME_BYTES + 1]; /* of lag1_msd and lag1_cosine, or "" */
    int has_statistics[SERIES_VARIANT_COUNT];
    struct statistics_row statistics[SERIES_VARIANT_COUNT]; /* reals are NaN where there is none */
    int has_displacement[SERIES_DISPLACEMENT_COUNT];
    struct displacement_row displacement[SERIES_DISPLACEMENT_COUNT];
    struct perplexity_row perplexity[PERPLEXITY_MODE_COUNT]; /* id 0 where there is none */
};

/* A page of the API, and one row that tells whether there is a next one. */
#define SERIES_LIMIT_MAX (LIMIT_API_PAGE_ROWS + 1)

struct series_query {
    int64_t model_id;
    const char *tensor;               /* NULL: the model's own (models_describe) */
    int64_t step_min, step_max;       /* inclusive; 0 and INT64_MAX for all */
    int is_stepless_included;         /* main and other names without a step, after all others, if step_max is
                                         INT64_MAX */
    const struct revision_key *after; /* NULL: from the start; make it with revision_key_of(&row->revision) */
    int limit;                        /* 1 to SERIES_LIMIT_MAX */
};

/* "unmeasured", "pending", "failed", "measured" */
const char *series_state_name(enum series_state state);

/*
 * Calls `row` for current revisions in step order, at most `limit`. *ret_version becomes the model's version
 * that the rows belong to (read in the same snapshot; NULL if not wanted). A model without a tensor yet gives
 * rows without measurements. ERR_NOT_FOUND: no such model. ERR_INVALID: limit out of bounds.
 */
int series_read(struct store *store, const struct series_query *query, uint64_t *ret_version,
                int (*row)(void *context, const struct series_row *row), void *context, struct err *err);

/* One revision by name: the current one, or with `commit` not NULL the one with that commit. ERR_NOT_FOUND.
 * The caller provides *ret_row. */
int series_find(struct store *store, int64_t model_id, const char *tensor, const char *revision,
                const char *commit, struct series_row *ret_row, struct err *err);

/* How many rows series_read() would give without limit and cursor. */
int series_count(struct store *store, const struct series_query *query, int64_t *ret_count, struct err *err);

#endif
