/*
 * For hub_json.c and hub_json_tree.c only: what all replies have in common.
 */
#ifndef BIFURCATED_HUB_HUB_JSON_PARTS_H
#define BIFURCATED_HUB_HUB_JSON_PARTS_H

#include "daemon/base/err.h"

#include <jansson.h>
#include <stddef.h>

/* Parses a reply, called `what` in errors, of bounded size and shape. The caller drops *ret_root. ERR_FORMAT,
 * ERR_LIMIT, ERR_NO_MEMORY. */
int hub_json_parse(const char *data, size_t size, const char *what, json_t **ret_root, struct err *err);

/* A member's text; "" where it is absent or of another type. Borrowed from the object. */
const char *hub_json_text_of(const json_t *object, const char *key);

/* Doubles the rows of a list when its count is a power of two; nonzero without memory. */
int hub_json_grow(void **rows, size_t count, size_t row_size);

#endif
