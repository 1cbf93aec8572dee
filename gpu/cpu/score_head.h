/*
 * From hidden states to the log-probabilities of their targets, block by block of the vocabulary, so that the
 * logits of a row never exist together.
 */
#ifndef BIFURCATED_GPU_CPU_SCORE_HEAD_H
#define BIFURCATED_GPU_CPU_SCORE_HEAD_H

#include "gpu/cpu/score_layer.h"

/* For at most SCORE_HEAD_ROWS rows of `hidden` [row_count, d] (after the final norm): the log-probability of
 * each row's target and whether no logit is larger and none before it equal. */
void score_head_run(const struct cpu_score_model *model, struct score_scratch *scratch, const float *hidden,
                    const uint32_t *targets, size_t row_count, double *logprobs, uint8_t *is_argmax);

#endif
