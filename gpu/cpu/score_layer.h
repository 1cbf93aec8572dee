/*
 * One batch of packed documents on its way through the layers, by one thread.
 */
#ifndef BIFURCATED_GPU_CPU_SCORE_LAYER_H
#define BIFURCATED_GPU_CPU_SCORE_LAYER_H

#include "gpu/cpu/score_scratch.h"

/* hidden = rows of the embedding, with what the family adds or does to them, for the packed batch. */
void score_layer_embed(const struct cpu_score_model *model, const struct score_scratch *scratch,
                       size_t input_count, float *hidden);

/* Takes `hidden` [inputs, d] of a packed batch through a layer. In the last layer only the rows that predict
 * a target are finished; they are normalised by the final norm and go to `out` [targets, d]. */
void score_layer_run(const struct cpu_score_model *model, const struct score_rotary *rotary, uint64_t layer,
                     const struct score_plan_batch *batch, struct score_scratch *scratch, float *hidden,
                     float *out);

#endif
