#include "gpu/score_rotary.h"

#include <math.h>

/* modeling_rope_utils.py of transformers, operation by operation. */
static float scale_llama3(const struct score_rotary_scaling *scaling, float frequency)
{
    const float factor = (float)scaling->factor;
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

/* The pair of dimensions that makes so many turns, by YaRN. */
static double pair_of_turns(const struct score_rotary_scaling *scaling, double dimensions, double base,
                            double turns)
{
    return dimensions * log((double)scaling->original_positions / (turns * 2 * M_PI)) / (2 * log(base));
}

static float scale_yarn(const struct score_rotary_scaling *scaling, size_t half, double base, size_t pair,
                        float power)
{
    const double dimensions = (double)(2 * half);
    const double first =
        fmax(floor(pair_of_turns(scaling, dimensions, base, scaling->high_frequency_factor)), 0);
    double last =
        fmin(ceil(pair_of_turns(scaling, dimensions, base, scaling->low_frequency_factor)), dimensions - 1);
    last += first < last || first > last ? 0 : 0.001;
    const float ramp = ((float)pair - (float)first) / (float)(last - first);
    const float kept = 1.0F - fminf(fmaxf(ramp, 0.0F), 1.0F);
    return 1.0F / ((float)scaling->factor * power) * (1.0F - kept) + 1.0F / power * kept;
}

static float frequency_of(const struct score_rotary_scaling *scaling, size_t half, double base, size_t pair)
{
    const float exponent = (float)(2 * pair) / (float)(2 * half);
    const float power = (float)pow(base, (double)exponent);
    switch (scaling->kind) {
    case SCORE_ROTARY_LINEAR:
        return 1.0F / power / (float)scaling->factor;
    case SCORE_ROTARY_LLAMA3:
        return scale_llama3(scaling, 1.0F / power);
    case SCORE_ROTARY_YARN:
        return scale_yarn(scaling, half, base, pair, power);
    case SCORE_ROTARY_DEFAULT:
    case SCORE_ROTARY_COUNT:
        break;
    }
    return 1.0F / power;
}

void score_rotary_fill(const struct score_rotary *rotary, size_t positions, double base,
                       const struct score_rotary_scaling *scaling)
{
    const float factor = scaling->kind == SCORE_ROTARY_YARN ? (float)scaling->attention_factor : 1.0F;
    for (size_t j = 0; j < rotary->half; j++) {
        float frequency = frequency_of(scaling, rotary->half, base, j);
        for (size_t position = 0; position < positions; position++) {
            float angle = (float)position * frequency;
            rotary->cosine[position * rotary->half + j] = (float)cos((double)angle) * factor;
            rotary->sine[position * rotary->half + j] = (float)sin((double)angle) * factor;
        }
    }
}
