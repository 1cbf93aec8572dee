/*
 * What transformers' classes of mixtures of experts (OLMoE, Qwen 3 MoE, dots.llm1) make of the keys of
 * config.json that are about experts; the others are read as Llama's (llama_config.h).
 *
 * Found out with transformers 4.57 and 5.24 (tests/e2e/golden/experts.py). Of losses ("router_aux_loss_coef")
 * no logit knows.
 */
#ifndef BIFURCATED_MODEL_EXPERTS_CONFIG_H
#define BIFURCATED_MODEL_EXPERTS_CONFIG_H

#include "daemon/model/config.h"
#include "daemon/model/family.h"

#include <jansson.h>

/* Whether the family has experts. */
int experts_config_has(const struct family *family);

/* Fills the numbers of experts, makes an expert's width the "intermediate_size" of the object, and doubts. Of
 * other families, nothing. The size of a head must be there already. */
void experts_config_prepare(json_t *root, const struct family *family, struct model_config *config);

#endif
