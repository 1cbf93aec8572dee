#include "daemon/analysis/columns.h"

#include "daemon/analysis/sum.h"

#include <math.h>

struct moments_sums columns_pool(const struct moments_sums *columns, size_t column_count)
{
    struct sum total = {0};
    uint64_t count = 0;
    for (size_t i = 0; i < column_count; i++) {
        count += columns[i].count;
        sum_add_counted(&total, columns[i].mean, columns[i].count);
    }
    return columns_pool_around(columns, column_count, count ? sum_value(&total) / (double)count : 0);
}

struct moments_sums columns_pool_around(const struct moments_sums *columns, size_t column_count, double mean)
{
    struct moments_sums pooled = {.mean = mean};
    struct sum m2 = {0}, m3 = {0}, m4 = {0};
    for (size_t i = 0; i < column_count; i++) {
        const struct moments_sums *column = &columns[i];
        double n = (double)column->count, shift = column->mean - pooled.mean, square = shift * shift;
        if (column->count == 0)
            continue;
        pooled.count += column->count;
        sum_add(&m2, column->m2);
        sum_add_product(&m2, n, square);
        sum_add(&m3, column->m3);
        sum_add_product(&m3, 3 * shift, column->m2);
        sum_add_product(&m3, n, square * shift);
        sum_add(&m4, column->m4);
        sum_add_product(&m4, 4 * shift, column->m3);
        sum_add_product(&m4, 6 * square, column->m2);
        sum_add_product(&m4, n, square * square);
    }
    pooled.m2 = sum_value(&m2);
    pooled.m3 = sum_value(&m3);
    pooled.m4 = sum_value(&m4);
    return pooled;
}

struct moments_sums columns_pool_centred(const struct moments_sums *columns, size_t column_count)
{
    struct moments_sums pooled = {0};
    struct sum m2 = {0}, m3 = {0}, m4 = {0};
    for (size_t i = 0; i < column_count; i++) {
        pooled.count += columns[i].count;
        sum_add(&m2, columns[i].m2);
        sum_add(&m3, columns[i].m3);
        sum_add(&m4, columns[i].m4);
    }
    pooled.m2 = sum_value(&m2);
    pooled.m3 = sum_value(&m3);
    pooled.m4 = sum_value(&m4);
    return pooled;
}

double columns_mean_share(const struct moments_sums *columns, size_t column_count)
{
    struct moments_sums all = columns_pool(columns, column_count);
    struct moments_sums within = columns_pool_centred(columns, column_count);
    if (!(all.m2 > 0))
        return (double)NAN;
    return fmax(0, all.m2 - within.m2) / all.m2;
}

double columns_mean_rms(const struct moments_sums *columns, size_t column_count)
{
    struct sum squares = {0};
    for (size_t i = 0; i < column_count; i++)
        sum_add_product(&squares, columns[i].mean, columns[i].mean);
    return column_count ? sqrt(sum_value(&squares) / (double)column_count) : (double)NAN;
}
