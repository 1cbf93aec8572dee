/*
 * A line through values of which only bounds are known, as an onset that lies between two checkpoints: the
 * likelihood of normal residuals, each value anywhere between its bounds (interval-censored regression).
 *
 * The interval of the slope is that of the profile likelihood, with the bound at which it is Student's where
 * values are known exactly: 2 (l_max - l(slope)) <= n ln(1 + t^2 / (n - 2)), n the values with two bounds.
 */
#ifndef BIFURCATED_ANALYSIS_CENSORED_H
#define BIFURCATED_ANALYSIS_CENSORED_H

#include <stddef.h>

struct censored_point {
    double x;
    double low, high; /* low < high; -INFINITY or INFINITY: no bound on that side, but never on both */
};

struct censored_line {
    double slope, intercept;
    double deviation;             /* of the residuals, at least CENSORED_DEVIATION_MIN */
    double slope_low, slope_high; /* 95 % confidence */
};

/* Residuals are never taken for smaller, so that bounds which one line can satisfy exactly have one best
 * line, too. */
#define CENSORED_DEVIATION_MIN 0.01

/* Needs three points or more with two bounds, at different x. */
void censored_fit(const struct censored_point *points, size_t count, struct censored_line *ret_line);

/* The value that Student's t with `degrees` >= 1 degrees of freedom exceeds in size with probability 0.05;
 * error under 3e-4. */
double censored_t_95(size_t degrees);

#endif
