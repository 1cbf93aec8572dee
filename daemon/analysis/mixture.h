/*
 * Two Gaussians fitted to counts by expectation-maximisation (Dempster, Laird & Rubin 1977), with the two
 * numbers that say what the fit is worth: how far apart the components are, and how much better two are than
 * one.
 *
 * The starts: a split at the mean, two-means clustering, a wide and a narrow component around one mean, and a
 * tenth of the elements on either side. The likeliest after a few steps is followed to the end. Iterations
 * run on bins that hold their elements' mean and spread; the last ones, and the likelihood, on the distinct
 * values themselves.
 *
 * With millions of elements the Bayesian information criterion prefers two components for any tail that is
 * not Gaussian: then the means agree and Ashman's D is near 0. Read the two together.
 */
#ifndef BIFURCATED_ANALYSIS_MIXTURE_H
#define BIFURCATED_ANALYSIS_MIXTURE_H

#include "daemon/analysis/distribution.h"
#include "daemon/base/err.h"

struct mixture_component {
    double weight, mean, sd;
};

struct mixture {
    int is_defined; /* 0: fewer than 8 elements or no spread; the numbers are NaN then */
    int is_converged;
    struct mixture_component components[2]; /* ascending by mean */
    double ashman_d;       /* |m1 - m2| / sqrt((s1^2 + s2^2) / 2); Ashman, Bird & Zepf 1994, AJ 108:2348 */
    double delta_bic;      /* BIC of one Gaussian - BIC of two: 2 (l2 - l1) - 3 ln n; positive for two */
    double log_likelihood; /* of the two, per element */
};

/* Deviations of a component are kept at or above this share of the deviation of all. */
#define MIXTURE_SD_FLOOR 1e-3
#define MIXTURE_ITERATIONS_MAX 900
/* Ended when no weight, mean or deviation moves by more than this share of one or of the deviation of all. */
#define MIXTURE_TOLERANCE 1e-6
/* ... or when three steps gain less than this in log-likelihood per element. */
#define MIXTURE_GAIN 1e-9

/* Fits to ascending distinct values. ERR_NO_MEMORY only. */
int mixture_fit(const struct distribution_value *values, size_t value_count, struct mixture *ret_mixture,
                struct err *err);

/* |m1 - m2| / sqrt((s1^2 + s2^2) / 2); more than 2 separates. */
double mixture_ashman_d(const struct mixture_component *a, const struct mixture_component *b);

#endif
