/*
 * What the class that is published beside Baichuan 2 of 7B makes of config.json, beside what is read as
 * Llama's (llama_config.h): which files are another's, and which keys it passes over.
 */
#ifndef BIFURCATED_MODEL_BAICHUAN_CONFIG_H
#define BIFURCATED_MODEL_BAICHUAN_CONFIG_H

#include "daemon/model/config.h"
#include "daemon/model/family.h"

#include <jansson.h>

/* Leaves doubts. Of other families, nothing. */
void baichuan_config_prepare(const json_t *root, const struct family *family, struct model_config *config);

#endif
