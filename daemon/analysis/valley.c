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

static int lowest_between(const double *density, int from, int to)
{
    int lowest = from;
    for (int i = from; i <= to; i++)
        lowest = density[i] < density[lowest] ? i : lowest;
    return lowest;
}

static void take_deepest(const double *density, const int *peaks, struct valley *valley)
{
    valley->ratio = 1;
    for (int i = 0; i < valley->peak_count; i++) {
        for (int j = i + 1; j < valley->peak_count; j++) {
            int lowest = lowest_between(density, peaks[i], peaks[j]);
            double ratio = density[lowest] / fmin(density[peaks[i]], density[peaks[j]]);
            if (ratio < valley->ratio) {
                valley->ratio = ratio;
                valley->position = lowest;
            }
        }
    }
}

/* Whether the density falls far enough on the ways to the next peaks that are higher, to each side. */
static int is_prominent(const double *density, const int *peaks, int peak_count, int at)
{
    double height = density[peaks[at]], bound = (1 - VALLEY_PROMINENCE) * height;
    int left = at - 1, right = at + 1;
    while (left >= 0 && density[peaks[left]] < height)
        left--;
    while (right < peak_count && density[peaks[right]] <= height)
        right++;
    return (left < 0 || density[lowest_between(density, peaks[left], peaks[at])] <= bound) &&
           (right == peak_count || density[lowest_between(density, peaks[at], peaks[right])] <= bound);
}

static int count_modes(const double *density, const double *bins, const int *peaks, int peak_count)
{
    double weights[VALLEY_BINS] = {0}, total = 0;
    int last = -1, count = 0, mode_count = 0, begin = 0;
    for (int i = 0; i <= peak_count; i++) {
        if (i < peak_count && !is_prominent(density, peaks, peak_count, i))
            continue;
        int end = i == peak_count ? VALLEY_BINS : last < 0 ? 0 : lowest_between(density, last, peaks[i]);
        for (; begin < end; begin++)
            weights[count] += bins[begin];
        if (last >= 0)
            total += weights[count++];
        last = i < peak_count ? peaks[i] : last;
    }
    for (int i = 0; i < count; i++)
        mode_count += weights[i] >= VALLEY_MODE_WEIGHT * total;
    return mode_count;
}

/* Shared between neighbours, since codes that lie a few bins apart would make a pattern of their own. */
static void fill(const struct distribution_value *values, size_t value_count, double low, double width,
                 double *bins)
{
    for (size_t i = 0; i < value_count; i++) {
        double position = (values[i].value - low) / width - 0.5;
        if (!(position >= 0 && position < VALLEY_BINS - 1))
            continue;
        int at = (int)position;
        double share = (position - at) * (double)values[i].count;
        bins[at] += (double)values[i].count - share;
        bins[at + 1] += share;
    }
}

struct valley valley_find(const struct distribution_value *values, size_t value_count)
{
    struct valley valley = {.ratio = (double)NAN, .position = (double)NAN};
    struct moments_sums sums = distribution_sums(values, value_count);
    if (sums.count < 2 || !(sums.m2 > 0))
        return valley;
    double n = (double)sums.count, deviation = sqrt(sums.m2 / n);
    double low = sums.mean - VALLEY_RANGE * deviation, width = 2 * VALLEY_RANGE * deviation / VALLEY_BINS;
    double bins[VALLEY_BINS] = {0}, density[VALLEY_BINS];
    int peaks[VALLEY_BINS];
    fill(values, value_count, low, width, bins);
    smooth(bins, fmax(VALLEY_BANDWIDTH, 0.9 * pow(n, -0.2)) * deviation / width, density);
    valley.peak_count = find_peaks(density, peaks);
    take_deepest(density, peaks, &valley);
    valley.mode_count = count_modes(density, bins, peaks, valley.peak_count);
    valley.position = low + (valley.position + 0.5) * width; /* NaN stays */
    return valley;
}
