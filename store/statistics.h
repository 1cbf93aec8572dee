/*
 * Statistics of a content: one row per definition, backend, row set and centring.
 *
 * The columns are named once, in the two tables below; SQL, binding, reading, JSON and CSV walk them.
 */
#ifndef BIFURCATED_STORE_STATISTICS_H
#define BIFURCATED_STORE_STATISTICS_H

#include "store/store.h"

enum row_set { ROW_SET_ALL, ROW_SET_TOKENS };

#define STATISTICS_COUNTS(X)                                                                                 \
    X(elements) /* all, NaN and Inf included */                                                              \
    X(nan_count)                                                                                             \
    X(positive_inf_count)                                                                                    \
    X(negative_inf_count)                                                                                    \
    X(zero_count)

#define STATISTICS_REALS(X)                                                                                  \
    X(minimum)                                                                                               \
    X(maximum)                                                                                               \
    X(mean)                                                                                                  \
    X(variance)   /* population, ddof 0 */                                                                   \
    X(skewness)   /* G1 */                                                                                   \
    X(kurtosis)   /* G2, excess */                                                                           \
    X(bimodality) /* Sarle's coefficient with sample correction */                                           \
    X(q001)       /* quantile 0.001 */                                                                       \
    X(q01)                                                                                                   \
    X(q05)                                                                                                   \
    X(q25)                                                                                                   \
    X(q50)                                                                                                   \
    X(q75)                                                                                                   \
    X(q95)                                                                                                   \
    X(q99)                                                                                                   \
    X(q999)                                                                                                  \
    X(sparsity) /* share of |w| below 0.1 standard deviations */                                             \
    X(dip)      /* Hartigan's dip statistic */                                                               \
    X(dip_sqrt_n)                                                                                            \
    X(dip_p)                                                                                                 \
    X(dip_low) /* modal interval */                                                                          \
    X(dip_high)                                                                                              \
    X(mixture_weight1) /* of the first of two normal components; the second has the rest */                  \
    X(mixture_mean1)                                                                                         \
    X(mixture_sd1)                                                                                           \
    X(mixture_mean2)                                                                                         \
    X(mixture_sd2)                                                                                           \
    X(ashman_d)                                                                                              \
    X(delta_bic) /* one component less two */                                                                \
    X(valley_to_peak)                                                                                        \
    X(modes) /* peaks of the smoothed density that stand out */

struct statistics_row {
    enum row_set row_set;
    int64_t token_rows; /* the first rows, for ROW_SET_TOKENS; 0 for ROW_SET_ALL */
    int is_centred;     /* after subtracting each column's mean */
    int64_t definition; /* version of the formulas */
    char backend[STORE_BACKEND_SIZE];
#define X(name) int64_t name;
    STATISTICS_COUNTS(X)
#undef X
#define X(name) double name; /* NaN: not computed */
    STATISTICS_REALS(X)
#undef X
};

/* Sets every real to NaN and the rest to 0. */
void statistics_row_init(struct statistics_row *row);

/* "all", "tokens" */
const char *row_set_name(enum row_set row_set);

/* *ret_exists becomes whether the content has all of the variants that a series shows under this definition
 * and backend ("": any one): raw and centred of all rows, and of the first `token_rows` rows if that is not
 * 0. */
int statistics_exists(struct store *store, int64_t content_id, int64_t token_rows, int64_t definition,
                      const char *backend, int *ret_exists, struct err *err);

/* A content has a few variants per definition and backend; more than this is no content of a model. */
#define STATISTICS_LIST_MAX 1000

/* The statistics of a content (every definition, backend and variant), the newest definition first; at most
 * STATISTICS_LIST_MAX, or as many as `row` takes before it returns nonzero. */
int statistics_list(struct store *store, int64_t content_id,
                    int (*row)(void *context, const struct statistics_row *row), void *context,
                    struct err *err);

#endif
