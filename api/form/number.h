/*
 * Numbers as text that reads back as exactly the same number, with as few digits as 15 to 17 allow.
 */
#ifndef BIFURCATED_API_FORM_NUMBER_H
#define BIFURCATED_API_FORM_NUMBER_H

#include <stdint.h>

#define API_NUMBER_SIZE 32

/* Writes `value` into text and returns its length; 0 and "" for NaN and infinities, which JSON lacks. */
int api_number_format(double value, char text[API_NUMBER_SIZE]);

/* Parses a whole decimal integer within [min, max]; returns 0 and leaves *ret_value for anything else. */
int api_number_parse(const char *text, int64_t min, int64_t max, int64_t *ret_value);

#endif
