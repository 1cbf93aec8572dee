/*
 * Keys of config.json that StableLM has, by names that the families after Llama have for the same: biases of
 * queries, keys and values, and the epsilon of norms, which are layer norms there. Heads are rotated in part.
 */
#ifndef BIFURCATED_MODEL_STABLELM_CONFIG_H
#define BIFURCATED_MODEL_STABLELM_CONFIG_H

#include "daemon/model/config.h"
#include "daemon/model/family.h"

#include <jansson.h>

/* Before llama_config.c reads its own keys. Of other families nothing changes. */
void stablelm_config_prepare(json_t *root, const struct family *family, struct model_config *config);

#endif
