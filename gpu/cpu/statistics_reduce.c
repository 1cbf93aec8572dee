#include "gpu/cpu/statistics_plan.h"

#include "gpu/cpu/half.h"

#include <math.h>
#include <string.h>

static float code_value(enum tensor_dtype dtype, uint32_t code)
{
    uint16_t bits = (uint16_t)statistics_order_bits(code);
    return dtype == TENSOR_DTYPE_F16 ? half_from_f16(bits) : half_from_bf16(bits);
}

/* Counts of what is not finite, zeros and extremes of one row set, from its counts. */
static void census(enum tensor_dtype dtype, struct statistics_rows *rows)
{
    rows->minimum = rows->maximum = (double)NAN;
    rows->nan_count = rows->positive_inf_count = rows->negative_inf_count = rows->zero_count = 0;
    for (uint32_t code = 0; code < STATISTICS_CODES; code++) {
        uint64_t count = rows->counts[code];
        if (!count)
            continue;
        float value = code_value(dtype, code);
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
    return (double)half_float_of_bits(statistics_order32_to_bits(order));
}

/* float32: zeros and extremes were taken from the elements, since codes are intervals. */
static void census_f32(const struct statistics_plan *plan, const int *segments, struct statistics_rows *rows)
{
    struct statistics_extremes all = {.lowest = UINT32_MAX, .highest = 0};
    for (int i = 0; i < plan->worker_count; i++) {
        for (int s = 0; s < STATISTICS_SEGMENT_COUNT; s++) {
            const struct statistics_extremes *seen = &plan->workers[i].extremes[s];
            if (!segments[s])
                continue;
            all.zero_count += seen->zero_count;
            all.lowest = seen->lowest < all.lowest ? seen->lowest : all.lowest;
            all.highest = seen->highest > all.highest ? seen->highest : all.highest;
        }
    }
    rows->zero_count = all.zero_count;
    rows->minimum = all.lowest <= all.highest ? extreme_value(all.lowest) : (double)NAN;
    rows->maximum = all.lowest <= all.highest ? extreme_value(all.highest) : (double)NAN;
}

static void reduce_counts(struct statistics_plan *plan, struct statistics_result *result)
{
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++) {
        const int segments[STATISTICS_SEGMENT_COUNT] = {1, set == STATISTICS_ROW_SET_ALL};
        struct statistics_rows *rows = &result->rows[set];
        memset(rows->counts, 0, STATISTICS_CODES * sizeof(*rows->counts));
        for (int i = 0; i < plan->worker_count; i++) {
            for (int s = 0; s < STATISTICS_SEGMENT_COUNT; s++) {
                for (uint32_t code = 0; segments[s] && code < STATISTICS_CODES; code++)
                    rows->counts[code] += plan->workers[i].totals[s][code];
            }
        }
        rows->elements = plan->request->columns *
                         (set == STATISTICS_ROW_SET_ALL ? plan->request->rows : plan->request->token_rows);
        enum tensor_dtype dtype = plan->request->dtype;
        census(dtype, rows);
        if (dtype == TENSOR_DTYPE_F32)
            census_f32(plan, segments, rows);
    }
}

static void reduce_displacements(const struct statistics_plan *plan, struct statistics_result *result)
{
    memset(result->displacements, 0, sizeof(result->displacements));
    for (size_t i = 0; i < plan->part_count; i++) {
        const struct statistics_part *part = &plan->parts[i];
        for (int reference = 0; reference < plan->request->reference_count; reference++) {
            for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++) {
                struct statistics_displacement *sum = &result->displacements[reference][set];
                const struct statistics_displacement *add = &part->displacements[reference];
                if (set == STATISTICS_ROW_SET_TOKENS && part->segment != STATISTICS_SEGMENT_TOKENS)
                    continue;
                sum->elements += add->elements;
                sum->squared += add->squared;
                sum->dot += add->dot;
                sum->norm_squared += add->norm_squared;
                sum->reference_norm_squared += add->reference_norm_squared;
            }
        }
    }
}

struct column_sum {
    double high, low;
    uint64_t count;
};

static void column_sum_add(struct column_sum *sum, const struct statistics_part *part, uint64_t column)
{
    double addend = part->sum_high[column], total = sum->high + addend;
    double virtual_addend = total - sum->high;
    sum->low += (sum->high - (total - virtual_addend)) + (addend - virtual_addend);
    sum->low += part->sum_low[column];
    sum->high = total;
    sum->count += part->row_end - part->row_begin - part->not_finite[column];
}

/* Joins the columns of a row set; few terms, so the low parts need no care. */
static void column_sum_join(struct column_sum *sum, const struct column_sum *column)
{
    double total = sum->high + column->high;
    double virtual_addend = total - sum->high;
    sum->low += (sum->high - (total - virtual_addend)) + (column->high - virtual_addend);
    sum->low += column->low;
    sum->high = total;
    sum->count += column->count;
}

static double column_sum_mean(const struct column_sum *sum)
{
    return sum->count ? (sum->high + sum->low) / (double)sum->count : 0;
}

/* Means of the row sets into the result, those of the segments into the plan. */
static void reduce_columns(struct statistics_plan *plan, struct statistics_result *result)
{
    struct column_sum every[STATISTICS_ROW_SET_COUNT] = {{0}};
    for (uint64_t c = 0; c < plan->request->columns; c++) {
        struct column_sum all = {0}, segments[STATISTICS_SEGMENT_COUNT] = {{0}};
        for (size_t i = 0; i < plan->part_count; i++) {
            column_sum_add(&all, &plan->parts[i], c);
            column_sum_add(&segments[plan->parts[i].segment], &plan->parts[i], c);
        }
        for (int s = 0; s < STATISTICS_SEGMENT_COUNT; s++)
            plan->segment_mean[s][c] = column_sum_mean(&segments[s]);
        column_sum_join(&every[STATISTICS_ROW_SET_ALL], &all);
        column_sum_join(&every[STATISTICS_ROW_SET_TOKENS], &segments[STATISTICS_SEGMENT_TOKENS]);
        struct statistics_column *of_all = &result->rows[STATISTICS_ROW_SET_ALL].columns[c];
        struct statistics_column *of_tokens = &result->rows[STATISTICS_ROW_SET_TOKENS].columns[c];
        *of_all = (struct statistics_column){.count = all.count, .mean = column_sum_mean(&all)};
        *of_tokens = (struct statistics_column){.count = segments[STATISTICS_SEGMENT_TOKENS].count,
                                                .mean = plan->segment_mean[STATISTICS_SEGMENT_TOKENS][c]};
    }
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++)
        result->rows[set].mean = column_sum_mean(&every[set]);
}

static void prepare_centres(struct statistics_plan *plan, struct statistics_result *result)
{
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++) {
        struct statistics_rows *rows = &result->rows[set];
        double largest_mean = 0;
        for (uint64_t c = 0; c < plan->request->columns; c++) {
            double magnitude = fabs((double)(float)rows->columns[c].mean);
            largest_mean = magnitude > largest_mean ? magnitude : largest_mean;
        }
        double largest = fmax(fabs(rows->minimum), fabs(rows->maximum)) + largest_mean;
        rows->centred_exponent = statistics_centred_exponent(largest);
        plan->scale[set] = ldexpf(1.0F, -rows->centred_exponent);
        for (uint64_t c = 0; c < plan->request->columns; c++)
            plan->centre[set][c] = (float)rows->columns[c].mean * plan->scale[set];
    }
}

void statistics_reduce_first(struct statistics_plan *plan, struct statistics_result *result)
{
    reduce_counts(plan, result);
    reduce_displacements(plan, result);
    reduce_columns(plan, result);
    prepare_centres(plan, result);
    for (int i = 0; i < plan->worker_count; i++) {
        for (int s = 0; s < STATISTICS_SEGMENT_COUNT; s++)
            memset(plan->workers[i].totals[s], 0, STATISTICS_CODES * sizeof(uint64_t));
    }
    memset(plan->part_sums, 0, 3 * plan->part_count * plan->request->columns * sizeof(double));
    atomic_store(&plan->next_part, 0);
}

/* Joins the central sums of two groups (Pebay 2008); the mean of `a`, known better, stays that of the caller.
 */
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

static void reduce_central(const struct statistics_plan *plan, uint64_t c, struct statistics_result *result)
{
    struct statistics_column *all = &result->rows[STATISTICS_ROW_SET_ALL].columns[c];
    struct statistics_column *tokens = &result->rows[STATISTICS_ROW_SET_TOKENS].columns[c];
    struct statistics_column padding = {.count = all->count - tokens->count,
                                        .mean = plan->segment_mean[STATISTICS_SEGMENT_PADDING][c]};
    for (size_t i = 0; i < plan->part_count; i++) {
        const struct statistics_part *part = &plan->parts[i];
        struct statistics_column *column = part->segment == STATISTICS_SEGMENT_TOKENS ? tokens : &padding;
        column->m2 += part->m2[c];
        column->m3 += part->m3[c];
        column->m4 += part->m4[c];
    }
    double mean = all->mean;
    *all = *tokens;
    column_merge(all, &padding);
    all->mean = mean;
}

void statistics_reduce_second(struct statistics_plan *plan, struct statistics_result *result)
{
    for (uint64_t c = 0; c < plan->request->columns; c++)
        reduce_central(plan, c, result);
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++) {
        uint64_t *counts = result->rows[set].centred_counts;
        int source = plan->has_padding ? set : STATISTICS_ROW_SET_TOKENS;
        memset(counts, 0, STATISTICS_CODES * sizeof(*counts));
        for (int i = 0; i < plan->worker_count; i++) {
            for (uint32_t code = 0; code < STATISTICS_CODES; code++)
                counts[code] += plan->workers[i].totals[source][code];
        }
    }
}
