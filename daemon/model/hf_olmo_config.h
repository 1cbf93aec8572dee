/*
 * What the class of AllenAI's own package (ai2-olmo, "hf_olmo") makes of a config.json: in this form
 * DataDecide and the checkpoints of OLMo 1's training are published. What is left out has that class's
 * defaults.
 *
 * Found out with ai2-olmo 0.6.0 (tests/e2e/golden/ai2_olmo.py). Of what the class can do this is scored:
 * rotary embeddings, SwiGLU, norms before attention and MLP (layer norm or RMS, with parameters or without),
 * shared keys and values, the limit of queries, keys and values. Numbers of training (dropout,
 * initialisation, precision, flash attention) change no sum. "max_sequence_length" is the context:
 * lm-evaluation-harness, which does not know that name, takes 2048, as most of these models have.
 */
#ifndef BIFURCATED_MODEL_HF_OLMO_CONFIG_H
#define BIFURCATED_MODEL_HF_OLMO_CONFIG_H

#include "daemon/model/config.h"

#include <jansson.h>

/* Whether it is of this form under the name that it had before transformers took that for its own class:
 * "olmo", as Paloma's baselines and the first revisions of OLMo 1 say. Transformers' class has other keys. */
int hf_olmo_config_is_older(const json_t *root);

/* Gives the object the names and numbers that other families have, takes out of it what the class passes
 * over, and fills the doubt: what the class can do and is not computed here, or what it refuses. */
void hf_olmo_config_prepare(json_t *root, struct model_config *config);

#endif
