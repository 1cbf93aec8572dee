/*
 * JSON from outside, parsed by jansson. Where memory is lacking, jansson calls that a fault of syntax, or
 * leaves bytes out of a string and goes on: a name or a document would be another one. So the allocations of
 * each parse are watched, and what was parsed while one of them failed is no result. Numbers of more than
 * 4,000 characters are refused. Nothing else parses JSON (tests/rules).
 */
#ifndef BIFURCATED_BASE_JSON_TEXT_H
#define BIFURCATED_BASE_JSON_TEXT_H

#include "daemon/base/err.h"

#include <jansson.h>
#include <stddef.h>

/* As json_loadb: flags are jansson's, *ret_fault (may be NULL) says what is wrong and where. The caller calls
 * json_decref. */
json_t *json_text_load(const char *text, size_t size, size_t flags, json_error_t *ret_fault);

/* Whether it was memory that was lacking. */
int json_text_lacked_memory(const json_error_t *fault);

/* The same with an error: NULL with ERR_NO_MEMORY, or ERR_FORMAT with the place. Integers beyond 64 bits,
 * which Python writes and jansson refuses ("model_max_length": 1000000000000000019884624838656), are reals.
 */
json_t *json_text_parse(const char *text, size_t size, size_t flags, struct err *err);

/* As json_dumps, the caller frees: NULL without memory. jansson alone leaves out a name whose space it does
 * not get, and returns what is no JSON. */
char *json_text_dump(const json_t *value, size_t flags);

/*
 * How many allocations jansson was refused so far, of this thread. Who builds or changes a value piece by
 * piece need not look at each: a value is whole if this is the same after it as before.
 */
unsigned long json_text_refusals(void);

/* What jansson gets where malloc() has no memory: NULL, or what keeps its lexer from aborting. For tests that
 * let an allocation fail. */
void *json_text_take_spare(size_t size);

#endif
