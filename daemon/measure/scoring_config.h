/*
 * config.json as the numbers that a forward pass takes.
 */
#ifndef BIFURCATED_MEASURE_SCORING_CONFIG_H
#define BIFURCATED_MEASURE_SCORING_CONFIG_H

#include "daemon/base/err.h"
#include "daemon/model/config.h"
#include "daemon/text/passages.h"
#include "gpu/score.h"

/* ERR_UNSUPPORTED, ERR_FORMAT (model_config_check_scoring), ERR_INVALID, ERR_LIMIT (score_config_check). */
int scoring_config_of(const struct model_config *model, struct score_config *ret_config, struct err *err);

/* Layers with a sliding window are computed as if they had none, which is the same within its length.
 * ERR_UNSUPPORTED for a passage that is longer. */
int scoring_config_check_passages(const struct model_config *model, const struct passages *passages,
                                  struct err *err);

#endif
