#include "gpu/cuda/statistics_result.h"

#include "gpu/half.h"
#include "gpu/statistics_join.h"

#include <math.h>
#include <string.h>

static enum tensor_dtype dtype_of(enum statistics_kind kind)
{
    return kind == STATISTICS_KIND_F16    ? TENSOR_DTYPE_F16
           : kind == STATISTICS_KIND_BF16 ? TENSOR_DTYPE_BF16
                                          : TENSOR_DTYPE_F32;
}

/* float32: zeros and extremes were taken from the elements, since codes are intervals. */
static void take_extremes(const struct statistics_seen *seen, int segment_count, struct statistics_rows *rows)
{
    struct statistics_extremes all = STATISTICS_EXTREMES_NONE;
    for (int s = 0; s < segment_count; s++) {
        const struct statistics_extremes one = {seen[s].zero_count, seen[s].lowest, seen[s].highest};
        statistics_join_extremes(&all, &one);
    }
    statistics_take_extremes(&all, rows);
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
        statistics_take_census(dtype_of(grid->kind), rows);
        if (grid->kind == STATISTICS_KIND_F32)
            take_extremes(returned->seen, segment_count, rows);
    }
}

/* -- Displacements ---------------------------------------------------------------------------------- */

/* |w - r|^2 = |w|^2 + |r|^2 - 2 w r, of sums that are good to their last digits. */
static void add_sums(const struct statistics_sums *sums, uint64_t pairs, int segment, int i,
                     struct statistics_result *result)
{
    const struct statistics_displacement add = {.elements = pairs,
                                                .squared = sums->squared,
                                                .dot =
                                                    (sums->norm + sums->reference_norm - sums->squared) / 2,
                                                .norm_squared = sums->norm,
                                                .reference_norm_squared = sums->reference_norm};
    statistics_add_displacement(&result->displacements[i][STATISTICS_ROW_SET_ALL], &add);
    if (segment == 0)
        statistics_add_displacement(&result->displacements[i][STATISTICS_ROW_SET_TOKENS], &add);
}

/* The sum of the squares of a segment of 16-bit elements, all of them finite: a code's count times its square
 * is one float64 (count below 2^31, 22 bits of a square), so that only the additions round. */
static double norm_of_counts(enum tensor_dtype dtype, const unsigned long long *counts)
{
    double norm = 0;
    for (uint32_t bits = 0; bits < STATISTICS_CODES; bits++) {
        if (counts[bits] == 0)
            continue;
        double value = (double)(dtype == TENSOR_DTYPE_F16 ? half_from_f16((uint16_t)bits)
                                                          : half_from_bf16((uint16_t)bits));
        norm += (double)counts[bits] * (value * value);
    }
    return norm;
}

int statistics_result_displacement(const struct statistics_grid *grid,
                                   const struct statistics_returned *returned, int i,
                                   struct statistics_result *result)
{
    const uint64_t rows[STATISTICS_SEGMENTS] = {grid->token_rows, grid->rows - grid->token_rows};
    memset(result->displacements[i], 0, sizeof(result->displacements[i]));
    if (statistics_grid_comes_back(grid))
        return 0;
    for (int segment = 0; segment < STATISTICS_SEGMENTS; segment++) {
        struct statistics_sums sums = {0, 0, 0};
        for (uint32_t block = 0; block < grid->block_count; block++) {
            const struct statistics_sums *from =
                &returned->partials[((size_t)block * STATISTICS_SEGMENTS + (size_t)segment) * 2 + (size_t)i];
            sums.squared += from->squared;
            sums.norm += from->norm;
            sums.reference_norm += from->reference_norm;
        }
        if (!isfinite(sums.squared) || !isfinite(sums.reference_norm))
            return 0;
        if (grid->kind != STATISTICS_KIND_F32)
            sums.norm =
                norm_of_counts(dtype_of(grid->kind), returned->counts + (size_t)segment * STATISTICS_CODES);
        add_sums(&sums, rows[segment] * grid->columns, segment, i, result);
    }
    return 1;
}

void statistics_result_pairs(const struct statistics_grid *grid, const struct statistics_returned *returned,
                             int i, struct statistics_result *result)
{
    memset(result->displacements[i], 0, sizeof(result->displacements[i]));
    for (uint32_t block = 0; block < grid->block_count; block++)
        for (int segment = 0; segment < STATISTICS_SEGMENTS; segment++) {
            const struct statistics_pair_sums *from =
                &returned->pairs[(size_t)block * STATISTICS_SEGMENTS + (size_t)segment];
            add_sums(&from->sums, from->pairs, segment, i, result);
        }
}

/* -- Columns ---------------------------------------------------------------------------------------- */

static void take_columns(const struct statistics_grid *grid, const struct statistics_returned *returned,
                         struct statistics_result *result, struct statistics_centring *centring)
{
    struct statistics_column_sum every[STATISTICS_ROW_SET_COUNT] = {{0}};
    const uint64_t rows[STATISTICS_SEGMENTS] = {grid->token_rows, grid->rows - grid->token_rows};
    for (uint64_t c = 0; c < grid->columns; c++) {
        struct statistics_column_sum segments[STATISTICS_SEGMENTS], all = {0};
        for (int s = 0; s < STATISTICS_SEGMENTS; s++) {
            uint64_t at = (uint64_t)s * grid->columns + c;
            segments[s] = (struct statistics_column_sum){returned->high[at], returned->low[at],
                                                         rows[s] - returned->not_finite[at]};
            centring->means[at] = statistics_mean_of(&segments[s]);
            statistics_join_column_sum(&all, &segments[s]);
        }
        statistics_join_column_sum(&every[STATISTICS_ROW_SET_ALL], &all);
        statistics_join_column_sum(&every[STATISTICS_ROW_SET_TOKENS], &segments[0]);
        result->rows[STATISTICS_ROW_SET_ALL].columns[c] =
            (struct statistics_column){.count = all.count, .mean = statistics_mean_of(&all)};
        result->rows[STATISTICS_ROW_SET_TOKENS].columns[c] =
            (struct statistics_column){.count = segments[0].count, .mean = centring->means[c]};
    }
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++)
        result->rows[set].mean = statistics_mean_of(&every[set]);
}

void statistics_result_first(const struct statistics_grid *grid, const struct statistics_returned *returned,
                             struct statistics_result *result, struct statistics_centring *centring)
{
    take_counts(grid, returned, result);
    take_columns(grid, returned, result, centring);
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++)
        statistics_take_centres(&result->rows[set], grid->columns, &centring->scales[set],
                                centring->centres + (uint64_t)set * grid->columns);
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
        statistics_merge_column(all, &padding); /* the mean is known better */
        all->mean = mean;
    }
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++) {
        /* Without padding both row sets are the same and were counted once. */
        const unsigned long long *counts =
            returned->centred_counts + (set && grid->parts[1] ? STATISTICS_CODES : 0);
        uint64_t *centred = result->rows[set].centred_counts;
        memset(centred, 0, STATISTICS_CODES * sizeof(*centred));
        for (uint32_t bits = 0; bits < STATISTICS_CODES; bits++) /* every NaN is one code */
            centred[statistics_order_code((bits & 0x7fffU) > 0x7c00U ? 0x7e00U : bits)] += counts[bits];
    }
}
