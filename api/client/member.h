/*
 * Members of JSON objects that a daemon sent: nothing promises that they are there, or what they are.
 */
#ifndef BIFURCATED_API_CLIENT_MEMBER_H
#define BIFURCATED_API_CLIENT_MEMBER_H

#include <jansson.h>
#include <stdint.h>

/* What stands for a member that is missing or something else: "", 0, 0; of member_number() NaN. */
const char *member_text(const json_t *object, const char *key);
int64_t member_integer(const json_t *object, const char *key);
double member_real(const json_t *object, const char *key);
double member_number(const json_t *object, const char *key);

/* Whether it is a number. */
int member_is_number(const json_t *object, const char *key);

#endif
