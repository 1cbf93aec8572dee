/*
 * What transformers' GPTNeoXConfig makes of a config.json: it has names of its own and passes over those of
 * other families, which would otherwise pass for them here.
 *
 * Found out with transformers 4.57 and 5.23 (tests/e2e/test_scoring_variants.py). Where those two make
 * different models of a file, or none, nobody can say what its perplexity is; then there is a doubt.
 */
#ifndef BIFURCATED_MODEL_NEOX_CONFIG_H
#define BIFURCATED_MODEL_NEOX_CONFIG_H

#include <jansson.h>
#include <stddef.h>

/* Takes out of the object what the class passes over. Writes to `doubt` (of `size` bytes) why the model
 * cannot be scored, one clause that names the key, or "". */
void neox_config_prepare(json_t *root, char *doubt, size_t size);

#endif
