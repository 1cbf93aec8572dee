/*
 * The experts of a layer on the GPU: MLPs of which a router chooses a few for each input
 * (gpu/cpu/score_experts.h has the rules). Inputs are grouped by expert on the device, and each expert is two
 * products over its rows.
 *
 * How many rows those are, the host reads once per layer and batch, a few hundred bytes, and waits for it:
 * products of cuBLASLt take their sizes from the host. What that costs, and what else was weighed, says
 * README.md.
 */
#ifndef BIFURCATED_GPU_CUDA_SCORE_EXPERTS_H
#define BIFURCATED_GPU_CUDA_SCORE_EXPERTS_H

#include "gpu/cuda/score_run.h"

/* hidden [rows, d] += the answers to `x` [rows, d], of the model's type: of experts, where the layer has
 * them, and of the MLP that all inputs go through, where it has one. */
int experts_run_layer(struct run *run, const struct cuda_layer *layer, const void *x, uint64_t rows,
                      float *hidden, struct err *err);

#endif
