/*
 * One batch of packed documents on its way through the layers, by one thread.
 */
#ifndef BIFURCATED_GPU_CPU_SCORE_LAYER_H
#define BIFURCATED_GPU_CPU_SCORE_LAYER_H

#include "gpu/cpu/score_model.h"

/* What one thread needs beside the model. */
struct score_scratch {
    struct score_packed packed;
    float *hidden;    /* [inputs, d] the residual stream, where the caller does not keep it */
    float *normed;    /* [inputs, d] */
    float *attended;  /* [inputs, d] */
    float *wide;      /* [inputs, max(3 d, intermediate)] */
    float *attention; /* attention_scratch_floats */
    float *logits;    /* [SCORE_HEAD_ROWS, SCORE_HEAD_COLUMNS] */
    void *vocabulary; /* streamed: prepared rows of the unembedding */
    void *workspace;  /* of products */
    void *memory;
};

int score_scratch_init(struct score_scratch *scratch, const struct cpu_score_model *model,
                       const struct score_plan *plan, struct err *err);
void score_scratch_done(struct score_scratch *scratch);

/* hidden = rows of the embedding, for the packed batch. */
void score_layer_embed(const struct cpu_score_model *model, const struct score_scratch *scratch,
                       size_t input_count, float *hidden);

/* Takes `hidden` [inputs, d] of a packed batch through a layer. In the last layer only the rows that predict
 * a target are finished; they are normalised by the final norm and go to `out` [targets, d]. */
void score_layer_run(const struct cpu_score_model *model, const struct attention_rotary *rotary,
                     uint64_t layer, const struct score_plan_batch *batch, struct score_scratch *scratch,
                     float *hidden, float *out);

#endif
