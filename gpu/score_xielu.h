/*
 * xIELU, the activation of Apertus (Huang and Schlag 2024, arXiv 2411.13010), of which each layer has numbers
 * of its own:
 *
 *     positive x^2 + beta x                                    for x > 0
 *     negative (exp(min(x, epsilon)) - 1 - x) + beta x         else
 */
#ifndef BIFURCATED_GPU_SCORE_XIELU_H
#define BIFURCATED_GPU_SCORE_XIELU_H

#include "gpu/tensor.h"

struct score_xielu {
    float positive, negative, beta, epsilon;
};

/* Of a layer's tensors, `views` [SCORE_ROLE_COUNT]: of the first two a softplus is stored, which the second
 * adds to beta. In float64, where transformers rounds to the type that the model has. */
struct score_xielu score_xielu_of(const struct tensor_view *views);

#endif
