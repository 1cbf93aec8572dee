#include "daemon/analysis/valley.h"

#include "daemon/analysis/moments.h"

#include <math.h>

#define KERNEL_MAX VALLEY_BINS

static void smooth(const double *bins, double bandwidth_bins, double *density)
{
    double kernel[KERNEL_MAX] = {0};
    int reach = (int)ceil(4 * bandwidth_bins);
    if (reach >= KERNEL_MAX)
        reach = KERNEL_MAX - 1;
    for (int k = 0; k <= reach; k++)
        kernel[k] = exp(-0.5 * (k / bandwidth_bins) * (k / bandwidth_bins));
    for (int i = 0; i < VALLEY_BINS; i++) {
        double sum = 0;
        for (int k = -reach; k <= reach; k++) {
            if (i + k >= 0 && i + k < VALLEY_BINS)
                sum += bins[i + k] * kernel[k < 0 ? -k : k];
        }
        density[i] = sum;
    }
}

/* A peak is higher than what comes before it and than what follows its plateau. */
static int find_peaks(const double *density, int *peaks)
{
    int peak_count = 0, rising = 1;
    double highest = 0;
    for (int i = 0; i < VALLEY_BINS; i++)
        highest = fmax(highest, density[i]);
    for (int i = 0; i < VALLEY_BINS; i++) {
        double next = i + 1 < VALLEY_BINS ? density[i + 1] : 0;
        if (rising && next < density[i]) {
            if (density[i] >= VALLEY_PEAK_SHARE * highest)
                peaks[peak_count++] = i;
            rising = 0;
        } else if (next > density[i]) {
            rising = 1;
        }
    }
    return peak_count;
}

struct valley valley_find(const struct distribution_value *values, size_t value_count)
{
    struct valley valley = {.ratio = (double)NAN, .position = (double)NAN, .peak_count = 0};
    struct moments_sums sums = distribution_sums(values, value_count);
    if (sums.count < 2 || !(sums.m2 > 0))
        return valley;
    double n = (double)sums.count, deviation = sqrt(sums.m2 / n);
    double low = sums.mean - VALLEY_RANGE * deviation, width = 2 * VALLEY_RANGE * deviation / VALLEY_BINS;
    double bins[VALLEY_BINS] = {0}, density[VALLEY_BINS];
    int peaks[VALLEY_BINS];
    for (size_t i = 0; i < value_count; i++) {
        double position = (values[i].value - low) / width;
        if (position >= 0 && position < VALLEY_BINS)
            bins[(int)position] += (double)values[i].count;
    }
    smooth(bins, fmax(VALLEY_BANDWIDTH, 0.9 * pow(n, -0.2)) * deviation / width, density);
    valley.peak_count = find_peaks(density, peaks);
    valley.ratio = 1;
    for (int i = 0; i + 1 < valley.peak_count; i++) {
        int lowest = peaks[i];
        for (int j = i + 1; j < valley.peak_count; j++) {
            for (int k = peaks[j - 1]; k <= peaks[j]; k++)
                lowest = density[k] < density[lowest] ? k : lowest;
            double ratio = density[lowest] / fmin(density[peaks[i]], density[peaks[j]]);
            if (ratio < valley.ratio) {
                valley.ratio = ratio;
                valley.position = low + (lowest + 0.5) * width;
            }
        }
    }
    return valley;
}
