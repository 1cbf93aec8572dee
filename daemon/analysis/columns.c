#include "daemon/analysis/columns.h"

#include "daemon/analysis/sum.h"

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
