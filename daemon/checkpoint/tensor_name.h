/*
 * What a tensor may be called: 1 to LIMIT_TENSOR_NAME_BYTES bytes of UTF-8 without control characters, so
 * that a name from a file can go into messages, JSON and the database as it is.
 */
#ifndef BIFURCATED_CHECKPOINT_TENSOR_NAME_H
#define BIFURCATED_CHECKPOINT_TENSOR_NAME_H

#include "daemon/base/err.h"

#include <stddef.h>

/* 0 or ERR_FORMAT / ERR_LIMIT with the reason. `name` need not end with a 0. */
int tensor_name_check(const char *name, size_t size, struct err *err);

#endif
