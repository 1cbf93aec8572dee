/*
 * A power law through models of different size: onset step = prefactor * parameters^exponent.
 */
#ifndef BIFURCATED_ANALYSIS_SCALING_H
#define BIFURCATED_ANALYSIS_SCALING_H

#include "daemon/base/err.h"

#include <stddef.h>

#define SCALING_DEFINITION 4
#define SCALING_POINTS_MIN 3

struct scaling_point {
    double parameters; /* of the model */
    double value;      /* onset step */
    double before;     /* the last step without an onset, from 0 on; NaN: the onset is known exactly */
};

struct scaling {
    size_t count;
    double exponent, exponent_low, exponent_high; /* with its 95 % confidence interval (Student's t) */
    double exponent_error;                        /* standard error */
    double exponent_least, exponent_most; /* that the same fit has with each onset anywhere after `before`,
                                             from step 1 on: what the gaps between checkpoints leave open */
    double prefactor;
    double r_squared; /* of ln value; NaN if all values are equal */
};

/* Least squares of ln value over ln parameters. Points that are not positive are left out. ERR_UNSUPPORTED
 * under three usable points or when all have the same size: no law can be read from that. */
int scaling_fit(const struct scaling_point *points, size_t count, struct scaling *ret_scaling,
                struct err *err);

/* The value that Student's t with `degrees` >= 1 degrees of freedom exceeds in size with probability 0.05;
 * error under 3e-4. */
double scaling_t_95(size_t degrees);

#endif
