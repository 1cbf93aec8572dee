#include "daemon/base/log.h"

#include "daemon/base/buf.h"
#include "daemon/base/clock.h"
#include "daemon/base/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#define VALUE_BYTES_MAX (4 * KIB) /* longer ones are cut, so that no line is lost */
#define LINE_BYTES_MAX (1 * MIB)

static _Atomic int current_level = LOG_LEVEL_INFO;
static _Atomic int current_format = LOG_FORMAT_TEXT;

static const char *const level_names[] = {"debug", "info", "warning", "error"};

void log_configure(enum log_level level, enum log_format format)
{
    atomic_store(&current_level, (int)level);
    atomic_store(&current_format, (int)format);
}

int log_is_on(enum log_level level)
{
    return (int)level >= atomic_load(&current_level);
}

int log_parse_level(const char *text, enum log_level *level)
{
    for (int i = 0; i < 4; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return 1;
        }
    }
    return 0;
}

/* The bytes of the well-formed UTF-8 character at `p` (RFC 3629), 0 if there is none. */
static size_t character_size(const unsigned char *p)
{
    size_t size = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : 4;
    if ((p[0] >= 0x80 && p[0] < 0xc2) || p[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return size;
}

/* A JSON string; it is also how text values with spaces or quotes are written. Control characters are
 * escaped, also those beyond ASCII; a byte that is not UTF-8 becomes U+FFFD. */
static void append_quoted(struct buf *line, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    (void)buf_append_char(line, '"');
    while (*p && p < (const unsigned char *)text + VALUE_BYTES_MAX) {
        size_t size = character_size(p);
        if (*p == '"' || *p == '\\')
            (void)buf_appendf(line, "\\%c", *p);
        else if (*p < 0x20 || *p == 0x7f)
            (void)buf_appendf(line, "\\u%04x", *p);
        else if (size == 2 && p[0] == 0xc2 && p[1] < 0xa0)
            (void)buf_appendf(line, "\\u%04x", p[1]);
        else if (size)
            (void)buf_append(line, p, size);
        else
            (void)buf_append_text(line, "\\ufffd");
        p += size ? size : 1;
    }
    (void)buf_append_text(line, *p ? "...\"" : "\"");
}

static int is_plain(const char *text)
{
    size_t size = 0;
    for (; text[size]; size++) {
        unsigned char c = (unsigned char)text[size];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f || size == VALUE_BYTES_MAX)
            return 0;
    }
    return size > 0;
}

static void append_value(struct buf *line, const struct log_field *field, int as_json)
{
    switch (field->kind) {
    case LOG_KIND_INT:
        (void)buf_appendf(line, "%" PRId64, field->integer);
        break;
    case LOG_KIND_REAL:
        if (as_json && field->real - field->real != 0) /* JSON has no NaN or infinity */
            (void)buf_append_text(line, "null");
        else
            (void)buf_appendf(line, "%.6g", field->real);
        break;
    default:
        if (!as_json && is_plain(field->text))
            (void)buf_append_text(line, field->text);
        else
            append_quoted(line, field->text);
    }
}

/* One write per line, so that lines of several threads do not mix. */
static int write_line(int fd, enum log_level level, const char *event, const struct log_field *fields)
{
    int as_json = atomic_load(&current_format) == LOG_FORMAT_JSON;
    char now[CLOCK_TEXT_SIZE];
    struct buf line;
    int fault = 0;
    buf_init(&line, LINE_BYTES_MAX);
    clock_format(clock_wall_ms(), now, sizeof now);
    if (as_json) {
        (void)buf_appendf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":", now, level_names[level]);
        append_quoted(&line, event);
    } else {
        (void)buf_appendf(&line, "%s %-7s %s", now, level_names[level], event);
    }
    for (const struct log_field *field = fields; field->kind != LOG_KIND_END; field++) {
        (void)buf_appendf(&line, as_json ? ",\"%s\":" : " %s=", field->key);
        append_value(&line, field, as_json);
    }
    (void)buf_append_text(&line, as_json ? "}\n" : "\n");
    if (line.failed)
        fault = ENOMEM;
    else if (write(fd, line.data, line.size) != (ssize_t)line.size)
        fault = errno ? errno : ENOSPC;
    buf_free(&line);
    return fault;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    if (log_is_on(level))
        (void)write_line(STDERR_FILENO, level, event, fields);
}

int log_write_to(int fd, const char *event, const struct log_field *fields)
{
    errno = 0;
    return write_line(fd, LOG_LEVEL_INFO, event, fields);
}
