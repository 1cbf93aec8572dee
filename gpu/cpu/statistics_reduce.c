#include "gpu/cpu/statistics_plan.h"

#include "gpu/statistics_join.h"

#include <string.h>

/* float32: zeros and extremes were taken from the elements, since codes are intervals. */
static void take_extremes(const struct statistics_plan *plan, const int *segments,
                          struct statistics_rows *rows)
{
    struct statistics_extremes all = STATISTICS_EXTREMES_NONE;
    for (int i = 0; i < plan->worker_count; i++) {
        for (int s = 0; s < STATISTICS_SEGMENT_COUNT; s++)
            if (segments[s])
                statistics_join_extremes(&all, &plan->workers[i].extremes[s]);
    }
    statistics_take_extremes(&all, rows);
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
        enum tensor_dtype dtype = plan->dtype;
        statistics_take_census(dtype, rows);
        if (dtype == TENSOR_DTYPE_F32)
            take_extremes(plan, segments, rows);
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
                statistics_add_displacement(sum, add);
            }
        }
    }
}

static struct statistics_column_sum part_sum(const struct statistics_part *part, uint64_t column)
{
    return (struct statistics_column_sum){part->sum_high[column], part->sum_low[column],
                                          part->row_end - part->row_begin - part->not_finite[column]};
}

/* Means of the row sets into the result, those of the segments into the plan. */
static void reduce_columns(struct statistics_plan *plan, struct statistics_result *result)
{
    struct statistics_column_sum every[STATISTICS_ROW_SET_COUNT] = {{0}};
    for (uint64_t c = 0; c < plan->request->columns; c++) {
        struct statistics_column_sum all = {0}, segments[STATISTICS_SEGMENT_COUNT] = {{0}};
        for (size_t i = 0; i < plan->part_count; i++) {
            const struct statistics_column_sum sum = part_sum(&plan->parts[i], c);
            statistics_join_column_sum(&all, &sum);
            statistics_join_column_sum(&segments[plan->parts[i].segment], &sum);
        }
        for (int s = 0; s < STATISTICS_SEGMENT_COUNT; s++)
            plan->segment_mean[s][c] = statistics_mean_of(&segments[s]);
        statistics_join_column_sum(&every[STATISTICS_ROW_SET_ALL], &all);
        statistics_join_column_sum(&every[STATISTICS_ROW_SET_TOKENS], &segments[STATISTICS_SEGMENT_TOKENS]);
        struct statistics_column *of_all = &result->rows[STATISTICS_ROW_SET_ALL].columns[c];
        struct statistics_column *of_tokens = &result->rows[STATISTICS_ROW_SET_TOKENS].columns[c];
        *of_all = (struct statistics_column){.count = all.count, .mean = statistics_mean_of(&all)};
        *of_tokens = (struct statistics_column){.count = segments[STATISTICS_SEGMENT_TOKENS].count,
                                                .mean = plan->segment_mean[STATISTICS_SEGMENT_TOKENS][c]};
    }
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++)
        result->rows[set].mean = statistics_mean_of(&every[set]);
}

void statistics_reduce_first(struct statistics_plan *plan, struct statistics_result *result)
{
    reduce_counts(plan, result);
    reduce_displacements(plan, result);
    reduce_columns(plan, result);
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++)
        statistics_take_centres(&result->rows[set], plan->request->columns, &plan->scale[set],
                                plan->centre[set]);
    for (int i = 0; i < plan->worker_count; i++) {
        for (int s = 0; s < STATISTICS_SEGMENT_COUNT; s++)
            memset(plan->workers[i].totals[s], 0, STATISTICS_CODES * sizeof(uint64_t));
    }
    memset(plan->part_sums, 0, 3 * plan->part_count * plan->request->columns * sizeof(double));
    atomic_store(&plan->next_part, 0);
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
    statistics_merge_column(all, &padding); /* the mean is known better */
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
