/*
 * A power law through models of different size: onset = prefactor * parameters^exponent, with the onset in
 * one unit, tokens of training unless another is asked for.
 *
 * Models of equal size (seeds, deduplicated twins) are one point, the median of their bounds: ten seeds of a
 * size are not ten sizes. An onset is known to lie between two revisions, or before the first; of a
 * model that has not forked it is later than the last. All of these bounds count (censored.h), but for one
 * that the onsets of its size that are seen keep anyway, as of a run that is measured to an earlier step
 * only.
 */
#ifndef BIFURCATED_ANALYSIS_SCALING_H
#define BIFURCATED_ANALYSIS_SCALING_H

#include "daemon/base/err.h"

#include <stddef.h>

#define SCALING_DEFINITION 7
#define SCALING_SIZES_MIN 3              /* with an onset between two revisions */
#define SCALING_SPAN_MIN 10.0            /* the largest of these sizes over the smallest, ... */
#define SCALING_SPAN_WITHOUT_ONE_MIN 3.0 /* ... and without any one of them: no law hangs on one model */

struct scaling_point {
    double parameters; /* of the model */
    double before;     /* the last place without an onset; NaN or 0: not known */
    double value;      /* onset; NaN: none so far */
};

struct scaling {
    size_t count;                                 /* models with a bound */
    size_t sizes;                                 /* that are different */
    size_t unforked;                              /* models of these without an onset so far */
    double exponent, exponent_low, exponent_high; /* with its 95 % confidence interval */
    double prefactor;
    double deviation; /* of ln onset around the law */
};

/* Points without a size or any bound are left out. ERR_UNSUPPORTED where sizes are too few or too much alike,
 * or where the interval holds both 0 and 1, which tells nothing: the counts are filled in then, too.
 * ERR_NO_MEMORY. */
int scaling_fit(const struct scaling_point *points, size_t count, struct scaling *ret_scaling,
                struct err *err);

#endif
