#include "daemon/analysis/moments.h"

#include <math.h>

double moments_bimodality(double skewness, double kurtosis, uint64_t count)
{
    double n = (double)count;
    if (count < 4)
        return (double)NAN;
    double denominator = kurtosis + 3 * (n - 1) * (n - 1) / ((n - 2) * (n - 3));
    return (skewness * skewness + 1) / denominator;
}

struct moments moments_of(const struct moments_sums *sums)
{
    double n = (double)sums->count;
    struct moments moments = {.count = sums->count,
                              .mean = (double)NAN,
                              .variance = (double)NAN,
                              .skewness = (double)NAN,
                              .kurtosis = (double)NAN,
                              .bimodality = (double)NAN};
    if (sums->count == 0)
        return moments;
    moments.mean = sums->mean;
    moments.variance = sums->m2 / n;
    if (!(sums->m2 > 0))
        return moments;
    double deviation = sqrt(moments.variance);
    if (sums->count >= 3)
        moments.skewness = sums->m3 / n / moments.variance / deviation * sqrt(n * (n - 1)) / (n - 2);
    if (sums->count >= 4) {
        double excess = sums->m4 / n / moments.variance / moments.variance - 3;
        moments.kurtosis = ((n + 1) * excess + 6) * (n - 1) / ((n - 2) * (n - 3));
        moments.bimodality = moments_bimodality(moments.skewness, moments.kurtosis, sums->count);
    }
    return moments;
}
