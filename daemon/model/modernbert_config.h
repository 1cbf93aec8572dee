/*
 * What transformers' ModernBertDecoderConfig makes of a config.json (the decoders of Ettin): every third
 * layer sees all keys, the others a window of half of "local_attention".
 *
 * Found out with transformers 4.57 and 5.24 (tests/e2e/golden/modernbert.py).
 */
#ifndef BIFURCATED_MODEL_MODERNBERT_CONFIG_H
#define BIFURCATED_MODEL_MODERNBERT_CONFIG_H

#include "daemon/model/config.h"

#include <jansson.h>

/* Gives keys the names that other families have for them, takes out of the object what the class passes over,
 * fills in windows, bases and biases, and writes the doubt. */
void modernbert_config_prepare(json_t *root, struct model_config *config);

#endif
