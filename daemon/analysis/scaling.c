#include "daemon/analysis/scaling.h"

#include "daemon/analysis/line.h"

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
    struct line line = {0};
    double fall = 0, rise = 0; /* of sxy, where the larger or the smaller models forked earlier */
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            double x = log(points[i].parameters), y = log(points[i].value);
            if (!isfinite(x) || !isfinite(y))
                continue;
            line_add(&line, pass, x, y);
            if (pass == 1)
                *(x > line.mean_x ? &fall : &rise) += fabs(x - line.mean_x) * play_of(&points[i]);
        }
    }
    if (line.n < SCALING_POINTS_MIN)
        return err_set(err, ERR_UNSUPPORTED,
                       "a scaling law needs at least %d models with an onset, there are %d",
                       SCALING_POINTS_MIN, (int)line.n);
    if (!(line.sxx > 1e-12))
        return err_set(err, ERR_UNSUPPORTED, "a scaling law needs models of different size");
    double exponent = line.sxy / line.sxx, residual = fmax(line.syy - exponent * line.sxy, 0);
    double error = sqrt(residual / (line.n - 2) / line.sxx), reach = scaling_t_95((size_t)line.n - 2) * error;
    *ret_scaling = (struct scaling){.count = (size_t)line.n,
                                    .exponent = exponent,
                                    .exponent_low = exponent - reach,
                                    .exponent_high = exponent + reach,
                                    .exponent_error = error,
                                    .exponent_least = exponent - fall / line.sxx,
                                    .exponent_most = exponent + rise / line.sxx,
                                    .prefactor = exp(line.mean_y - exponent * line.mean_x),
                                    .r_squared = line.syy > 0 ? 1 - residual / line.syy : (double)NAN};
    return 0;
}
