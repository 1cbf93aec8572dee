#include "daemon/analysis/series_parts.h"

#include <math.h>
#include <stdlib.h>

/* Root mean square of the rows of tokens; NaN where nothing is finite. */
static double size_of(const struct series_point *point)
{
    const struct series_shape *shape = &point->shapes[SERIES_ROWS_TOKENS][SERIES_VIEW_RAW];
    return sqrt(shape->variance + shape->mean * shape->mean);
}

static int compare_sizes(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The lower quartile of the sizes of all measured revisions: of a sound run a size from its first part, and
 * of one that exploded still one from before, unless that was in its first quarter. NaN: none is known. */
static int find_quartile(const struct series_input *input, double *ret_quartile, struct err *err)
{
    double *sizes = calloc(input->count + 1, sizeof(*sizes));
    size_t count = 0;
    if (!sizes)
        return err_set(err, ERR_NO_MEMORY, "no memory for a series");
    for (size_t i = 0; i < input->count; i++) {
        double size = input->points[i].is_measured ? size_of(&input->points[i]) : (double)NAN;
        if (isfinite(size))
            sizes[count++] = size;
    }
    qsort(sizes, count, sizeof(*sizes), compare_sizes);
    *ret_quartile = count ? sizes[(count - 1) / 4] : (double)NAN;
    free(sizes);
    return 0;
}

/* From where on to the last measured revision all are not finite or too large. */
int series_find_divergence(const struct series_input *input, struct series *series, struct err *err)
{
    double quartile;
    struct series_divergence divergence = {.step = (double)NAN};
    int code = find_quartile(input, &quartile, err);
    if (code)
        return code;
    for (size_t i = input->count; i-- > 0;) {
        const struct series_point *point = &input->points[i];
        if (!point->is_measured)
            continue;
        int is_large = quartile > 0 && size_of(point) > input->options->diverged_growth * quartile &&
                       size_of(point) > input->options->diverged_size;
        if (!(point->not_finite > 0) && !is_large)
            break;
        divergence.is_found = 1;
        divergence.index = i;
        divergence.step = point->step;
        series->counted -= (size_t)series->derived[i].is_counted;
        series->derived[i].is_counted = 0;
    }
    if (divergence.is_found)
        series->stop.cautions |= SERIES_CAUTION_DIVERGED;
    series->divergence = divergence;
    return 0;
}
