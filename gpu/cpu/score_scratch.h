/*
 * What one thread needs beside the model to take a batch through the layers.
 */
#ifndef BIFURCATED_GPU_CPU_SCORE_SCRATCH_H
#define BIFURCATED_GPU_CPU_SCORE_SCRATCH_H

#include "gpu/cpu/score_experts.h"
#include "gpu/cpu/score_model.h"

/* d: the hidden size; q: the width of the queries of all heads. */
struct score_scratch {
    struct score_packed packed;
    float *hidden;   /* [inputs, d] the residual stream, where the caller does not keep it */
    float *normed;   /* [inputs, max(d, q)] */
    float *attended; /* [inputs, max(d, q)] */
    float *wide;     /* [inputs, the widest one of q | k | v, of what goes up and of the experts] */
    struct score_routing routing; /* of models with experts */
    float *attention;             /* attention_scratch_floats */
    float *logits;                /* [SCORE_HEAD_ROWS, SCORE_HEAD_COLUMNS] */
    void *vocabulary;             /* streamed: prepared rows of the unembedding */
    void *workspace;              /* of products */
    void *memory;
};

/* Bytes for batches of at most `batch_inputs` and documents of at most `document_inputs`. Of the model, its
 * configuration, family and engine are read. */
uint64_t score_scratch_bytes(const struct cpu_score_model *model, size_t batch_inputs,
                             size_t document_inputs);

int score_scratch_init(struct score_scratch *scratch, const struct cpu_score_model *model,
                       const struct score_plan *plan, struct err *err);
void score_scratch_done(struct score_scratch *scratch);

#endif
