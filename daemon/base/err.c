#include "daemon/base/err.h"

#include "daemon/base/utf8.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    int code;
    const char *name;
} codes[] = {
#define X(symbol, value, name, meaning) {symbol, name},
    ERR_CODES(X)
#undef X
};

static const char *const absents[] = {[ERR_ABSENT_OTHER] = "",
#define X(symbol, name) [symbol] = (name),
                                      ERR_ABSENTS(X)
#undef X
};

__attribute__((format(printf, 2, 0))) static void format_message(struct err *err, const char *format,
                                                                 va_list arguments)
{
    (void)vsnprintf(err->message, sizeof err->message, format, arguments);
    utf8_make_printable(err->message);
}

int err_set_message(struct err *err, enum err_code code, const char *format, ...)
{
    assert(code < 0);
    va_list arguments;
    va_start(arguments, format);
    format_message(err, format, arguments);
    va_end(arguments);
    err->code = code;
    err->absent = ERR_ABSENT_OTHER;
    return code;
}

int err_set_absent_message(struct err *err, enum err_absent absent, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    format_message(err, format, arguments);
    va_end(arguments);
    err->code = ERR_NOT_FOUND;
    err->absent = absent;
    return ERR_NOT_FOUND;
}

static int code_of_errno(int errno_value)
{
    switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case ENOMEM:
        return ERR_NO_MEMORY;
    case ENOENT:
        return ERR_NOT_FOUND;
    default:
        return ERR_IO;
    }
}

int err_set_errno_message(struct err *err, int errno_value, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    format_message(err, format, arguments);
    va_end(arguments);
    size_t length = strlen(err->message);
    char reason[128];
    (void)snprintf(err->message + length, sizeof err->message - length, ": %s",
                   strerror_r(errno_value, reason, sizeof reason));
    utf8_make_printable(err->message);
    err->code = code_of_errno(errno_value);
    err->absent = ERR_ABSENT_OTHER;
    return err->code;
}

int err_wrap_message(struct err *err, const char *format, ...)
{
    char inner[ERR_MESSAGE_BYTES];
    memcpy(inner, err->message, sizeof inner);
    va_list arguments;
    va_start(arguments, format);
    format_message(err, format, arguments);
    va_end(arguments);
    size_t length = strlen(err->message);
    /* Two levels may know the same name; once is enough. */
    if (strncmp(inner, err->message, length) == 0 && strncmp(inner + length, ": ", 2) == 0) {
        memcpy(err->message, inner, sizeof inner);
        return err->code;
    }
    /* The innermost words say most: context may take half of the room at most. */
    if (length > sizeof err->message / 2)
        length = sizeof err->message / 2;
    (void)snprintf(err->message + length, sizeof err->message - length, ": %s", inner);
    utf8_make_printable(err->message);
    return err->code;
}

const char *err_name(int code)
{
    if (code == ERR_OK)
        return "ok";
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i].code == code)
            return codes[i].name;
    }
    return "internal";
}

const char *err_absent_name(enum err_absent absent)
{
    return absents[absent];
}

enum err_absent err_absent_of(const char *name)
{
    for (size_t i = 0; i < sizeof absents / sizeof absents[0]; i++) {
        if (strcmp(absents[i], name) == 0)
            return (enum err_absent)i;
    }
    return ERR_ABSENT_OTHER;
}

int err_code_of(const char *name)
{
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (strcmp(codes[i].name, name) == 0)
            return codes[i].code;
    }
    return strcmp(name, "ok") == 0 ? ERR_OK : ERR_INTERNAL;
}

int err_is_transient(int code)
{
    return code == ERR_NETWORK || code == ERR_TIMEOUT || code == ERR_RATE_LIMITED || code == ERR_NO_SPACE ||
           code == ERR_DEVICE_LOST || code == ERR_HTTP || code == ERR_UNREACHABLE;
}

int err_is_of_the_store(int code)
{
    return code == ERR_DATABASE || code == ERR_IO || code == ERR_NO_SPACE || code == ERR_NO_MEMORY;
}

int err_may_be_of_the_device(int code)
{
    switch (code) {
    case ERR_NETWORK:
    case ERR_HTTP:
    case ERR_RATE_LIMITED:
    case ERR_NO_SPACE:
    case ERR_MISMATCH:
    case ERR_GATED:
        return 0;
    default: /* a lease that ran out, too: its worker may have been killed for want of memory */
        return 1;
    }
}
