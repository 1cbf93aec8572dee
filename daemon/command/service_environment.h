/*
 * The environment that systemd gives the service, for who examines it from a shell of root: proxies and
 * HF_TOKEN stand in no configuration.
 */
#ifndef BIFURCATED_COMMAND_SERVICE_ENVIRONMENT_H
#define BIFURCATED_COMMAND_SERVICE_ENVIRONMENT_H

#include "daemon/base/err.h"

/* Sets what an EnvironmentFile= sets: lines NAME=value, blank ones and comments (# or ;) between them, a
 * value with or without quotes around it. ERR_NOT_FOUND if there is no such file. */
int service_environment_take(const char *path, struct err *err);

#endif
