/*
 * What Granite's class in transformers makes of the keys of config.json that name multipliers, and MiniCPM's,
 * which is published beside its models; and Gemma's, whose embedding is multiplied with the root of its
 * width. The other keys are read as Llama's (llama_config.h).
 *
 * Found out with transformers 4.57 and 5.24 (tests/e2e/golden/families.py).
 */
#ifndef BIFURCATED_MODEL_MULTIPLIERS_CONFIG_H
#define BIFURCATED_MODEL_MULTIPLIERS_CONFIG_H

#include "daemon/model/config.h"
#include "daemon/model/family.h"

#include <jansson.h>

/* A positive number; 1 where the file does not say it, and with a doubt where it is none. */
double multiplier_config_of(const json_t *root, const char *name, char *doubt);

/* What is computed of such numbers, and may be too small for a double: 0 would say that there is none, and
 * what is next to it scoring refuses. */
double multiplier_config_not_zero(double multiplier);

/* Fills the multipliers, and doubts. Of other families, nothing. */
void multipliers_config_prepare(const json_t *root, const struct family *family, struct model_config *config);

#endif
