#include "daemon/analysis/sample.h"

#include <math.h>

#define ONE_RUN_COSINE 0.5

size_t sample_count(uint64_t rows, uint64_t columns)
{
    uint64_t elements = rows * columns;
    return elements < SAMPLE_COUNT ? (size_t)elements : SAMPLE_COUNT;
}

/* SplitMix64 (Steele, Lea & Flood 2014), from a counter. */
static uint64_t mix(uint64_t counter)
{
    uint64_t z = counter * 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
}

uint64_t sample_index(uint64_t seed, uint64_t rows, uint64_t columns, size_t i)
{
    uint64_t elements = rows * columns, count = sample_count(rows, columns);
    uint64_t begin = i * elements / count, end = (i + 1) * elements / count;
    return begin + mix(mix(seed) + i + 1) % (end - begin);
}

struct sample_displacement sample_displacement_of(const float *a, const float *b, size_t count)
{
    struct sample_displacement displacement = {
        .msd = (double)NAN, .msd_error = (double)NAN, .cosine = (double)NAN};
    double squares = 0, fourths = 0, dot = 0, norm_a = 0, norm_b = 0;
    for (size_t i = 0; i < count; i++) {
        double x = (double)a[i], y = (double)b[i], square = (y - x) * (y - x);
        if (!isfinite(x) || !isfinite(y))
            continue;
        displacement.count++;
        squares += square;
        fourths += square * square;
        dot += x * y;
        norm_a += x * x;
        norm_b += y * y;
    }
    double n = (double)displacement.count;
    if (displacement.count)
        displacement.msd = squares / n;
    if (displacement.count > 1)
        displacement.msd_error = sqrt(fmax(fourths / n - displacement.msd * displacement.msd, 0) / (n - 1));
    if (norm_a > 0 && norm_b > 0)
        displacement.cosine = dot / sqrt(norm_a * norm_b);
    return displacement;
}

int sample_is_of_one_run(const float *a, const float *b, size_t count)
{
    const double cosine = sample_displacement_of(a, b, count).cosine;
    return isnan(cosine) || cosine >= ONE_RUN_COSINE;
}
