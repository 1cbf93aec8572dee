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

/* The same movements are looked at twice: a walk's displacement grows with the time that it takes, a drift's
 * with its square, so that checkpoints which lie closer together later on would bring a steady drift to rest.
 */
enum motion { MOTION_WALK, MOTION_DRIFT, MOTION_COUNT };

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

static double rate_of(const struct series_derived *derived, int kind, enum motion motion)
{
    double rate = kind == 0   ? derived->rate_per_step
                  : kind == 1 ? derived->rate_per_lr
                              : derived->rate_per_lr_squared;
    return motion == MOTION_WALK ? rate : rate / derived->lag1_steps;
}

static void collect(const struct series_input *input, const struct series *series, int kind,
                    enum motion motion, struct movements *movements)
{
    double largest = 0;
    movements->count = 0;
    movements->steps = 0;
    for (size_t i = 0; i < input->count; i++) {
        const struct series_derived *derived = &series->derived[i];
        double rate = rate_of(derived, kind, motion);
        if (isnan(rate) || series_is_in_warmup(input, i))
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

/* Whether movement from `at` on is small beside that before it; `ret_reference`: its median. */
static int is_small_from(const struct movements *movements, size_t at, double share, double *ret_reference)
{
    *ret_reference = median(movements);
    return movements->rows[at].rate_to_end <= share * *ret_reference;
}

static struct series_rest find_rest(const struct series_input *input, const struct series *series, int kind,
                                    struct movements movements[MOTION_COUNT])
{
    const struct series_options *options = input->options;
    struct series_rest rest = {.step = (double)NAN, .reference = (double)NAN};
    const struct movements *walk = &movements[MOTION_WALK];
    double run = 0, ignored;
    for (int motion = 0; motion < MOTION_COUNT; motion++)
        collect(input, series, kind, (enum motion)motion, &movements[motion]);
    if (walk->count < (size_t)options->rest_points + (size_t)options->points_min)
        return rest;
    for (size_t at = 0; at < walk->count; at++)
        run += walk->rows[at].steps;
    rest.verdict = SERIES_VERDICT_NO;
    for (size_t at = 0; at + (size_t)options->rest_points <= walk->count; at++) {
        if (at >= (size_t)options->points_min && walk->steps >= options->rest_moved_share * run &&
            is_small_from(walk, at, options->rest_share, &rest.reference) &&
            is_small_from(&movements[MOTION_DRIFT], at, options->rest_share, &ignored)) {
            rest.verdict = SERIES_VERDICT_YES;
            rest.step = walk->rows[at].end;
            break;
        }
        for (int motion = 0; motion < MOTION_COUNT; motion++)
            add(&movements[motion], at);
    }
    return rest;
}

static int movements_init(struct movements *movements, size_t count, struct err *err)
{
    *movements = (struct movements){.rows = calloc(count + 1, sizeof(*movements->rows)),
                                    .ranked = calloc(count + 1, sizeof(*movements->ranked)),
                                    .tree = calloc(count + 1, sizeof(*movements->tree))};
    return movements->rows && movements->ranked && movements->tree
               ? 0
               : err_set(err, ERR_NO_MEMORY, "no memory for a series");
}

static void movements_free(struct movements *movements)
{
    free(movements->rows);
    free(movements->ranked);
    free(movements->tree);
}

int series_find_rest(const struct series_input *input, struct series *series, struct err *err)
{
    struct movements movements[MOTION_COUNT] = {0};
    int code = 0;
    for (int motion = 0; motion < MOTION_COUNT && !code; motion++)
        code = movements_init(&movements[motion], input->count, err);
    if (!code) {
        series->rest_per_step = find_rest(input, series, 0, movements);
        series->rest_per_lr = find_rest(input, series, 1, movements);
        series->rest_per_lr_squared = find_rest(input, series, 2, movements);
    }
    for (int motion = 0; motion < MOTION_COUNT; motion++)
        movements_free(&movements[motion]);
    return code;
}
