/*
 * Parses JSON from a file that may be hostile. Private to the readers of headers, indexes and model files.
 */
#ifndef BIFURCATED_CHECKPOINT_JSON_LOAD_H
#define BIFURCATED_CHECKPOINT_JSON_LOAD_H

#include "daemon/base/err.h"

#include <jansson.h>
#include <stddef.h>

/* Parses text; a key may not occur twice. What holds more than these bounds (daemon/base/json_bound.h), far
 * more than the largest good file has, is refused before it is parsed. NULL with ERR_FORMAT, ERR_LIMIT or
 * ERR_NO_MEMORY; the caller calls json_decref. */
json_t *json_load_bounded(const char *text, size_t size, size_t values_max, size_t containers_max,
                          struct err *err);

#endif
