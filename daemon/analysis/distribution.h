/*
 * A distribution held as counts of 65,536 codes in ascending order of value: what a pass over a 16-bit tensor
 * knows exactly. Everything else (moments, quantiles, dip, mixture ...) is computed from it at any later
 * time.
 *
 * Each format says which value a code stands for:
 *   F16, BF16      the number itself: exact
 *   F32_TOP        the upper half of a float32: the middle of the interval of float32 numbers that share it;
 *                  0 for the two intervals beside 0 (below 2^-133), which -0 and +0 are parts of
 *   F16_SCALED     a float16 times 2^exponent, of values that were rounded to it (column-centred values)
 * Order: code = bits ^ 0xffff for a set sign bit, else bits ^ 0x8000: negative NaNs, -Inf, ..., -0, +0, ...,
 * +Inf, NaNs. Codes that are not finite are never part of a statistic.
 */
#ifndef BIFURCATED_ANALYSIS_DISTRIBUTION_H
#define BIFURCATED_ANALYSIS_DISTRIBUTION_H

#include "daemon/analysis/moments.h"
#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

#define DISTRIBUTION_CODES 65536

/* The numbers are part of stored bytes: only ever add. */
enum distribution_format {
    DISTRIBUTION_FORMAT_F16 = 1,
    DISTRIBUTION_FORMAT_BF16 = 2,
    DISTRIBUTION_FORMAT_F32_TOP = 3,
    DISTRIBUTION_FORMAT_F16_SCALED = 4
};

struct distribution {
    enum distribution_format format;
    int exponent;           /* of F16_SCALED, otherwise 0 */
    const uint64_t *counts; /* [DISTRIBUTION_CODES], ascending; borrowed */
};

/* What the codes mean, as it is kept beside stored counts: "float16", "bfloat16", "float32_top16", and
 * "float16*2^-5" for F16_SCALED with exponent -5. The text has at most DISTRIBUTION_NAME_SIZE bytes. */
#define DISTRIBUTION_NAME_SIZE 24
void distribution_name(enum distribution_format format, int exponent, char name[DISTRIBUTION_NAME_SIZE]);

/* Reads such a name. ERR_FORMAT for any other text, with the out-parameters untouched. */
int distribution_name_parse(const char *name, enum distribution_format *ret_format, int *ret_exponent,
                            struct err *err);

/* One distinct value and how often it occurs. */
struct distribution_value {
    double value;
    uint64_t count;
};

/* The value of a code; an infinity or NaN for codes that are not finite. */
double distribution_code_value(enum distribution_format format, int exponent, uint32_t code);

/* The distinct finite values, ascending, -0 and +0 as one; values must hold DISTRIBUTION_CODES. Returns how
 * many. */
size_t distribution_values(const struct distribution *distribution, struct distribution_value *values);

/* NaN, infinite and zero codes; for F32_TOP zeros cannot be told from the smallest numbers and none is
 * counted. */
struct distribution_census {
    uint64_t elements; /* all */
    uint64_t finite;
    uint64_t nan, positive_inf, negative_inf, zero;
};
struct distribution_census distribution_census_of(const struct distribution *distribution);

/* From here on: ascending distinct values, as distribution_values gives them. */

/* Mean (compensated sum) and central power sums around it. */
struct moments_sums distribution_sums(const struct distribution_value *values, size_t value_count);

/* The smallest value v with at least p * n elements <= v (the inverse of the empirical distribution function;
 * numpy's method "inverted_cdf"); NaN without elements. */
double distribution_quantile(const struct distribution_value *values, size_t value_count, double p);

/* The body: from the 0.05 to the 0.95 quantile, and DISTRIBUTION_BODY_REACH of that range beyond each; for a
 * normal, 4.1 standard deviations to each side. All, where the two quantiles are equal. Points into values.
 */
#define DISTRIBUTION_BODY_REACH 0.75
const struct distribution_value *distribution_body(const struct distribution_value *values,
                                                   size_t value_count, size_t *ret_count);

/* Share of the elements with |value| < bound; NaN without elements. */
double distribution_share_below(const struct distribution_value *values, size_t value_count, double bound);

/* Wasserstein-1 distance between two distributions: the integral of |F - G| (Vallender 1974). NaN if one is
 * empty. */
double distribution_wasserstein1(const struct distribution_value *a, size_t a_count,
                                 const struct distribution_value *b, size_t b_count);

/* Counts over `bin_count` equal bins of [low, high); what lies outside goes into the first and last bin. For
 * pictures. */
void distribution_bins(const struct distribution_value *values, size_t value_count, double low, double high,
                       uint64_t *bins, size_t bin_count);

#endif
