#include "daemon/analysis/distribution.h"

#include "daemon/analysis/sum.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Beyond what a double can hold. */
#define EXPONENT_MAX 2048

static uint32_t order_bits(uint32_t code)
{
    return code & 0x8000U ? code ^ 0x8000U : code ^ 0xffffU;
}

static double half_value(uint32_t bits)
{
    double sign = bits & 0x8000U ? -1 : 1;
    int exponent = (int)(bits >> 10 & 0x1fU);
    uint32_t fraction = bits & 0x3ffU;
    if (exponent == 0x1f)
        return fraction ? (double)NAN : sign * (double)INFINITY;
    if (exponent == 0)
        return sign * ldexp((double)fraction, -24);
    return sign * ldexp((double)(fraction | 0x400U), exponent - 25);
}

static double single_value(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return (double)value;
}

/* Half-way between the numbers 0x....0000 and 0x....ffff that share an upper half; beside 0, half-way between
 * both signs: zeros come with either, and their atom must not fall in two. */
static double top_value(uint32_t bits)
{
    double first = single_value(bits << 16);
    if (!isfinite(first) || first == 0)
        return first;
    return (first + single_value(bits << 16 | 0xffffU)) / 2;
}

double distribution_code_value(enum distribution_format format, int exponent, uint32_t code)
{
    uint32_t bits = order_bits(code & 0xffffU);
    switch (format) {
    case DISTRIBUTION_FORMAT_F16:
        return half_value(bits);
    case DISTRIBUTION_FORMAT_BF16:
        return single_value(bits << 16);
    case DISTRIBUTION_FORMAT_F32_TOP:
        return top_value(bits);
    case DISTRIBUTION_FORMAT_F16_SCALED:
        return ldexp(half_value(bits), exponent);
    }
    return (double)NAN;
}

static const char *const format_names[] = {[DISTRIBUTION_FORMAT_F16] = "float16",
                                           [DISTRIBUTION_FORMAT_BF16] = "bfloat16",
                                           [DISTRIBUTION_FORMAT_F32_TOP] = "float32_top16",
                                           [DISTRIBUTION_FORMAT_F16_SCALED] = "float16*2^"};

void distribution_name(enum distribution_format format, int exponent, char name[DISTRIBUTION_NAME_SIZE])
{
    if (format == DISTRIBUTION_FORMAT_F16_SCALED)
        (void)snprintf(name, DISTRIBUTION_NAME_SIZE, "%s%d", format_names[format], exponent);
    else
        (void)snprintf(name, DISTRIBUTION_NAME_SIZE, "%s", format_names[format]);
}

int distribution_name_parse(const char *name, enum distribution_format *ret_format, int *ret_exponent,
                            struct err *err)
{
    const char *scaled = format_names[DISTRIBUTION_FORMAT_F16_SCALED];
    for (int format = DISTRIBUTION_FORMAT_F16; format <= DISTRIBUTION_FORMAT_F32_TOP; format++) {
        if (strcmp(name, format_names[format]) == 0) {
            *ret_format = (enum distribution_format)format;
            *ret_exponent = 0;
            return 0;
        }
    }
    if (strncmp(name, scaled, strlen(scaled)) == 0) {
        const char *digits = name + strlen(scaled);
        char *end = NULL;
        long exponent = strtol(digits, &end, 10);
        if (end != digits && *end == '\0' && (*digits == '-' || (*digits >= '0' && *digits <= '9')) &&
            exponent >= -EXPONENT_MAX && exponent <= EXPONENT_MAX) {
            *ret_format = DISTRIBUTION_FORMAT_F16_SCALED;
            *ret_exponent = (int)exponent;
            return 0;
        }
    }
    return err_set(err, ERR_FORMAT, "counts of codes \"%.40s\": not known what they mean", name);
}

size_t distribution_values(const struct distribution *distribution, struct distribution_value *values)
{
    size_t value_count = 0;
    for (uint32_t code = 0; code < DISTRIBUTION_CODES; code++) {
        uint64_t count = distribution->counts[code];
        if (!count)
            continue;
        double value = distribution_code_value(distribution->format, distribution->exponent, code);
        if (!isfinite(value))
            continue;
        if (value_count && values[value_count - 1].value == value) { /* -0 and +0 */
            values[value_count - 1].count += count;
            continue;
        }
        values[value_count++] = (struct distribution_value){.value = value + 0.0, .count = count};
    }
    return value_count;
}

struct distribution_census distribution_census_of(const struct distribution *distribution)
{
    struct distribution_census census = {0};
    for (uint32_t code = 0; code < DISTRIBUTION_CODES; code++) {
        uint64_t count = distribution->counts[code];
        if (!count)
            continue;
        double value = distribution_code_value(distribution->format, distribution->exponent, code);
        census.elements += count;
        if (isnan(value))
            census.nan += count;
        else if (isinf(value))
            *(value > 0 ? &census.positive_inf : &census.negative_inf) += count;
        else
            census.finite += count;
        if (value == 0 && distribution->format != DISTRIBUTION_FORMAT_F32_TOP)
            census.zero += count;
    }
    return census;
}

struct moments_sums distribution_sums(const struct distribution_value *values, size_t value_count)
{
    struct moments_sums sums = {0};
    struct sum total = {0}, m2 = {0}, m3 = {0}, m4 = {0};
    for (size_t i = 0; i < value_count; i++) {
        sum_add_counted(&total, values[i].value, values[i].count);
        sums.count += values[i].count;
    }
    if (value_count == 0)
        return sums;
    if (value_count == 1) {
        sums.mean = values[0].value;
        return sums;
    }
    double n = (double)sums.count;
    sums.mean = sum_value(&total) / n;
    /* What rounding the mean to a double leaves over, so that the sums are around the true one. */
    double rest = (fma(-sums.mean, n, total.high) + total.low) / n;
    for (size_t i = 0; i < value_count; i++) {
        double difference = (values[i].value - sums.mean) - rest;
        double square = difference * difference, count = (double)values[i].count;
        sum_add_product(&m2, square, count);
        sum_add_product(&m3, square * difference, count);
        sum_add_product(&m4, square * square, count);
    }
    sums.m2 = sum_value(&m2);
    sums.m3 = sum_value(&m3);
    sums.m4 = sum_value(&m4);
    return sums;
}

static uint64_t values_total(const struct distribution_value *values, size_t value_count)
{
    uint64_t total = 0;
    for (size_t i = 0; i < value_count; i++)
        total += values[i].count;
    return total;
}

double distribution_quantile(const struct distribution_value *values, size_t value_count, double p)
{
    uint64_t total = values_total(values, value_count), below = 0;
    if (!total || isnan(p))
        return (double)NAN;
    double wanted = ceil(p * (double)total);
    for (size_t i = 0; i < value_count; i++) {
        below += values[i].count;
        if ((double)below >= wanted)
            return values[i].value;
    }
    return values[value_count - 1].value;
}

const struct distribution_value *distribution_body(const struct distribution_value *values,
                                                   size_t value_count, size_t *ret_count)
{
    double low = distribution_quantile(values, value_count, 0.05);
    double high = distribution_quantile(values, value_count, 0.95);
    double reach = DISTRIBUTION_BODY_REACH * (high - low);
    size_t begin = 0, end = value_count;
    if (high > low) {
        while (values[begin].value < low - reach)
            begin++;
        while (values[end - 1].value > high + reach)
            end--;
    }
    *ret_count = end - begin;
    return value_count ? values + begin : values;
}

double distribution_share_below(const struct distribution_value *values, size_t value_count, double bound)
{
    uint64_t total = 0, below = 0;
    for (size_t i = 0; i < value_count; i++) {
        total += values[i].count;
        if (fabs(values[i].value) < bound)
            below += values[i].count;
    }
    return total ? (double)below / (double)total : (double)NAN;
}

double distribution_wasserstein1(const struct distribution_value *a, size_t a_count,
                                 const struct distribution_value *b, size_t b_count)
{
    double a_total = (double)values_total(a, a_count), b_total = (double)values_total(b, b_count);
    if (a_total <= 0 || b_total <= 0)
        return (double)NAN;
    struct sum distance = {0};
    uint64_t a_below = 0, b_below = 0;
    size_t i = 0, j = 0;
    double last = 0;
    while (i < a_count || j < b_count) {
        double next = i >= a_count || (j < b_count && b[j].value < a[i].value) ? b[j].value : a[i].value;
        if (i + j > 0)
            sum_add_product(&distance, fabs((double)a_below / a_total - (double)b_below / b_total),
                            next - last);
        if (i < a_count && a[i].value == next)
            a_below += a[i++].count;
        if (j < b_count && b[j].value == next)
            b_below += b[j++].count;
        last = next;
    }
    return sum_value(&distance);
}

void distribution_bins(const struct distribution_value *values, size_t value_count, double low, double high,
                       uint64_t *bins, size_t bin_count)
{
    memset(bins, 0, bin_count * sizeof(*bins));
    if (!bin_count || !(high > low))
        return;
    for (size_t i = 0; i < value_count; i++) {
        double position = (values[i].value - low) / (high - low) * (double)bin_count;
        size_t bin = position <= 0 ? 0 : position >= (double)bin_count ? bin_count - 1 : (size_t)position;
        bins[bin] += values[i].count;
    }
}
