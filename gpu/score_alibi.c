#include "gpu/score_alibi.h"

#include <math.h>

/* Of `count` heads, a power of two. */
static float slope_of(uint64_t head, uint64_t count)
{
    float base = (float)exp2(-8.0 / (double)count);
    return (float)pow((double)base, (double)(head + 1));
}

float score_alibi_slope(uint64_t head, uint64_t head_count)
{
    uint64_t count = 1;
    while (2 * count <= head_count)
        count *= 2;
    return head < count ? slope_of(head, count) : slope_of(2 * (head - count), 2 * count);
}
