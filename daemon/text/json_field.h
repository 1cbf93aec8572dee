/*
 * Fields of tokenizer.json, with messages that name them.
 */
#ifndef BIFURCATED_TEXT_JSON_FIELD_H
#define BIFURCATED_TEXT_JSON_FIELD_H

#include "daemon/base/err.h"

#include <jansson.h>
#include <stddef.h>

/* Missing or null. */
int json_field_is_absent(const json_t *value);

/* A field that is true or false, `fallback` where it is absent; ERR_FORMAT for anything else. */
int json_field_flag(const json_t *object, const char *name, int fallback, int *ret_flag, struct err *err);

/* The "type" of a part, "" where it is absent; ERR_FORMAT if the part is no object or its type no string. */
int json_field_type(const json_t *part, const char **ret_type, struct err *err);

/* ERR_UNSUPPORTED: a type that is not handled. */
int json_field_refuse_type(const char *type, struct err *err);

/* How many bytes of a foreign text go into a message: for "%.*s"; no character is cut. */
int json_field_shown_size(const char *text, size_t size);

#endif
