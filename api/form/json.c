#include "api/form/json.h"

#include "api/form/number.h"
#include "daemon/base/clock.h"
#include "daemon/base/utf8.h"

#include <inttypes.h>
#include <string.h>

void api_json_init(struct api_json *json, struct buf *buf)
{
    *json = (struct api_json){.buf = buf};
}

/* Whether a byte stands for itself inside of a JSON string. */
static int is_plain(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\' && c < 0x7f;
}

static size_t append_escaped(struct buf *buf, const char *text, size_t left)
{
    unsigned char c = (unsigned char)text[0];
    if (c == '"' || c == '\\') {
        char pair[2] = {'\\', (char)c};
        buf_append(buf, pair, sizeof pair);
        return 1;
    }
    if (c < 0x20 || c == 0x7f) {
        buf_appendf(buf, "\\u%04x", c);
        return 1;
    }
    size_t length = utf8_length(text, left);
    if (length) {
        buf_append(buf, text, length);
        return length;
    }
    buf_append_text(buf, "\xef\xbf\xbd");
    return 1;
}

static void append_string(struct buf *buf, const char *text)
{
    size_t size = strlen(text);
    buf_append_char(buf, '"');
    for (size_t i = 0; i < size;) {
        size_t run = 0;
        while (i + run < size && is_plain((unsigned char)text[i + run]))
            run++;
        if (run)
            buf_append(buf, text + i, run);
        i += run;
        if (i < size)
            i += append_escaped(buf, text + i, size - i);
    }
    buf_append_char(buf, '"');
}

static void begin(struct api_json *json, const char *key)
{
    if (json->needs_comma)
        buf_append_char(json->buf, ',');
    json->needs_comma = 1;
    if (key) {
        append_string(json->buf, key);
        buf_append_char(json->buf, ':');
    }
}

static void open_with(struct api_json *json, const char *key, char bracket)
{
    begin(json, key);
    buf_append_char(json->buf, bracket);
    json->needs_comma = 0;
}

static void close_with(struct api_json *json, char bracket)
{
    buf_append_char(json->buf, bracket);
    json->needs_comma = 1;
}

void api_json_open_object(struct api_json *json, const char *key)
{
    open_with(json, key, '{');
}

void api_json_close_object(struct api_json *json)
{
    close_with(json, '}');
}

void api_json_open_array(struct api_json *json, const char *key)
{
    open_with(json, key, '[');
}

void api_json_close_array(struct api_json *json)
{
    close_with(json, ']');
}

void api_json_null(struct api_json *json, const char *key)
{
    api_json_raw(json, key, "null", 4);
}

void api_json_text(struct api_json *json, const char *key, const char *value)
{
    if (!value) {
        api_json_null(json, key);
        return;
    }
    begin(json, key);
    append_string(json->buf, value);
}

void api_json_text_or_null(struct api_json *json, const char *key, const char *value)
{
    api_json_text(json, key, value && value[0] ? value : NULL);
}

void api_json_integer(struct api_json *json, const char *key, int64_t value)
{
    begin(json, key);
    buf_appendf(json->buf, "%" PRId64, value);
}

void api_json_real(struct api_json *json, const char *key, double value)
{
    char text[API_NUMBER_SIZE];
    int length = api_number_format(value, text);
    if (length == 0)
        api_json_null(json, key);
    else
        api_json_raw(json, key, text, (size_t)length);
}

void api_json_boolean(struct api_json *json, const char *key, int value)
{
    api_json_raw(json, key, value ? "true" : "false", value ? 4 : 5);
}

void api_json_time(struct api_json *json, const char *key, int64_t wall_ms)
{
    char text[CLOCK_TEXT_SIZE];
    if (wall_ms == 0) {
        api_json_null(json, key);
        return;
    }
    clock_format(wall_ms, text, sizeof text);
    api_json_text(json, key, text);
}

void api_json_raw(struct api_json *json, const char *key, const char *text, size_t size)
{
    begin(json, key);
    buf_append(json->buf, text, size);
}
