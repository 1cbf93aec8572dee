/*
 * config.json as the numbers that a forward pass takes.
 */
#ifndef BIFURCATED_MEASURE_SCORING_CONFIG_H
#define BIFURCATED_MEASURE_SCORING_CONFIG_H

#include "daemon/base/err.h"
#include "daemon/model/config.h"
#include "gpu/score.h"

/* ERR_UNSUPPORTED, ERR_FORMAT (model_config_check_scoring), ERR_INVALID, ERR_LIMIT (score_config_check). */
int scoring_config_of(const struct model_config *model, struct score_config *ret_config, struct err *err);

#endif
