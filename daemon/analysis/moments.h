/*
 * Moments of a set of values, in the estimators that the literature on bimodality uses.
 *
 * Everything is computed from central power sums, which are formed around the mean (two steps), so that a
 * mean that nearly cancels costs no digits. Values that are not defined (too few elements, no spread) are
 * NaN.
 */
#ifndef BIFURCATED_ANALYSIS_MOMENTS_H
#define BIFURCATED_ANALYSIS_MOMENTS_H

#include <stdint.h>

/* Number, mean and sums of (w - mean)^k. */
struct moments_sums {
    uint64_t count;
    double mean;
    double m2, m3, m4;
};

struct moments {
    uint64_t count;
    double mean;     /* NaN without elements */
    double variance; /* of the population: sum of squares / n; NaN without elements */
    /* G1 = g1 sqrt(n (n - 1)) / (n - 2), corrected for bias; NaN under 3 or without spread. */
    double skewness;
    double kurtosis;   /* G2 = ((n + 1) g2 + 6) (n - 1) / ((n - 2) (n - 3)), excess; NaN under 4 */
    double bimodality; /* Sarle's coefficient with sample correction; NaN where skewness or kurtosis is */
};

/* The moments behind central sums. */
struct moments moments_of(const struct moments_sums *sums);

/* Sarle's bimodality coefficient with the sample correction of SAS and Pfister et al. 2013 (Front. Psychol.
 * 4:700): BC = (G1^2 + 1) / (G2 + 3 (n - 1)^2 / ((n - 2) (n - 3))) with G1 and G2 as above. 1/3 for a normal,
 * 5/9 for a uniform, 1 for two equal points (in the limit of large n). */
double moments_bimodality(double skewness, double kurtosis, uint64_t count);

#endif
