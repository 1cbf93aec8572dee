/*
 * Pico's decoders (model_type "pico_decoder"), as the class reads config.json that is published beside them:
 * a Llama with names of its own, whose neighbouring dimensions are rotated.
 */
#ifndef BIFURCATED_MODEL_PICO_CONFIG_H
#define BIFURCATED_MODEL_PICO_CONFIG_H

#include "daemon/model/config.h"
#include "daemon/model/family.h"

#include <jansson.h>

/* Of a Pico, gives the keys Llama's names and drops what the class does not know, since it knows no defaults
 * either; notes in config->doubt what it would not take. Of other families, nothing. */
void pico_config_prepare(json_t *root, const struct family *family, struct model_config *config);

#endif
