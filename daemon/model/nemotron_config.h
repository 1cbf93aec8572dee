/*
 * Keys of config.json that Nemotron has (Luciole's 1B and 23B): the epsilon of norms, which are layer norms
 * with weights stored less 1 there. Heads are rotated in part, and the MLP has no gate.
 */
#ifndef BIFURCATED_MODEL_NEMOTRON_CONFIG_H
#define BIFURCATED_MODEL_NEMOTRON_CONFIG_H

#include "daemon/model/config.h"
#include "daemon/model/family.h"

#include <jansson.h>

/* Before llama_config.c reads its own keys. Of other families nothing changes. */
void nemotron_config_prepare(json_t *root, const struct family *family, struct model_config *config);

#endif
