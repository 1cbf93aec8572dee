/*
 * What transformers' GPT2Config makes of a config.json: names of its own ("n_embd"), some of which have a
 * second one ("hidden_size"), and three flags of how attention is scaled.
 *
 * Found out with transformers 4.57 and 5.24 (tests/e2e/golden/gpt2.py).
 */
#ifndef BIFURCATED_MODEL_GPT2_CONFIG_H
#define BIFURCATED_MODEL_GPT2_CONFIG_H

#include "daemon/model/config.h"

#include <jansson.h>

/* Takes out of the object what the class passes over, fills in how attention is scaled, and writes the doubt.
 */
void gpt2_config_prepare(json_t *root, struct model_config *config);

#endif
