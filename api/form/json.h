/*
 * Writes JSON into a buffer, member after member, without building a tree first.
 *
 * Every function takes the member's key, or NULL inside of an array. Commas and escapes are taken care of;
 * text that is not UTF-8 gets U+FFFD for each bad byte; NaN and infinities become null.
 */
#ifndef BIFURCATED_API_FORM_JSON_H
#define BIFURCATED_API_FORM_JSON_H

#include "daemon/base/buf.h"

#include <stddef.h>
#include <stdint.h>

struct api_json {
    struct buf *buf; /* borrowed; its max bounds the text, buf_check() tells */
    int needs_comma;
};

void api_json_init(struct api_json *json, struct buf *buf);

void api_json_open_object(struct api_json *json, const char *key);
void api_json_close_object(struct api_json *json);
void api_json_open_array(struct api_json *json, const char *key);
void api_json_close_array(struct api_json *json);

/* NULL becomes null. */
void api_json_text(struct api_json *json, const char *key, const char *value);
/* As text, but "" becomes null. */
void api_json_text_or_null(struct api_json *json, const char *key, const char *value);
void api_json_integer(struct api_json *json, const char *key, int64_t value);
void api_json_real(struct api_json *json, const char *key, double value);
void api_json_boolean(struct api_json *json, const char *key, int value);
void api_json_null(struct api_json *json, const char *key);
/* "2026-11-23T08:15:00.123Z", or null for 0. */
void api_json_time(struct api_json *json, const char *key, int64_t wall_ms);
/* A value that is JSON already. */
void api_json_raw(struct api_json *json, const char *key, const char *text, size_t size);

#endif
