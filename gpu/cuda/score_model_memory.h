/*
 * Where the parts of a model lie in the GPU's memory, and taking that memory.
 */
#ifndef BIFURCATED_GPU_CUDA_SCORE_MODEL_MEMORY_H
#define BIFURCATED_GPU_CUDA_SCORE_MODEL_MEMORY_H

#include "gpu/cuda/score_model.h"

/* Bytes of the largest matrix that is stored in another type than it is kept in; 0: there is none. */
size_t model_largest_raw(const struct cuda_model *model);

/* Takes the memory and places everything in it: resident if there is room, else streamed; beside another
 * model (or NULL) whole, with all the room that both can use, or not at all. ERR_NO_MEMORY. */
int model_take_memory(struct cuda_model *model, const struct score_need *beside, struct err *err);

#endif
