/*
 * What transformers' BloomConfig makes of a config.json: sizes by two names, and nothing of what other
 * families choose (activation, width of the MLP, positions).
 *
 * Found out with transformers 4.57 and 5.24 (tests/e2e/golden/bloom.py).
 */
#ifndef BIFURCATED_MODEL_BLOOM_CONFIG_H
#define BIFURCATED_MODEL_BLOOM_CONFIG_H

#include "daemon/model/config.h"

#include <jansson.h>

/* The context: config.json names none that counts, and lm-evaluation-harness takes so many tokens then. */
#define BLOOM_POSITIONS 2048

/* Takes out of the object what the class passes over, gives its sizes the names that count, and writes the
 * doubt. */
void bloom_config_prepare(json_t *root, struct model_config *config);

#endif
