/*
 * ALiBi: attention with a linear bias (Press, Smith, Lewis 2022, arXiv 2108.12409). Scores fall with the
 * distance of the key, in each head at another rate.
 */
#ifndef BIFURCATED_GPU_SCORE_ALIBI_H
#define BIFURCATED_GPU_SCORE_ALIBI_H

#include <stdint.h>

/* What a position of distance takes off a score, already scaled: 2^(-8 (head + 1) / n) for the n heads of a
 * power of two, and for what there are more of them the odd ones of 2 n heads. As transformers has it, in
 * float32. */
float score_alibi_slope(uint64_t head, uint64_t head_count);

#endif
