/*
 * The hub as the daemon's options say, over what the environment says: for whoever opens one.
 */
#ifndef BIFURCATED_MEASURE_HUB_SETUP_H
#define BIFURCATED_MEASURE_HUB_SETUP_H

#include "daemon/base/err.h"
#include "daemon/hub/hub.h"
#include "daemon/options/options.h"

/* Makes the options of hub_open(). The caller frees them with hub_options_free(), not after an error. */
int hub_setup_options(const struct options *options, struct hub_options *ret_hub, struct err *err);

#endif
