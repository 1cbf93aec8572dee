#include "gpu/score_rotary.h"

#include <math.h>

/* modeling_rope_utils.py of transformers, operation by operation. */
static float scale_frequency(const struct score_rotary_scaling *scaling, float frequency)
{
    const float factor = (float)scaling->factor;
    if (scaling->kind == SCORE_ROTARY_LINEAR)
        return frequency / factor;
    if (scaling->kind != SCORE_ROTARY_LLAMA3)
        return frequency;
    const double positions = (double)scaling->original_positions;
    const double low = scaling->low_frequency_factor, high = scaling->high_frequency_factor;
    const float length = (float)(2 * M_PI) / frequency; /* of a wave, in positions */
    if (length < (float)(positions / high))
        return frequency;
    if (length > (float)(positions / low))
        return frequency / factor;
    const float part = ((float)positions / length - (float)low) / (float)(high - low);
    return (1.0F - part) * frequency / factor + part * frequency;
}

void score_rotary_fill(const struct score_rotary *rotary, size_t positions, double base,
                       const struct score_rotary_scaling *scaling)
{
    for (size_t j = 0; j < rotary->half; j++) {
        float exponent = (float)(2 * j) / (float)(2 * rotary->half);
        float frequency = scale_frequency(scaling, 1.0F / (float)pow(base, (double)exponent));
        for (size_t position = 0; position < positions; position++) {
            float angle = (float)position * frequency;
            rotary->cosine[position * rotary->half + j] = (float)cos((double)angle);
            rotary->sine[position * rotary->half + j] = (float)sin((double)angle);
        }
    }
}
