#include "daemon/analysis/censored.h"

#include "daemon/analysis/line.h"

#include <math.h>

#define LN_SQRT_2PI 0.91893853320467274
#define SQRT_HALF 0.70710678118654752
#define TAIL_FAR 35.0 /* beyond this erfc would soon underflow; the series is exact to 5e-11 there */
#define SLOPE_FAR 1e6
#define RIDGE 1e-9
#define LEVEL 1e-7 /* of log likelihood: where many lines keep all bounds, the middle of them counts */

double censored_t_95(size_t degrees)
{
    static const double table[] = {12.7062, 4.3027, 3.1824, 2.7764, 2.5706,
                                   2.4469,  2.3646, 2.3060, 2.2622, 2.2281};
    if (degrees == 0)
        return (double)INFINITY;
    if (degrees <= sizeof(table) / sizeof(table[0]))
        return table[degrees - 1];
    /* Cornish-Fisher expansion around the normal's 1.959964 (Abramowitz & Stegun 26.7.5). */
    double z = 1.959963985, n = (double)degrees, z3 = z * z * z, z5 = z3 * z * z, z7 = z5 * z * z;
    return z + (z3 + z) / (4 * n) + (5 * z5 + 16 * z3 + 3 * z) / (96 * n * n) +
           (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * n * n * n);
}

/* ln of the probability that a normal exceeds z >= 0. */
static double log_tail(double z)
{
    if (z < TAIL_FAR)
        return log(erfc(z * SQRT_HALF) / 2);
    double square = z * z; /* Abramowitz & Stegun 26.2.12 */
    return -square / 2 - LN_SQRT_2PI - log(z) + log1p((-1 + (3 - 15 / square) / square) / square);
}

/* ln of the probability that a normal lies between z1 < z2. */
static double log_between(double z1, double z2)
{
    if (z1 < 0 && z2 > 0)
        return log((erf(z2 * SQRT_HALF) - erf(z1 * SQRT_HALF)) / 2);
    double near = z1 >= 0 ? z1 : -z2, far = z1 >= 0 ? z2 : -z1;
    return log_tail(near) + (isinf(far) ? 0 : log(-expm1(log_tail(far) - log_tail(near))));
}

/* The line through the middles of what has two bounds. */
static struct line middle_line(const struct censored_point *points, size_t count)
{
    struct line line = {0};
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            if (isfinite(points[i].low) && isfinite(points[i].high))
                line_add(&line, pass, points[i].x, (points[i].low + points[i].high) / 2);
        }
    }
    return line;
}

/* The intercept and the inverse of the deviation, as multiples of the deviation: in these the likelihood is
 * concave (Burridge 1981), so that Newton's steps find its one maximum. */
struct place {
    double alpha, tau;
};

struct slopes {
    double value;
    double of[2];                           /* by alpha, by tau */
    double alpha_alpha, alpha_tau, tau_tau; /* second derivatives */
};

struct search {
    const struct censored_point *points;
    size_t count;
    struct line line; /* through the middles of what has two bounds; intercepts are from its middle on */
};

static struct slopes look_at(const struct search *search, double slope, struct place place)
{
    struct slopes sum = {0};
    for (size_t i = 0; i < search->count; i++) {
        const struct censored_point *point = &search->points[i];
        double line = search->line.mean_y + slope * (point->x - search->line.mean_x);
        double bounds[] = {point->low - line, point->high - line};
        double z[2], ratio[2], bend[2];
        for (int k = 0; k < 2; k++)
            z[k] = place.tau * bounds[k] - place.alpha;
        double value = log_between(z[0], z[1]);
        sum.value += value;
        for (int k = 0; k < 2; k++) {
            int is_there = isfinite(bounds[k]);
            double sign = k ? 1 : -1;
            bounds[k] = is_there ? bounds[k] : 0;
            ratio[k] = is_there ? sign * exp(-z[k] * z[k] / 2 - LN_SQRT_2PI - value) : 0;
            bend[k] = is_there ? -z[k] * ratio[k] - ratio[k] * ratio[k] : 0;
        }
        double both = -ratio[0] * ratio[1]; /* by z of either bound */
        sum.of[0] -= ratio[0] + ratio[1];
        sum.of[1] += ratio[0] * bounds[0] + ratio[1] * bounds[1];
        sum.alpha_alpha += bend[0] + bend[1] + 2 * both;
        sum.alpha_tau -= bend[0] * bounds[0] + bend[1] * bounds[1] + both * (bounds[0] + bounds[1]);
        sum.tau_tau += bend[0] * bounds[0] * bounds[0] + bend[1] * bounds[1] * bounds[1] +
                       2 * both * bounds[0] * bounds[1];
    }
    return sum;
}

/* Newton's step; along alpha alone where tau is at its bound and would pass it. Far out a single point may
 * count, of which one of the two is enough: RIDGE keeps the other where it is. */
static struct place step_of(const struct slopes *at, int is_bound)
{
    double alpha_alpha = at->alpha_alpha * (1 + RIDGE), tau_tau = at->tau_tau * (1 + RIDGE);
    double determinant = alpha_alpha * tau_tau - at->alpha_tau * at->alpha_tau;
    if (is_bound)
        return (struct place){-at->of[0] / alpha_alpha, 0};
    return (struct place){(at->alpha_tau * at->of[1] - tau_tau * at->of[0]) / determinant,
                          (at->alpha_tau * at->of[0] - alpha_alpha * at->of[1]) / determinant};
}

/* The largest log likelihood with this slope, and where it is. The search begins at the least deviation,
 * where it stays if one line keeps all bounds. */
static double profile(const struct search *search, double slope, struct place *ret_place)
{
    const double most = 1 / CENSORED_DEVIATION_MIN;
    struct place place = {0, most};
    struct slopes at = look_at(search, slope, place);
    for (int round = 0; round < 200; round++) {
        struct place step = step_of(&at, 0);
        if (place.tau >= most && step.tau > 0)
            step = step_of(&at, 1);
        double rise = at.of[0] * step.alpha + at.of[1] * step.tau, share = 1;
        if (!(rise > 1e-13))
            break;
        if (place.tau + step.tau > most)
            share = (most - place.tau) / step.tau;
        else if (place.tau + step.tau < place.tau / 4)
            share = -0.75 * place.tau / step.tau;
        struct slopes next;
        struct place there;
        do {
            there =
                (struct place){place.alpha + share * step.alpha, fmin(place.tau + share * step.tau, most)};
            next = look_at(search, slope, there);
            share /= 2;
        } while (!(next.value >= at.value) && share > 1e-9);
        if (!(next.value >= at.value))
            break;
        place = there;
        at = next;
    }
    *ret_place = place;
    return at.value;
}

static double profile_at(const struct search *search, double slope)
{
    struct place place;
    return profile(search, slope, &place);
}

/* The distance from `from`, upwards or downwards (`sign`), beyond which the profile is below `level`, by
 * doubling and halving; the slopes with a higher one are in one piece. */
static double reach(const struct search *search, double from, double sign, double level)
{
    double low = 0, high = 1e-3;
    while (profile_at(search, from + sign * high) >= level) {
        low = high;
        high *= 2;
        if (high > SLOPE_FAR)
            return (double)INFINITY;
    }
    for (int i = 0; i < 50; i++) {
        double middle = (low + high) / 2;
        *(profile_at(search, from + sign * middle) >= level ? &low : &high) = middle;
    }
    return high;
}

/* Golden-section search of the one maximum between `low` and `high`. */
static double find_best(const struct search *search, double low, double high)
{
    const double golden = 0.61803398874989485;
    double a = high - golden * (high - low), b = low + golden * (high - low);
    double at_a = profile_at(search, a), at_b = profile_at(search, b);
    for (int i = 0; i < 60; i++) {
        if (at_a >= at_b) {
            high = b;
            b = a;
            at_b = at_a;
            a = high - golden * (high - low);
            at_a = profile_at(search, a);
        } else {
            low = a;
            a = b;
            at_a = at_b;
            b = low + golden * (high - low);
            at_b = profile_at(search, b);
        }
    }
    return (low + high) / 2;
}

void censored_fit(const struct censored_point *points, size_t count, struct censored_line *ret_line)
{
    const struct search search = {points, count, middle_line(points, count)};
    const struct line *line = &search.line;
    double first = line->sxy / line->sxx, t = censored_t_95((size_t)line->n - 2);
    double least = profile_at(&search, first);
    double slope =
        find_best(&search, first - reach(&search, first, -1, least), first + reach(&search, first, 1, least));
    double best = profile_at(&search, slope) - LEVEL;
    slope += (reach(&search, slope, 1, best) - reach(&search, slope, -1, best)) / 2;
    struct place place;
    double most = profile(&search, slope, &place);
    double level = most - line->n / 2 * log1p(t * t / (line->n - 2));
    *ret_line =
        (struct censored_line){.slope = slope,
                               .intercept = place.alpha / place.tau + line->mean_y - slope * line->mean_x,
                               .deviation = 1 / place.tau,
                               .slope_low = slope - reach(&search, slope, -1, level),
                               .slope_high = slope + reach(&search, slope, 1, level)};
}
