#include "gpu/cuda/statistics_result.h"

#include <math.h>
#include <string.h>

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* Value of 16 bits: float16, or the upper half of a float32 (which a bfloat16 is). */
static float code_value(enum statistics_kind kind, uint32_t bits)
{
    uint32_t sign = (bits & 0x8000U) << 16, magnitude = bits & 0x7fffU;
    if (kind != STATISTICS_KIND_F16)
        return float_of_bits(bits << 16);
    if (magnitude >= 0x7c00U)
        return float_of_bits(sign | 0x7f800000U | (magnitude & 0x3ffU) << 13);
    if (magnitude < 0x400U) {
        float small = (float)magnitude * 0x1p-24F;
        return sign ? -small : small;
    }
    return float_of_bits(sign | (magnitude + 0x1c000U) << 13);
}

static void census(enum statistics_kind kind, struct statistics_rows *rows)
{
    rows->minimum = rows->maximum = (double)NAN;
    rows->nan_count = rows->positive_inf_count = rows->negative_inf_count = rows->zero_count = 0;
    for (uint32_t code = 0; code < STATISTICS_CODES; code++) {
        uint64_t count = rows->counts[code];
        if (!count)
            continue;
        float value = code_value(kind, statistics_order_bits(code));
        if (isnan(value)) {
            rows->nan_count += count;
        } else if (isinf(value)) {
            *(value > 0 ? &rows->positive_inf_count : &rows->negative_inf_count) += count;
        } else {
            if (value == 0)
                rows->zero_count += count;
            /* + 0.0 turns -0 into +0. */
            if (isnan(rows->minimum))
                rows->minimum = (double)value + 0.0;
            rows->maximum = (double)value + 0.0;
        }
    }
}

static double extreme_value(uint32_t order)
{
    return (double)float_of_bits(order & 0x80000000U ? order & 0x7fffffffU : ~order);
}

/* float32: zeros and extremes were taken from the elements, since codes are intervals. */
static void census_f32(const struct statistics_seen *seen, int segment_count, struct statistics_rows *rows)
{
    struct statistics_seen all = {.lowest = UINT32_MAX, .highest = 0};
    for (int s = 0; s < segment_count; s++) {
        all.zero_count += seen[s].zero_count;
        all.lowest = seen[s].lowest < all.lowest ? seen[s].lowest : all.lowest;
        all.highest = seen[s].highest > all.highest ? seen[s].highest : all.highest;
    }
    rows->zero_count = all.zero_count;
    rows->minimum = all.lowest <= all.highest ? extreme_value(all.lowest) : (double)NAN;
    rows->maximum = all.lowest <= all.highest ? extreme_value(all.highest) : (double)NAN;
}

static void take_counts(const struct statistics_grid *grid, const struct statistics_returned *returned,
                        struct statistics_result *result)
{
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++) {
        struct statistics_rows *rows = &result->rows[set];
        int segment_count = set == STATISTICS_ROW_SET_ALL ? STATISTICS_SEGMENTS : 1;
        for (uint32_t bits = 0; bits < STATISTICS_CODES; bits++) {
            uint64_t count = returned->counts[bits];
            if (segment_count > 1)
                count += returned->counts[STATISTICS_CODES + bits];
            rows->counts[statistics_order_code(bits)] = count;
        }
        rows->elements = grid->columns * (set == STATISTICS_ROW_SET_ALL ? grid->rows : grid->token_rows);
        census(grid->kind, rows);
        if (grid->kind == STATISTICS_KIND_F32)
            census_f32(returned->seen, segment_count, rows);
    }
}

static void take_displacements(const struct statistics_grid *grid, const struct statistics_returned *returned,
                               int reference_count, struct statistics_result *result)
{
    memset(result->displacements, 0, sizeof(result->displacements));
    for (uint32_t block = 0; block < grid->block_count; block++) {
        for (int segment = 0; segment < STATISTICS_SEGMENTS; segment++) {
            for (int i = 0; i < reference_count; i++) {
                const struct statistics_partial *partial =
                    &returned
                         ->partials[((size_t)block * STATISTICS_SEGMENTS + (size_t)segment) * 2 + (size_t)i];
                for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++) {
                    struct statistics_displacement *sum = &result->displacements[i][set];
                    if (set == STATISTICS_ROW_SET_TOKENS && segment != 0)
                        continue;
                    sum->elements += partial->pairs;
                    sum->squared += partial->squared;
                    sum->dot += partial->dot;
                    sum->norm_squared += partial->norm;
                    sum->reference_norm_squared += partial->reference_norm;
                }
            }
        }
    }
}

/* -- Columns ---------------------------------------------------------------------------------------- */

struct column_sum {
    double high, low;
    uint64_t count;
};

/* Two-sum (Knuth). */
static void column_sum_join(struct column_sum *sum, const struct column_sum *other)
{
    double total = sum->high + other->high;
    double virtual_addend = total - sum->high;
    sum->low += (sum->high - (total - virtual_addend)) + (other->high - virtual_addend);
    sum->low += other->low;
    sum->high = total;
    sum->count += other->count;
}

static double column_sum_mean(const struct column_sum *sum)
{
    return sum->count ? (sum->high + sum->low) / (double)sum->count : 0.0;
}

static void take_columns(const struct statistics_grid *grid, const struct statistics_returned *returned,
                         struct statistics_result *result, struct statistics_centring *centring)
{
    struct column_sum every[STATISTICS_ROW_SET_COUNT] = {{0}};
    const uint64_t rows[STATISTICS_SEGMENTS] = {grid->token_rows, grid->rows - grid->token_rows};
    for (uint64_t c = 0; c < grid->columns; c++) {
        struct column_sum segments[STATISTICS_SEGMENTS], all = {0};
        for (int s = 0; s < STATISTICS_SEGMENTS; s++) {
            uint64_t at = (uint64_t)s * grid->columns + c;
            segments[s] = (struct column_sum){returned->high[at], returned->low[at],
                                              rows[s] - returned->not_finite[at]};
            centring->means[at] = column_sum_mean(&segments[s]);
            column_sum_join(&all, &segments[s]);
        }
        column_sum_join(&every[STATISTICS_ROW_SET_ALL], &all);
        column_sum_join(&every[STATISTICS_ROW_SET_TOKENS], &segments[0]);
        result->rows[STATISTICS_ROW_SET_ALL].columns[c] =
            (struct statistics_column){.count = all.count, .mean = column_sum_mean(&all)};
        result->rows[STATISTICS_ROW_SET_TOKENS].columns[c] =
            (struct statistics_column){.count = segments[0].count, .mean = centring->means[c]};
    }
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++)
        result->rows[set].mean = column_sum_mean(&every[set]);
}

static void prepare_centring(const struct statistics_grid *grid, struct statistics_result *result,
                             struct statistics_centring *centring)
{
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++) {
        struct statistics_rows *rows = &result->rows[set];
        double largest_mean = 0;
        for (uint64_t c = 0; c < grid->columns; c++) {
            double magnitude = fabs((double)(float)rows->columns[c].mean);
            largest_mean = magnitude > largest_mean ? magnitude : largest_mean;
        }
        double largest = fmax(fabs(rows->minimum), fabs(rows->maximum)) + largest_mean;
        rows->centred_exponent = statistics_centred_exponent(largest);
        centring->scales[set] = ldexpf(1.0F, -rows->centred_exponent);
        for (uint64_t c = 0; c < grid->columns; c++)
            centring->centres[(uint64_t)set * grid->columns + c] =
                (float)rows->columns[c].mean * centring->scales[set];
    }
}

void statistics_result_first(const struct statistics_grid *grid, const struct statistics_returned *returned,
                             int reference_count, struct statistics_result *result,
                             struct statistics_centring *centring)
{
    take_counts(grid, returned, result);
    take_displacements(grid, returned, reference_count, result);
    take_columns(grid, returned, result, centring);
    prepare_centring(grid, result, centring);
}

/* Joins the central sums of two groups (Pebay 2008). */
static void column_merge(struct statistics_column *a, const struct statistics_column *b)
{
    if (b->count == 0)
        return;
    if (a->count == 0) {
        *a = *b;
        return;
    }
    double na = (double)a->count, nb = (double)b->count, n = na + nb;
    double delta = b->mean - a->mean, share = delta / n;
    double cross = delta * share * na * nb; /* delta^2 na nb / n */
    double m4 = a->m4 + b->m4 + cross * share * share * (na * na - na * nb + nb * nb) +
                6 * share * share * (na * na * b->m2 + nb * nb * a->m2) +
                4 * share * (na * b->m3 - nb * a->m3);
    double m3 = a->m3 + b->m3 + cross * share * (na - nb) + 3 * share * (na * b->m2 - nb * a->m2);
    a->m2 += b->m2 + cross;
    a->m3 = m3;
    a->m4 = m4;
    a->mean += share * nb;
    a->count += b->count;
}

void statistics_result_second(const struct statistics_grid *grid, const struct statistics_returned *returned,
                              const struct statistics_centring *centring, struct statistics_result *result)
{
    uint64_t columns = grid->columns;
    for (uint64_t c = 0; c < columns; c++) {
        struct statistics_column *all = &result->rows[STATISTICS_ROW_SET_ALL].columns[c];
        struct statistics_column *tokens = &result->rows[STATISTICS_ROW_SET_TOKENS].columns[c];
        const double *of_tokens = returned->central + c, *of_padding = of_tokens + 3 * columns;
        struct statistics_column padding = {.count = all->count - tokens->count,
                                            .mean = centring->means[columns + c],
                                            .m2 = of_padding[0],
                                            .m3 = of_padding[columns],
                                            .m4 = of_padding[2 * columns]};
        tokens->m2 = of_tokens[0];
        tokens->m3 = of_tokens[columns];
        tokens->m4 = of_tokens[2 * columns];
        double mean = all->mean;
        *all = *tokens;
        column_merge(all, &padding);
        all->mean = mean;
    }
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++) {
        /* Without padding both row sets are the same and were counted once. */
        const unsigned long long *counts =
            returned->centred_counts + (set && grid->parts[1] ? STATISTICS_CODES : 0);
        for (uint32_t bits = 0; bits < STATISTICS_CODES; bits++)
            result->rows[set].centred_counts[statistics_order_code(bits)] = counts[bits];
    }
}
