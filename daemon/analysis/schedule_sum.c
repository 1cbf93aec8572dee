/*
 * What a schedule accumulates by a step, without a turn for each update.
 *
 * The curve has four pieces: warm-up, a stable part at one rate (of WSD; of others it is empty), descent, and
 * a rest at one rate. Where the rate stays all sums are closed.
 * The others are cut into blocks, and a sum over the m updates of a block is that of its three nodes (Gauss's
 * rule for sums over integers: exact for polynomials up to degree 5, and for up to three updates). The walk
 * shrinks while it grows, so its share of a block is summed backwards, in parts that shrink it by little,
 * until what lies before is forgotten.
 */
#include "daemon/analysis/schedule.h"

#include <math.h>

#define BLOCKS 64             /* of a piece; the error of a block falls with its sixth power */
#define PART_DECAY (1.0 / 32) /* -ln(kept) of one part of the walk */
#define PART_SHARE 0.75       /* of its highest rate, which the lowest has at least */
#define FORGOTTEN_DECAY 16.0  /* -ln(kept) beyond which the walk is forgotten: exp(-32) = 1e-14 */

/* Three places within `count` updates from `first` on, and how many updates each stands for. */
struct nodes {
    double centre, spread; /* centre - spread, centre, centre + spread */
    double outer, inner;   /* weights */
};

static struct nodes nodes_of(double first, double count)
{
    double square = count * count;
    double outer = count > 1 ? 5 * count * (square - 1) / (6 * (3 * square - 7)) : 0;
    return (struct nodes){.centre = first + (count - 1) / 2,
                          .spread = count > 1 ? sqrt((3 * square - 7) / 20) : 0,
                          .outer = outer,
                          .inner = count - 2 * outer};
}

static double sum_of(const struct nodes *nodes, const double values[3])
{
    return nodes->outer * (values[0] + values[2]) + nodes->inner * values[1];
}

static double log_keep(const struct schedule *schedule, double rate)
{
    return log1p(-rate * schedule->weight_decay);
}

static void rates_at(const struct schedule *schedule, const struct nodes *nodes, double rates[3],
                     double keeps[3])
{
    for (int i = 0; i < 3; i++) {
        rates[i] = schedule_rate(schedule, nodes->centre + (i - 1) * nodes->spread);
        keeps[i] = log_keep(schedule, rates[i]);
    }
}

/* Sum of the parabola through keeps[] at the nodes, over the updates of the block behind its node `i`: how
 * far the walk's step there has shrunk by the end of the block, as a logarithm. */
static double sum_behind(const struct nodes *nodes, const double keeps[3], double count, int i)
{
    double at = (i - 1) * nodes->spread, last = (count - 1) / 2; /* from the centre */
    double slope = 0, bend = 0;
    if (nodes->spread > 0) {
        slope = (keeps[2] - keeps[0]) / (2 * nodes->spread);
        bend = (keeps[2] - 2 * keeps[1] + keeps[0]) / (2 * nodes->spread * nodes->spread);
    }
    return keeps[1] * (last - at) + slope * (last * (last + 1) - at * (at + 1)) / 2 +
           bend * (last * (last + 1) * (2 * last + 1) - at * (at + 1) * (2 * at + 1)) / 6;
}

/* How many updates before `end` the next part of the walk has, at most `most`; the rate falls or grows in all
 * of them. */
static double part_of(const struct schedule *schedule, double begin, double end, double most)
{
    double count = fmin(end - begin, most);
    while (count > 3) {
        double first = schedule_rate(schedule, end - count), last = schedule_rate(schedule, end - 1);
        double high = fmax(first, last);
        if (-count * log_keep(schedule, high) <= PART_DECAY && fmin(first, last) >= PART_SHARE * high)
            break;
        count = floor(count / 2);
    }
    return count;
}

/* The walk after the updates from `begin` to `end`, which was `walk` before them. */
static double walk_on(const struct schedule *schedule, double begin, double end, double walk)
{
    double kept = 0, sum = 0; /* kept: the logarithm, of what lies behind `end` */
    double most = end - begin;
    while (end > begin && kept > -FORGOTTEN_DECAY) {
        double count = part_of(schedule, begin, end, most), rates[3], keeps[3], steps[3];
        struct nodes nodes = nodes_of(end - count, count);
        rates_at(schedule, &nodes, rates, keeps);
        for (int i = 0; i < 3; i++)
            steps[i] = rates[i] * rates[i] * exp(2 * sum_behind(&nodes, keeps, count, i));
        sum += exp(2 * kept) * sum_of(&nodes, steps);
        kept += sum_of(&nodes, keeps);
        end -= count;
        most = 2 * count; /* the parts beside are about as long: the search begins there */
    }
    return end > begin ? sum : sum + walk * exp(2 * kept);
}

static void take_block(const struct schedule *schedule, double end, struct schedule_sums *now)
{
    double rates[3], keeps[3], squares[3];
    struct nodes nodes = nodes_of(now->step, end - now->step);
    rates_at(schedule, &nodes, rates, keeps);
    for (int i = 0; i < 3; i++)
        squares[i] = rates[i] * rates[i];
    now->rates += sum_of(&nodes, rates);
    now->rates_squared += sum_of(&nodes, squares);
    now->log_kept += sum_of(&nodes, keeps);
    now->decayed_walk = walk_on(schedule, now->step, end, now->decayed_walk);
    now->step = end;
}

/* All updates have the same rate: geometric series. */
static void take_even(const struct schedule *schedule, double end, struct schedule_sums *now)
{
    double rate = schedule_rate(schedule, now->step), count = end - now->step;
    double keep = log_keep(schedule, rate);
    double steps = keep < 0 ? expm1(2 * count * keep) / expm1(2 * keep) : count;
    now->rates += count * rate;
    now->rates_squared += count * rate * rate;
    now->log_kept += count * keep;
    now->decayed_walk = now->decayed_walk * exp(2 * count * keep) + rate * rate * steps;
    now->step = end;
}

/* The first updates behind the warm-up, of the descent, and of the rest. */
struct pieces {
    double stable, descent, rest;
};

static struct pieces find_pieces(const struct schedule *schedule)
{
    double stable = schedule->warmup_steps > 0 ? floor(schedule->warmup_steps) + 1 : 0;
    double descent = stable, low = schedule_floor_step(schedule);
    if (schedule_has_stable(schedule->kind))
        descent = fmax(stable, floor(schedule->stable_until) + 1);
    if (schedule->kind == SCHEDULE_KIND_NEOX_COSINE && isnan(low))
        low = schedule->end_step - schedule->warmup_steps;
    return (struct pieces){stable, descent, ceil(low) > descent ? ceil(low) : descent};
}

/* How many updates the next block of a piece of `length` may have. A square root bends the more, the nearer
 * its beginning is: there blocks grow with the way from it. */
static double block_of(const struct schedule *schedule, double length, double step)
{
    double most = fmax(1, floor(length / BLOCKS));
    if (schedule->kind == SCHEDULE_KIND_WSD_SQRT && step > schedule->warmup_steps)
        most = fmin(most, fmax(3, floor((step - fmax(schedule->warmup_steps, schedule->stable_until)) / 8)));
    return most;
}

/* Goes on to `end`, or to where the piece or its block ends. */
static void take_part(const struct schedule *schedule, const struct pieces *pieces, double end,
                      struct schedule_sums *now)
{
    int is_before = now->step < pieces->stable;
    if (now->step >= pieces->rest) {
        take_even(schedule, end, now);
    } else if (!is_before && now->step < pieces->descent) {
        take_even(schedule, fmin(pieces->descent, end), now);
    } else {
        double last = is_before ? pieces->stable : pieces->rest;
        double length = is_before ? last : last - pieces->descent;
        take_block(schedule, fmin(fmin(now->step + block_of(schedule, length, now->step), last), end), now);
    }
}

void schedule_accumulate(const struct schedule *schedule, const double *steps, size_t count,
                         struct schedule_sums *sums)
{
    const double none = (double)NAN;
    struct schedule_sums now = {.step = 0};
    const struct pieces pieces = find_pieces(schedule);
    int is_sane = schedule->kind != SCHEDULE_KIND_UNKNOWN &&
                  fmax(schedule->rate_max, schedule->rate_min) * schedule->weight_decay <= SCHEDULE_DECAY_MAX;
    for (size_t i = 0; i < count; i++) {
        if (!is_sane || !(steps[i] >= 0 && steps[i] <= SCHEDULE_STEPS_MAX)) {
            sums[i] = (struct schedule_sums){steps[i], none, none, none, none, none, none};
            continue;
        }
        while (now.step < floor(steps[i]))
            take_part(schedule, &pieces, floor(steps[i]), &now);
        now.rate = schedule_rate(schedule, now.step);
        now.kept = exp(now.log_kept);
        sums[i] = now;
        sums[i].step = steps[i];
    }
}
