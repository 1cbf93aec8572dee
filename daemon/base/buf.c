#include "daemon/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){.max = max};
}

void buf_free(struct buf *buf)
{
    if (!buf)
        return;
    free(buf->data);
    buf_init(buf, buf->max);
}

void buf_clear(struct buf *buf)
{
    buf->size = 0;
    buf->failed = ERR_OK;
    if (buf->data)
        buf->data[0] = 0;
}

char *buf_reserve(struct buf *buf, size_t size)
{
    if (buf->failed)
        return NULL;
    if (size > buf->max - buf->size) {
        buf->failed = ERR_LIMIT;
        return NULL;
    }
    size_t need = buf->size + size + 1;
    if (need > buf->capacity) {
        size_t capacity = buf->capacity < 128 ? 256 : buf->capacity + buf->capacity / 2;
        if (capacity < need)
            capacity = need;
        char *data = realloc(buf->data, capacity);
        if (!data) {
            buf->failed = ERR_NO_MEMORY;
            return NULL;
        }
        buf->data = data;
        buf->capacity = capacity;
    }
    return buf->data + buf->size;
}

int buf_append(struct buf *buf, const void *data, size_t size)
{
    char *place = buf_reserve(buf, size);
    if (!place)
        return buf->failed;
    if (size)
        memcpy(place, data, size);
    buf->size += size;
    buf->data[buf->size] = 0;
    return 0;
}

int buf_append_text(struct buf *buf, const char *text)
{
    return buf_append(buf, text, strlen(text));
}

int buf_append_char(struct buf *buf, char c)
{
    return buf_append(buf, &c, 1);
}

int buf_appendf(struct buf *buf, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *place = length < 0 ? NULL : buf_reserve(buf, (size_t)length);
    if (place) {
        (void)vsnprintf(place, (size_t)length + 1, format, again);
        buf->size += (size_t)length;
    } else if (!buf->failed) {
        buf->failed = ERR_INTERNAL;
    }
    va_end(again);
    return buf->failed;
}

const char *buf_text(const struct buf *buf)
{
    return buf->data && buf->size ? buf->data : "";
}

int buf_check(const struct buf *buf, const char *what, struct err *err)
{
    switch (buf->failed) {
    case ERR_OK:
        return 0;
    case ERR_LIMIT:
        return err_set(err, ERR_LIMIT, "%s: larger than the limit of %zu bytes", what, buf->max);
    case ERR_NO_MEMORY:
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", what);
    default:
        return err_set(err, ERR_INTERNAL, "%s: cannot be formatted", what);
    }
}

char *buf_take(struct buf *buf)
{
    if (buf->failed)
        return NULL;
    if (!buf->data && buf_append(buf, "", 0))
        return NULL;
    char *data = buf->data;
    buf->data = NULL;
    buf_free(buf);
    return data;
}
