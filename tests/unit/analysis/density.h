/*
 * Large samples of known densities, as counts on a fine grid: what tables in the literature speak of.
 */
#ifndef BIFURCATED_TESTS_DENSITY_H
#define BIFURCATED_TESTS_DENSITY_H

#include "daemon/analysis/distribution.h"

#include <math.h>
#include <stdlib.h>

#define DENSITY_POINTS 20001
#define DENSITY_TOTAL 1e12

struct density {
    double weight; /* of the first of two Gaussians at -+ distance / 2 with deviation 1 */
    double distance;
};

static inline double normal_below(double x)
{
    return 0.5 * erfc(-x * 0.70710678118654752);
}

static inline double mixture_below(const void *context, double x)
{
    const struct density *density = context;
    return density->weight * normal_below(x + density->distance / 2) +
           (1 - density->weight) * normal_below(x - density->distance / 2);
}

static inline double uniform_below(const void *context, double x)
{
    (void)context;
    return x < -1 ? 0 : x > 1 ? 1 : (x + 1) / 2;
}

static inline double exponential_below(const void *context, double x)
{
    (void)context;
    return x < 0 ? 0 : -expm1(-x);
}

static inline double laplace_below(const void *context, double x)
{
    (void)context;
    return x < 0 ? 0.5 * exp(x) : 1 - 0.5 * exp(-x);
}

/* Values low ... high with counts proportional to the probability around each; the caller frees. */
static inline struct distribution_value *density_values(double (*below)(const void *context, double x),
                                                        const void *context, double low, double high,
                                                        size_t *ret_count)
{
    struct distribution_value *values = calloc(DENSITY_POINTS, sizeof(*values));
    double step = (high - low) / (DENSITY_POINTS - 1);
    *ret_count = 0;
    for (int i = 0; values && i < DENSITY_POINTS; i++) {
        double x = low + i * step;
        double share = below(context, x + step / 2) - below(context, x - step / 2);
        uint64_t count = (uint64_t)(share * DENSITY_TOTAL + 0.5);
        if (count)
            values[(*ret_count)++] = (struct distribution_value){.value = x, .count = count};
    }
    return values;
}

#endif
