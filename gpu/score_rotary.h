/*
 * The rotary embedding: by which angles queries and keys are rotated.
 */
#ifndef BIFURCATED_GPU_SCORE_ROTARY_H
#define BIFURCATED_GPU_SCORE_ROTARY_H

#include "gpu/score.h"

/* Cosines and sines. */
struct score_rotary {
    size_t half;   /* pairs of dimensions that are rotated, of each head */
    float *cosine; /* [positions, half] */
    float *sine;   /* [positions, half] */
};

/* Angle of pair j at position p: p * base^(-2 j / (2 half)), the frequency scaled as asked for, in float32 as
 * transformers has it. Fills the tables. */
void score_rotary_fill(const struct score_rotary *rotary, size_t positions, double base,
                       const struct score_rotary_scaling *scaling);

#endif
