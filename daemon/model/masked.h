/*
 * Models that fill in masked tokens (BERT and those after it) and say nothing of the next one, so that they
 * have no perplexity of it. Their unembedding has statistics as any other.
 */
#ifndef BIFURCATED_MODEL_MASKED_H
#define BIFURCATED_MODEL_MASKED_H

#include "daemon/model/config.h"

/* By the class that config.json names, else by its model_type. */
int masked_model_is(const struct model_config *config);

/* Electra's other half, trained beside one that fills in: it has no unembedding either. */
int masked_model_is_discriminator(const struct model_config *config);

#endif
