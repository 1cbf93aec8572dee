/*
 * The experts of a layer: MLPs of which a router chooses a few for each input, and adds up what they answer,
 * each times its weight.
 *
 * The weights are a softmax over all experts' logits, of which the largest are taken; or each logit's
 * sigmoid, and those are taken of which the sum of this and a bias is largest (enum score_router). Where
 * config.json says so, they are divided by their sum. Of equal logits the expert with the smaller number goes
 * first: torch.topk leaves that open. An input whose logits are not numbers gets NaN.
 *
 * The inputs of a batch are grouped by expert, so that each expert is one product over all of its inputs, and
 * each input's answers are added up in the order of the experts' numbers, whatever the threads do.
 */
#ifndef BIFURCATED_GPU_CPU_SCORE_EXPERTS_H
#define BIFURCATED_GPU_CPU_SCORE_EXPERTS_H

#include "gpu/cpu/score_kernels.h"
#include "gpu/score.h"

struct cpu_score_model;
struct score_layer;
struct score_scratch;

struct score_choice {
    uint32_t expert;
    float weight;
};

/* Who goes where, for one batch. */
struct score_routing {
    struct score_choice *choices; /* [inputs, experts_per_input] */
    uint32_t *begins;             /* [expert_count + 1] where an expert's part of `order` begins */
    uint32_t *order;              /* [inputs * experts_per_input] numbers in `choices`, expert by expert */
};

/* Memory for a batch of so many inputs; 0 without experts. */
uint64_t score_routing_bytes(const struct score_config *config, size_t inputs);
void score_routing_place(struct score_routing *routing, const struct score_config *config, size_t inputs,
                         void *memory);

/* Chooses for one input; its logits become what the weights are taken from. `bias` is that of the router's
 * second kind. */
void score_experts_choose(const struct score_kernels *kernels, const struct score_config *config,
                          const float *bias, float *logits, struct score_choice *choices);

/* residual [rows, d] += the answers to `x` [rows, d], by way of `wide` and `attended`. */
void score_experts_run(const struct cpu_score_model *model, const struct score_layer *layer,
                       const struct score_scratch *scratch, const float *x, size_t rows, float *residual);

#endif
