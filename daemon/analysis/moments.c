#include "daemon/analysis/moments.h"

#include <math.h>

void moments_merge(struct moments_sums *total, const struct moments_sums *part)
{
    if (part->count == 0)
        return;
    if (total->count == 0) {
        *total = *part;
        return;
    }
    double na = (double)total->count, nb = (double)part->count, n = na + nb;
    double delta = part->mean - total->mean, share = delta / n;
    double cross = delta * share * na * nb; /* delta^2 na nb / n */
    double m2 = total->m2 + part->m2 + cross;
    double m3 =
        total->m3 + part->m3 + cross * share * (na - nb) + 3 * share * (na * part->m2 - nb * total->m2);
    double m4 = total->m4 + part->m4 + cross * share * share * (na * na - na * nb + nb * nb) +
                6 * share * share * (na * na * part->m2 + nb * nb * total->m2) +
                4 * share * (na * part->m3 - nb * total->m3);
    total->m2 = m2;
    total->m3 = m3;
    total->m4 = m4;
    total->mean += share * nb;
    total->count += part->count;
}

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
