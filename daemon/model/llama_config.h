/*
 * What transformers' classes of Llama and those after it (Mistral, Qwen2, Qwen3, SmolLM3, OLMo, OLMo 2, OLMo
 * 3) make of a config.json: one reader, since they differ in a few keys.
 *
 * Found out with transformers 4.57 and 5.24 (tests/e2e/golden/families.py). A file with "rope_parameters" is
 * of version 5, which 4 reads without them: it means what 5 reads (of OLMo 3 an object for each kind of
 * layer). "pretraining_tp" splits products and changes no sum; current versions pass over it.
 */
#ifndef BIFURCATED_MODEL_LLAMA_CONFIG_H
#define BIFURCATED_MODEL_LLAMA_CONFIG_H

#include "daemon/model/config.h"
#include "daemon/model/family.h"

#include <jansson.h>

/* Takes out of the object what the classes pass over. Fills the doubt and what families before it do not
 * have: the size of a head, the scaling of the rotary embeddings, layers without them, the sliding window,
 * the limit of queries, keys and values. */
void llama_config_prepare(json_t *root, const struct family *family, struct model_config *config);

#endif
