/*
 * The JSON of a request's body, as JSON Schema sees it: a number without a fraction is an integer however it
 * is written (7, 7.0, 7e0), so that what the description allows is accepted. Members that are there twice are
 * refused.
 */
#ifndef BIFURCATED_API_FORM_JSON_LOAD_H
#define BIFURCATED_API_FORM_JSON_LOAD_H

#include "daemon/base/err.h"

#include <jansson.h>
#include <stddef.h>

/* NULL with ERR_INVALID for what is not JSON, or holds more than LIMIT_API_JSON_VALUES, or ERR_NO_MEMORY. The
 * caller releases. */
json_t *api_json_load(const char *body, size_t size, struct err *err);

#endif
