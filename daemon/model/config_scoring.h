/*
 * What follows from a model's config.json where its forward pass is implemented: that it is, and how many
 * parameters the model has.
 */
#ifndef BIFURCATED_MODEL_CONFIG_SCORING_H
#define BIFURCATED_MODEL_CONFIG_SCORING_H

#include "daemon/base/err.h"
#include "daemon/model/config.h"

#include <stdint.h>

/* 0 if the model's forward pass is implemented (a known family, kind of rotary embeddings and activation,
 * sizes that fit each other), else ERR_UNSUPPORTED or ERR_FORMAT with the reason. */
int model_config_check_scoring(const struct model_config *config, struct err *err);

/* The number of parameters of a model that can be scored, without buffers; of a GPT-NeoX 2 V d + L (12 d^2 +
 * 13 d) + 2 d for intermediate = 4 d (V vocabulary rows, d hidden size, L layers; one embedding less if
 * tied). ERR_UNSUPPORTED for hf_olmo and ModernBERT, for other families, and for numbers that transformers
 * would not take.
 */
int model_config_parameter_count(const struct model_config *config, uint64_t *ret_count, struct err *err);

#endif
