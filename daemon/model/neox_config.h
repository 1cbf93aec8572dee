/*
 * What transformers' GPTNeoXConfig makes of a config.json: it has names of its own and passes over those of
 * other families, which would otherwise pass for them here.
 *
 * Found out with transformers 4.57 and 5.23 (tests/e2e/test_scoring_oracle.py).
 */
#ifndef BIFURCATED_MODEL_NEOX_CONFIG_H
#define BIFURCATED_MODEL_NEOX_CONFIG_H

#include <jansson.h>

/* Takes out of the object what the class passes over. Writes to `doubt` (config_doubt.h) why the model cannot
 * be scored, or "". */
void neox_config_prepare(json_t *root, char *doubt);

#endif
