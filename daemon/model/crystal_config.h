/*
 * What the class that is published beside Crystal (LLM360) makes of the keys of config.json: GPT-2's with
 * rotary embeddings, a gate and the multipliers of muP.
 */
#ifndef BIFURCATED_MODEL_CRYSTAL_CONFIG_H
#define BIFURCATED_MODEL_CRYSTAL_CONFIG_H

#include "daemon/model/config.h"

#include <jansson.h>

/* Fills what GPT-2 has not, and doubts; what is not Crystal's is taken out of `root`. */
void crystal_config_prepare(json_t *root, struct model_config *config);

#endif
