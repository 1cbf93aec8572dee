#include "daemon/analysis/series_parts.h"

#include <math.h>
#include <stdlib.h>

/* A displacement between neighbours after the warm-up; they are in the order of the run. */
struct movement {
    double rate;
    double steps;       /* that it took */
    double end;         /* the step at its end */
    double rate_to_end; /* the largest rate from here to the end of the run */
    size_t rank;        /* by rate, from 0 */
};

struct ranked {
    double rate;
    size_t index;
};

/* The movements, and the steps of those that were added so far, by rank: a Fenwick tree, which finds the
 * rate below which half of the steps lie without sorting anew for each beginning of a rest. Steps are whole
 * numbers, so that its sums are exact. */
struct movements {
    struct movement *rows;
    struct ranked *ranked;
    double *tree; /* from 1 */
    size_t count;
    double steps; /* that were added */
};

static int ranked_compare(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->rate != y->rate)
        return x->rate < y->rate ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static double rate_of(const struct series_derived *derived, int kind)
{
    return kind == 0   ? derived->rate_per_step
           : kind == 1 ? derived->rate_per_lr
                       : derived->rate_per_lr_squared;
}

static void collect(const struct series_input *input, const struct series *series, int kind,
                    struct movements *movements)
{
    const struct schedule *schedule = &input->options->schedule;
    double warmup = schedule->kind == SCHEDULE_KIND_UNKNOWN ? 0 : schedule->warmup_steps, largest = 0;
    movements->count = 0;
    movements->steps = 0;
    for (size_t i = 0; i < input->count; i++) {
        const struct series_derived *derived = &series->derived[i];
        double rate = rate_of(derived, kind);
        if (isnan(rate) || input->points[i].step <= warmup)
            continue;
        size_t at = movements->count++;
        movements->rows[at] =
            (struct movement){.rate = rate, .steps = derived->lag1_steps, .end = input->points[i].step};
        movements->ranked[at] = (struct ranked){rate, at};
    }
    qsort(movements->ranked, movements->count, sizeof(*movements->ranked), ranked_compare);
    for (size_t rank = 0; rank < movements->count; rank++) {
        movements->rows[movements->ranked[rank].index].rank = rank;
        movements->tree[rank + 1] = 0;
    }
    for (size_t at = movements->count; at-- > 0;) {
        largest = fmax(largest, movements->rows[at].rate);
        movements->rows[at].rate_to_end = largest;
    }
}

static void add(struct movements *movements, size_t at)
{
    const struct movement *row = &movements->rows[at];
    movements->steps += row->steps;
    for (size_t node = row->rank + 1; node <= movements->count; node += node & -node)
        movements->tree[node] += row->steps;
}

/* The smallest rate that is not exceeded in at least half of the steps that were added. */
static double median(const struct movements *movements)
{
    size_t below = 0, reach = 1; /* ranks that hold less than half */
    double left = movements->steps / 2;
    while (reach <= movements->count / 2)
        reach *= 2;
    for (; reach; reach /= 2) {
        if (below + reach <= movements->count && movements->tree[below + reach] < left) {
            below += reach;
            left -= movements->tree[below];
        }
    }
    return movements->ranked[below].rate;
}

static struct series_rest find_rest(const struct series_input *input, const struct series *series, int kind,
                                    struct movements *movements)
{
    const struct series_options *options = input->options;
    struct series_rest rest = {.step = (double)NAN, .reference = (double)NAN};
    double run = 0;
    collect(input, series, kind, movements);
    if (movements->count < (size_t)options->rest_points + (size_t)options->points_min)
        return rest;
    for (size_t at = 0; at < movements->count; at++)
        run += movements->rows[at].steps;
    rest.verdict = SERIES_VERDICT_NO;
    for (size_t at = 0; at + (size_t)options->rest_points <= movements->count; at++) {
        const struct movement *row = &movements->rows[at];
        if (at >= (size_t)options->points_min && movements->steps >= options->rest_moved_share * run) {
            rest.reference = median(movements);
            if (row->rate_to_end <= options->rest_share * rest.reference) {
                rest.verdict = SERIES_VERDICT_YES;
                rest.step = row->end;
                break;
            }
        }
        add(movements, at);
    }
    return rest;
}

int series_find_rest(const struct series_input *input, struct series *series, struct err *err)
{
    struct movements movements = {
        .rows = calloc(input->count + 1, sizeof(*movements.rows)),
        .ranked = calloc(input->count + 1, sizeof(*movements.ranked)),
        .tree = calloc(input->count + 1, sizeof(*movements.tree)),
    };
    int code = 0;
    if (!movements.rows || !movements.ranked || !movements.tree)
        code = err_set(err, ERR_NO_MEMORY, "no memory for a series");
    if (!code) {
        series->rest_per_step = find_rest(input, series, 0, &movements);
        series->rest_per_lr = find_rest(input, series, 1, &movements);
        series->rest_per_lr_squared = find_rest(input, series, 2, &movements);
    }
    free(movements.rows);
    free(movements.ranked);
    free(movements.tree);
    return code;
}
