#include "gpu/statistics_join.h"

#include "gpu/half.h"

#include <math.h>

/* -- Counts ---------------------------------------------------------------------------------------- */

static float code_value(enum tensor_dtype dtype, uint32_t code)
{
    uint16_t bits = (uint16_t)statistics_order_bits(code);
    return dtype == TENSOR_DTYPE_F16 ? half_from_f16(bits) : half_from_bf16(bits);
}

void statistics_take_census(enum tensor_dtype dtype, struct statistics_rows *rows)
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

void statistics_join_extremes(struct statistics_extremes *all, const struct statistics_extremes *seen)
{
    all->zero_count += seen->zero_count;
    all->lowest = seen->lowest < all->lowest ? seen->lowest : all->lowest;
    all->highest = seen->highest > all->highest ? seen->highest : all->highest;
}

static double extreme_value(uint32_t order)
{
    return (double)half_float_of_bits(statistics_order32_to_bits(order));
}

void statistics_take_extremes(const struct statistics_extremes *all, struct statistics_rows *rows)
{
    int is_seen = all->lowest <= all->highest;
    rows->zero_count = all->zero_count;
    rows->minimum = is_seen ? extreme_value(all->lowest) : (double)NAN;
    rows->maximum = is_seen ? extreme_value(all->highest) : (double)NAN;
}

/* -- Columns --------------------------------------------------------------------------------------- */

/* Two-sum (Knuth). */
void statistics_join_column_sum(struct statistics_column_sum *sum, const struct statistics_column_sum *other)
{
    double total = sum->high + other->high;
    double virtual_addend = total - sum->high;
    sum->low += (sum->high - (total - virtual_addend)) + (other->high - virtual_addend);
    sum->low += other->low;
    sum->high = total;
    sum->count += other->count;
}

double statistics_mean_of(const struct statistics_column_sum *sum)
{
    return sum->count ? (sum->high + sum->low) / (double)sum->count : 0.0;
}

void statistics_take_centres(struct statistics_rows *rows, uint64_t columns, float *ret_scale, float *centres)
{
    double largest_mean = 0;
    for (uint64_t c = 0; c < columns; c++) {
        double magnitude = fabs((double)(float)rows->columns[c].mean);
        largest_mean = magnitude > largest_mean ? magnitude : largest_mean;
    }
    double largest = fmax(fabs(rows->minimum), fabs(rows->maximum)) + largest_mean;
    rows->centred_exponent = statistics_centred_exponent(largest);
    *ret_scale = ldexpf(1.0F, -rows->centred_exponent);
    for (uint64_t c = 0; c < columns; c++)
        centres[c] = (float)rows->columns[c].mean * *ret_scale;
}

void statistics_merge_column(struct statistics_column *a, const struct statistics_column *b)
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

/* -- Displacements --------------------------------------------------------------------------------- */

void statistics_add_displacement(struct statistics_displacement *sum,
                                 const struct statistics_displacement *add)
{
    sum->elements += add->elements;
    sum->squared += add->squared;
    sum->dot += add->dot;
    sum->norm_squared += add->norm_squared;
    sum->reference_norm_squared += add->reference_norm_squared;
}
