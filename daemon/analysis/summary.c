#include "daemon/analysis/summary.h"

#include "daemon/analysis/columns.h"
#include "daemon/analysis/dip.h"
#include "daemon/analysis/mixture.h"
#include "daemon/analysis/valley.h"

#include <math.h>
#include <stdlib.h>

static void add_moments(const struct summary_input *input, const struct distribution_value *values,
                        size_t value_count, struct summary *summary)
{
    struct moments_sums sums;
    if (input->is_centred)
        sums = columns_pool_centred(input->columns, input->column_count);
    else if (input->distribution.format == DISTRIBUTION_FORMAT_F32_TOP)
        sums = columns_pool_around(input->columns, input->column_count, input->mean);
    else
        sums = distribution_sums(values, value_count);
    if (summary->minimum == summary->maximum) /* no spread, whatever rounding says */
        sums.m2 = sums.m3 = sums.m4 = 0;
    struct moments moments = moments_of(&sums);
    summary->mean = moments.mean;
    summary->variance = moments.variance;
    summary->skewness = moments.skewness;
    summary->kurtosis = moments.kurtosis;
    summary->bimodality = moments.bimodality;
}

static void add_census(const struct summary_input *input, const struct distribution_value *values,
                       size_t value_count, struct summary *summary)
{
    struct distribution_census census = distribution_census_of(&input->distribution);
    int is_interval = input->distribution.format == DISTRIBUTION_FORMAT_F32_TOP;
    summary->elements = census.elements;
    summary->nan_count = census.nan;
    summary->positive_inf_count = census.positive_inf;
    summary->negative_inf_count = census.negative_inf;
    summary->zero_count = is_interval ? input->zero_count : census.zero;
    summary->minimum = is_interval ? input->minimum : value_count ? values[0].value : (double)NAN;
    summary->maximum = is_interval   ? input->maximum
                       : value_count ? values[value_count - 1].value
                                     : (double)NAN;
}

static void add_quantiles(const struct distribution_value *values, size_t value_count,
                          struct summary *summary)
{
    static const double probabilities[SUMMARY_QUANTILE_COUNT] = {
#define X(suffix, probability) [SUMMARY_QUANTILE_##suffix] = (probability),
        SUMMARY_QUANTILES(X)
#undef X
    };
    for (int i = 0; i < SUMMARY_QUANTILE_COUNT; i++)
        summary->quantiles[i] = distribution_quantile(values, value_count, probabilities[i]);
    summary->sparsity =
        distribution_share_below(values, value_count, SUMMARY_SPARSITY_BOUND * sqrt(summary->variance));
}

static int add_shape(const struct distribution_value *values, size_t value_count, struct summary *summary,
                     struct err *err)
{
    struct dip dip;
    struct mixture mixture;
    size_t body_count = 0;
    const struct distribution_value *body = distribution_body(values, value_count, &body_count);
    int code = dip_measure(values, value_count, &dip, err);
    if (!code)
        code = mixture_fit(body, body_count, &mixture, err);
    if (code)
        return code;
    summary->dip = dip.dip;
    summary->dip_sqrt_n = dip.sqrt_n;
    summary->dip_p = dip.p;
    summary->dip_low = dip.low;
    summary->dip_high = dip.high;
    summary->mixture_weight = mixture.components[0].weight;
    summary->mixture_mean1 = mixture.components[0].mean;
    summary->mixture_sd1 = mixture.components[0].sd;
    summary->mixture_mean2 = mixture.components[1].mean;
    summary->mixture_sd2 = mixture.components[1].sd;
    summary->ashman_d = mixture.ashman_d;
    summary->delta_bic = mixture.delta_bic;
    struct valley valley = valley_find(body, body_count);
    summary->valley_to_peak = valley.ratio;
    summary->modes = valley.mode_count ? valley.mode_count : (double)NAN;
    return 0;
}

int summary_compute(const struct summary_input *input, struct summary *ret_summary, struct err *err)
{
    struct summary summary = {0};
    struct distribution_value *values = calloc(DISTRIBUTION_CODES, sizeof(*values));
    if (!values)
        return err_set(err, ERR_NO_MEMORY, "no memory for the values of a distribution");
    size_t value_count = distribution_values(&input->distribution, values);
    add_census(input, values, value_count, &summary);
    add_moments(input, values, value_count, &summary);
    add_quantiles(values, value_count, &summary);
    int code = add_shape(values, value_count, &summary, err);
    free(values);
    if (!code)
        *ret_summary = summary;
    return code;
}
