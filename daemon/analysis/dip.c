#include "daemon/analysis/dip.h"

#include <math.h>
#include <stdlib.h>

/*
 * The distribution function as a band: at value i it jumps from lower[i] to upper[i] (in elements). The
 * greatest convex minorant G runs below the lower points, the least concave majorant L above the upper
 * points.
 */
struct band {
    const struct distribution_value *values;
    size_t count;
    double *lower, *upper;
    size_t *minorant_previous; /* vertex before i on the minorant of 0 ... i */
    size_t *majorant_next;     /* vertex after i on the majorant of i ... count - 1 */
    size_t *minorant;          /* vertices on the current interval, ascending */
    size_t *majorant;
    size_t minorant_count, majorant_count;
};

static double value_at(const struct band *band, size_t i)
{
    return band->values[i].value;
}

/* Whether the slope from a to b is at least that from b to c. */
static int slope_falls(const struct band *band, const double *level, size_t a, size_t b, size_t c)
{
    return (level[b] - level[a]) * (value_at(band, c) - value_at(band, b)) >=
           (level[c] - level[b]) * (value_at(band, b) - value_at(band, a));
}

/* Height at `x` of the line between two points of a level. */
static double line_at(const struct band *band, const double *level, size_t a, size_t b, double x)
{
    if (a == b)
        return level[a];
    double share = (x - value_at(band, a)) / (value_at(band, b) - value_at(band, a));
    return level[a] + (level[b] - level[a]) * share;
}

static void find_hulls(struct band *band)
{
    for (size_t i = 1; i < band->count; i++) {
        size_t j = i - 1;
        while (j > 0 && slope_falls(band, band->lower, band->minorant_previous[j], j, i))
            j = band->minorant_previous[j];
        band->minorant_previous[i] = j;
    }
    for (size_t i = band->count - 1; i-- > 0;) {
        size_t j = i + 1;
        while (j < band->count - 1 && !slope_falls(band, band->upper, i, j, band->majorant_next[j]))
            j = band->majorant_next[j];
        band->majorant_next[i] = j;
    }
}

/* Vertices of both hulls on [low, high]. A vertex of the hull of a set is one of the hull of every subset
 * that holds it, and the ends of the interval always are vertices, so the chains found once serve every
 * interval. */
static void collect(struct band *band, size_t low, size_t high)
{
    size_t length = 1;
    for (size_t i = high; i > low; i = band->minorant_previous[i])
        length++;
    band->minorant_count = length;
    for (size_t i = high; length > 1; i = band->minorant_previous[i])
        band->minorant[--length] = i;
    band->minorant[0] = low;
    band->majorant_count = 0;
    for (size_t i = low; i < high; i = band->majorant_next[i])
        band->majorant[band->majorant_count++] = i;
    band->majorant[band->majorant_count++] = high;
}

/* Where majorant and minorant are farthest apart, and the modal interval that follows (steps iii and iv). */
static double farthest(const struct band *band, size_t *ret_low, size_t *ret_high)
{
    double at_minorant = -1, at_majorant = -1;
    size_t low[2] = {0, 0}, high[2] = {0, 0};
    size_t j = 0; /* the majorant's segment: majorant[j] <= vertex < majorant[j + 1] */
    for (size_t i = 0; i < band->minorant_count; i++) {
        size_t vertex = band->minorant[i];
        while (j + 1 < band->majorant_count && band->majorant[j + 1] <= vertex)
            j++;
        size_t start = band->majorant[j];
        size_t end = start == vertex ? start : band->majorant[j + 1];
        double gap = line_at(band, band->upper, start, end, value_at(band, vertex)) - band->lower[vertex];
        if (gap > at_minorant) {
            at_minorant = gap;
            low[0] = vertex;
            high[0] = end;
        }
    }
    j = 0;
    for (size_t i = 0; i < band->majorant_count; i++) {
        size_t vertex = band->majorant[i];
        while (j + 1 < band->minorant_count && band->minorant[j + 1] <= vertex)
            j++;
        size_t start = band->minorant[j];
        size_t end = start == vertex ? start : band->minorant[j + 1];
        double gap = band->upper[vertex] - line_at(band, band->lower, start, end, value_at(band, vertex));
        if (gap > at_majorant) {
            at_majorant = gap;
            low[1] = start;
            high[1] = vertex;
        }
    }
    int side = at_majorant >= at_minorant;
    *ret_low = low[side];
    *ret_high = high[side];
    return side ? at_majorant : at_minorant;
}

/* Step vi: how far the function is above its minorant left of the modal interval, below its majorant right of
 * it. */
static double outside(const struct band *band, size_t low, size_t high)
{
    double largest = 0;
    for (size_t i = 0; i + 1 < band->minorant_count && band->minorant[i + 1] <= low; i++) {
        size_t start = band->minorant[i], end = band->minorant[i + 1];
        for (size_t k = start; k < end; k++)
            largest =
                fmax(largest, band->upper[k] - line_at(band, band->lower, start, end, value_at(band, k)));
    }
    for (size_t i = band->majorant_count - 1; i > 0 && band->majorant[i - 1] >= high; i--) {
        size_t start = band->majorant[i - 1], end = band->majorant[i];
        for (size_t k = start + 1; k <= end; k++)
            largest =
                fmax(largest, line_at(band, band->upper, start, end, value_at(band, k)) - band->lower[k]);
    }
    return largest;
}

static double shrink(struct band *band, size_t *low, size_t *high)
{
    double dip = 1; /* of any points at all, in units of 1 / (2 n) */
    *low = 0;
    *high = band->count - 1;
    while (*low < *high) {
        size_t next_low = 0, next_high = 0;
        collect(band, *low, *high);
        double gap = farthest(band, &next_low, &next_high);
        if (gap <= dip)
            break;
        dip = fmax(dip, outside(band, next_low, next_high));
        *low = next_low;
        *high = next_high;
    }
    return dip;
}

int dip_measure(const struct distribution_value *values, size_t value_count, struct dip *ret_dip,
                struct err *err)
{
    if (value_count == 0) {
        *ret_dip = (struct dip){(double)NAN, (double)NAN, (double)NAN, (double)NAN, (double)NAN};
        return 0;
    }
    struct band band = {.values = values, .count = value_count};
    double *levels = calloc(2 * value_count, sizeof(*levels));
    size_t *indices = calloc(4 * value_count, sizeof(*indices));
    int code = 0;
    if (!levels || !indices) {
        code = err_set(err, ERR_NO_MEMORY, "no memory for the dip of %zu values", value_count);
        goto out;
    }
    band.lower = levels;
    band.upper = levels + value_count;
    band.minorant_previous = indices;
    band.majorant_next = indices + value_count;
    band.minorant = indices + 2 * value_count;
    band.majorant = indices + 3 * value_count;
    uint64_t below = 0;
    for (size_t i = 0; i < value_count; i++) {
        band.lower[i] = (double)below;
        below += values[i].count;
        band.upper[i] = (double)below;
    }
    find_hulls(&band);
    size_t low = 0, high = 0;
    double n = (double)below;
    double dip = value_count > 1 ? shrink(&band, &low, &high) / (2 * n) : 0;
    *ret_dip = (struct dip){.dip = dip,
                            .sqrt_n = sqrt(n) * dip,
                            .p = dip_p_value(sqrt(n) * dip),
                            .low = values[low].value,
                            .high = values[high].value};
out:
    free(levels);
    free(indices);
    return code;
}

double dip_p_value(double sqrt_n)
{
    static const struct {
        double sqrt_n, p;
    } table[] = {{0.3785, 0.5},   {0.5026, 0.1},   {0.5452, 0.05},  {0.6327, 0.01},
                 {0.6664, 0.005}, {0.7386, 0.001}, {0.8301, 0.0001}};
    const size_t last = sizeof(table) / sizeof(table[0]) - 1;
    if (isnan(sqrt_n))
        return (double)NAN;
    if (sqrt_n < table[0].sqrt_n)
        return 1 - 0.5 * fmax(sqrt_n, 0) / table[0].sqrt_n;
    for (size_t i = 0; i < last; i++) {
        if (sqrt_n >= table[i + 1].sqrt_n)
            continue;
        double share = (sqrt_n - table[i].sqrt_n) / (table[i + 1].sqrt_n - table[i].sqrt_n);
        return exp(log(table[i].p) + share * (log(table[i + 1].p) - log(table[i].p)));
    }
    return table[last].p;
}
