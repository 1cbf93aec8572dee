#include "daemon/analysis/scaling.h"

#include <math.h>

double scaling_t_95(size_t degrees)
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

/* How far down the logarithm of a value may be. */
static double play_of(const struct scaling_point *point)
{
    double play = log(point->value / fmax(point->before, 1));
    return point->before >= 0 && play > 0 ? play : 0;
}

int scaling_fit(const struct scaling_point *points, size_t count, struct scaling *ret_scaling,
                struct err *err)
{
    double n = 0, mean_x = 0, mean_y = 0, sxx = 0, sxy = 0, syy = 0;
    double fall = 0, rise = 0; /* of sxy, where the larger or the smaller models forked earlier */
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            double x = log(points[i].parameters), y = log(points[i].value);
            if (!isfinite(x) || !isfinite(y))
                continue;
            if (pass == 0) {
                n++;
                mean_x += (x - mean_x) / n;
                mean_y += (y - mean_y) / n;
            } else {
                sxx += (x - mean_x) * (x - mean_x);
                sxy += (x - mean_x) * (y - mean_y);
                syy += (y - mean_y) * (y - mean_y);
                *(x > mean_x ? &fall : &rise) += fabs(x - mean_x) * play_of(&points[i]);
            }
        }
    }
    if (n < SCALING_POINTS_MIN)
        return err_set(err, ERR_UNSUPPORTED,
                       "a scaling law needs at least %d models with an onset, there are %d",
                       SCALING_POINTS_MIN, (int)n);
    if (!(sxx > 1e-12))
        return err_set(err, ERR_UNSUPPORTED, "a scaling law needs models of different size");
    double exponent = sxy / sxx, residual = fmax(syy - exponent * sxy, 0);
    double error = sqrt(residual / (n - 2) / sxx), reach = scaling_t_95((size_t)n - 2) * error;
    *ret_scaling = (struct scaling){.count = (size_t)n,
                                    .exponent = exponent,
                                    .exponent_low = exponent - reach,
                                    .exponent_high = exponent + reach,
                                    .exponent_error = error,
                                    .exponent_least = exponent - fall / sxx,
                                    .exponent_most = exponent + rise / sxx,
                                    .prefactor = exp(mean_y - exponent * mean_x),
                                    .r_squared = syy > 0 ? 1 - residual / syy : (double)NAN};
    return 0;
}
