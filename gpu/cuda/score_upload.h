/*
 * A model's tensors on their way to the device: matrices as one list that the threads of `staging` share,
 * vectors converted on the host and sent as one piece.
 */
#ifndef BIFURCATED_GPU_CUDA_SCORE_UPLOAD_H
#define BIFURCATED_GPU_CUDA_SCORE_UPLOAD_H

#include "gpu/cuda/score_model.h"

/* Fills the memory of a placed model, of a streamed one without the layers' matrices, and waits for it. */
int upload_all(struct cuda_model *model, struct err *err);

/* A layer's matrices, in the order of `stream`. */
int upload_matrices(struct cuda_model *model, cudaStream_t stream, uint64_t layer, struct err *err);

#endif
