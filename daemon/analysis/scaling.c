#include "daemon/analysis/scaling.h"

#include "daemon/analysis/censored.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define UNFORKED_SIZE 160
#define GAP_MIN 1e-6 /* of ln step: neighbouring steps differ, whatever their logarithms say */

static struct censored_point censored(const struct scaling_point *point)
{
    struct censored_point made = {.x = log(point->parameters),
                                  .low = point->before > 0 ? log(point->before) : -(double)INFINITY,
                                  .high = isnan(point->value) ? (double)INFINITY : log(point->value)};
    made.low = fmin(made.low, made.high - GAP_MIN);
    return made;
}

static int compare_sizes(const void *a, const void *b)
{
    const struct censored_point *x = a, *y = b;
    return (x->x > y->x) - (x->x < y->x);
}

static int compare_numbers(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double median(double *numbers, size_t count)
{
    qsort(numbers, count, sizeof *numbers, compare_numbers);
    double low = numbers[(count - 1) / 2], high = numbers[count / 2];
    return low == high ? low : (low + high) / 2; /* of equal infinities, too */
}

/* Whether a point has one bound, which all onsets of its size that are seen keep: it says nothing then. */
static int is_vague(const struct censored_point *point, double least, double most)
{
    return (isinf(point->low) && point->high >= most) || (isinf(point->high) && point->low <= least);
}

/* The median over the models of one size. */
static struct censored_point join(const struct censored_point *points, size_t count, double *numbers)
{
    double least = (double)NAN, most = (double)NAN; /* bounds of the onsets that are seen */
    struct censored_point one = points[0];
    size_t told = 0;
    for (size_t i = 0; i < count; i++) {
        if (isfinite(points[i].low) && isfinite(points[i].high)) {
            least = fmin(least, points[i].low);
            most = fmax(most, points[i].high);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_vague(&points[i], least, most))
            numbers[told++] = points[i].low;
    }
    one.low = median(numbers, told);
    told = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_vague(&points[i], least, most))
            numbers[told++] = points[i].high;
    }
    one.high = median(numbers, told);
    return one;
}

/* Makes one point of those of each size, in place; how many there are then. A size whose middle has no bound
 * says nothing. */
static size_t join_sizes(struct censored_point *points, size_t count, double *numbers)
{
    size_t sizes = 0;
    qsort(points, count, sizeof *points, compare_sizes);
    for (size_t begin = 0, end = 0; begin < count; begin = end) {
        while (end < count && points[end].x == points[begin].x)
            end++;
        struct censored_point one = join(&points[begin], end - begin, numbers);
        if (isfinite(one.low) || isfinite(one.high))
            points[sizes++] = one;
    }
    return sizes;
}

static int check_sizes(const struct censored_point *points, size_t sizes, struct err *err)
{
    size_t known = 0;
    double ends[4] = {0}; /* the two smallest sizes with an onset, the two largest: logarithms */
    for (size_t i = 0; i < sizes; i++) {
        if (!isfinite(points[i].low) || !isfinite(points[i].high))
            continue;
        if (known < 2)
            ends[known] = points[i].x;
        ends[2] = ends[3];
        ends[3] = points[i].x;
        known++;
    }
    if (known < SCALING_SIZES_MIN)
        return err_set(err, ERR_UNSUPPORTED,
                       "a law needs models of at least %d sizes whose onset lies between two revisions; of "
                       "such sizes there are %zu",
                       SCALING_SIZES_MIN, known);
    double span = exp(ends[3] - ends[0]), rest = exp(fmin(ends[3] - ends[1], ends[2] - ends[0]));
    if (span < SCALING_SPAN_MIN)
        return err_set(err, ERR_UNSUPPORTED,
                       "the sizes with an onset span a factor of %.3g; a law needs at least %g", span,
                       SCALING_SPAN_MIN);
    if (rest < SCALING_SPAN_WITHOUT_ONE_MIN)
        return err_set(
            err, ERR_UNSUPPORTED,
            "all sizes with an onset but one span a factor of %.3g; a law needs at least %g, or it "
            "would hang on that one",
            rest, SCALING_SPAN_WITHOUT_ONE_MIN);
    return 0;
}

static int fit(const struct censored_point *points, struct scaling *scaling, struct err *err)
{
    struct censored_line line;
    int code = check_sizes(points, scaling->sizes, err);
    if (code)
        return code;
    censored_fit(points, scaling->sizes, &line);
    if (line.slope_low <= 0 && line.slope_high >= 1) {
        char unforked[UNFORKED_SIZE] = "";
        if (scaling->unforked)
            (void)snprintf(
                unforked, sizeof unforked,
                "; %zu of the %zu models %s not forked so far, which counts as an onset after the last "
                "revision",
                scaling->unforked, scaling->count, scaling->unforked == 1 ? "has" : "have");
        return err_set(
            err, ERR_UNSUPPORTED,
            "the exponent is %.3g to %.3g with 95 %% confidence, which leaves open whether the onset "
            "depends on size at all (0) or grows in proportion to it (1)%s",
            line.slope_low, line.slope_high, unforked);
    }
    scaling->exponent = line.slope;
    scaling->exponent_low = line.slope_low;
    scaling->exponent_high = line.slope_high;
    scaling->prefactor = exp(line.intercept);
    scaling->deviation = line.deviation;
    return 0;
}

int scaling_fit(const struct scaling_point *points, size_t count, struct scaling *ret_scaling,
                struct err *err)
{
    struct scaling scaling = {0};
    struct censored_point *made = calloc(count + 1, sizeof *made);
    double *numbers = calloc(count + 1, sizeof *numbers);
    int code = made && numbers ? 0 : err_set(err, ERR_NO_MEMORY, "no memory for a scaling law");
    for (size_t i = 0; i < count && !code; i++) {
        struct censored_point one = censored(&points[i]);
        if (!isfinite(one.x) || !(isfinite(one.low) || isfinite(one.high)))
            continue;
        made[scaling.count++] = one;
        scaling.unforked += (size_t)isnan(points[i].value);
    }
    if (!code) {
        scaling.sizes = join_sizes(made, scaling.count, numbers);
        code = fit(made, &scaling, err);
    }
    free(made);
    free(numbers);
    *ret_scaling = scaling;
    return code;
}
