/*
 * The summary of one distribution: every number that the series shows for one tensor, one row set, raw or
 * centred.
 */
#ifndef BIFURCATED_ANALYSIS_SUMMARY_H
#define BIFURCATED_ANALYSIS_SUMMARY_H

#include "daemon/analysis/distribution.h"
#include "daemon/analysis/moments.h"
#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Raised whenever a number of a summary would change its meaning: part of a result's identity. */
#define SUMMARY_DEFINITION 4

/* symbol suffix (also the column name, after "q"), probability */
#define SUMMARY_QUANTILES(X)                                                                                 \
    X(001, 0.001)                                                                                            \
    X(01, 0.01)                                                                                              \
    X(05, 0.05)                                                                                              \
    X(25, 0.25)                                                                                              \
    X(50, 0.5)                                                                                               \
    X(75, 0.75)                                                                                              \
    X(95, 0.95)                                                                                              \
    X(99, 0.99)                                                                                              \
    X(999, 0.999)

enum summary_quantile {
#define X(suffix, probability) SUMMARY_QUANTILE_##suffix,
    SUMMARY_QUANTILES(X)
#undef X
        SUMMARY_QUANTILE_COUNT
};

/* Sparsity: the share of elements with |w| below this many standard deviations. */
#define SUMMARY_SPARSITY_BOUND 0.1

struct summary {
    uint64_t elements; /* all, finite or not */
    uint64_t nan_count, positive_inf_count, negative_inf_count, zero_count;
    /* Of the finite elements; NaN where not defined. */
    double minimum, maximum;
    double mean, variance, skewness, kurtosis, bimodality; /* as in moments.h */
    double quantiles[SUMMARY_QUANTILE_COUNT];              /* inverse of the distribution function */
    double sparsity;
    double dip, dip_sqrt_n, dip_p, dip_low, dip_high; /* as in dip.h */
    /* Mixture, valley and modes are those of the body (distribution_body): a few far entries would take a
     * component, and heavy tails one of two modes' components. */
    double mixture_weight; /* of the component with the lower mean */
    double mixture_mean1, mixture_sd1, mixture_mean2, mixture_sd2;
    double ashman_d, delta_bic;
    double valley_to_peak, modes; /* as in valley.h; modes: a count, NaN without spread */
};

/* What a measurement hands over. The moments come from `columns` (central sums of each column's finite
 * elements, of the row set) where the counts are quantised: float32, and everything centred; otherwise from
 * the counts, exactly. */
struct summary_input {
    struct distribution distribution;
    int is_centred;
    const struct moments_sums *columns; /* borrowed */
    size_t column_count;
    /* Of the raw elements, for F32_TOP, whose codes do not tell; NaN minimum: none are finite. */
    uint64_t zero_count;
    double minimum, maximum;
    double mean;
};

/* Computes everything. ERR_NO_MEMORY only. Resolution of quantiles, dip, mixture and valley is that of the
 * codes: exact for F16 and BF16, 2^-11 relative for centred values, 2^-8 relative for float32. */
int summary_compute(const struct summary_input *input, struct summary *ret_summary, struct err *err);

#endif
