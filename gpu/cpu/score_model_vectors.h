/*
 * The vectors of a model, in float32 and in one memory: of the layers (score_vectors.h), the norms of the
 * embedding and at the end, the head, and what logits are multiplied with.
 */
#ifndef BIFURCATED_GPU_CPU_SCORE_MODEL_VECTORS_H
#define BIFURCATED_GPU_CPU_SCORE_MODEL_VECTORS_H

#include "gpu/cpu/score_model.h"

#include <stdint.h>

uint64_t score_model_vector_bytes(const struct cpu_score_model *model);

/* Fills model->vector_memory, with all threads, and lets the model point into it. */
void score_model_fill_vectors(struct cpu_score_model *model);

#endif
