/*
 * How much a JSON text holds, seen before it is parsed. In a parser's memory two brackets cost some hundred
 * bytes, so that a file of 100 MB that is allowed by its size could fill ten gigabytes. Whoever parses what
 * comes from outside, and may be more than a MiB, asks here first.
 */
#ifndef BIFURCATED_BASE_JSON_BOUND_H
#define BIFURCATED_BASE_JSON_BOUND_H

#include "daemon/base/err.h"

#include <stddef.h>

/* ERR_LIMIT if the text opens more than containers_max objects and arrays, or holds more than values_max
 * values of any kind, containers among them (counted as one more than its commas and brackets, so never too
 * few). What stands inside of strings does not count. Any bytes may be given: of text that is no JSON, as
 * much is counted as a parser would come to see. */
int json_bound_check(const char *text, size_t size, size_t values_max, size_t containers_max,
                     struct err *err);

#endif
