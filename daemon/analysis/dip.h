/*
 * Hartigan's dip: the largest difference between an empirical distribution function and the unimodal
 * distribution function that is closest to it (J. A. Hartigan & P. M. Hartigan, "The dip test of
 * unimodality", Annals of Statistics 13 (1985) 70-84).
 *
 * Read the dip itself as the size of an effect. The p-value answers whether 10^8 weights are a sample of
 * something unimodal, and rounding to float16 or bfloat16 alone makes that answer "no": noise of rounding is
 * about 1.3e-4 (float16) and 9e-4 (bfloat16), two equal Gaussians at 2.5 standard deviations give 0.0044, at
 * 3 give 0.0163.
 */
#ifndef BIFURCATED_ANALYSIS_DIP_H
#define BIFURCATED_ANALYSIS_DIP_H

#include "daemon/analysis/distribution.h"
#include "daemon/base/err.h"

struct dip {
    /* At least 1 / (2 n), the value of any n distinct points; at most 1/4; NaN without elements. */
    double dip;
    double sqrt_n;    /* sqrt(n) * dip, the scale of the quantiles below */
    double p;         /* against the uniform distribution, see dip_p_value */
    double low, high; /* the modal interval */
};

/* The dip of values given ascending with counts: O(value_count) memory, and time proportional to the number
 * of vertices of the convex minorants and concave majorants on the way. ERR_NO_MEMORY only. */
int dip_measure(const struct distribution_value *values, size_t value_count, struct dip *ret_dip,
                struct err *err);

/* The probability of at least this sqrt(n) * dip for a large sample of a uniform distribution, interpolated
 * between simulated quantiles of n = 72000 (1,000,001 samples): 0.5 at 0.3785, 0.1 at 0.5026, 0.05 at 0.5452,
 * 0.01 at 0.6327, 0.005 at 0.6664, 0.001 at 0.7386, 0.0001 at 0.8301; log p is interpolated linearly.
 * Approximate: small n (under about 1000) has slightly smaller quantiles; below 0.3785 the value is a
 * straight line to 1 at 0 and says no more than "above one half"; beyond 0.8301 it is 0.0001 and means "at
 * most". */
double dip_p_value(double sqrt_n);

#endif
