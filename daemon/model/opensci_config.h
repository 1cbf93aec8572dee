/*
 * Keys of config.json that the class has which is published beside open-sci-ref's models: a Llama with norms
 * of each head's queries and keys.
 */
#ifndef BIFURCATED_MODEL_OPENSCI_CONFIG_H
#define BIFURCATED_MODEL_OPENSCI_CONFIG_H

#include "daemon/model/config.h"
#include "daemon/model/family.h"

#include <jansson.h>

/* Before llama_config.c reads its own keys. Of other families nothing changes. */
void opensci_config_prepare(const json_t *root, const struct family *family, struct model_config *config);

#endif
