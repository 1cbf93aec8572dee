#include "api/http/precondition.h"

#include "daemon/base/digest.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SETTING_BYTES_MAX 256 /* of a few words and numbers */

int api_precondition_digits(const struct buf *setting, char ret_digits[API_SETTING_SIZE], struct err *err)
{
    char hex[DIGEST_SHA256_HEX_SIZE];
    int code = digest_sha256_hex(buf_text(setting), setting->size, hex, err);
    if (!code)
        (void)snprintf(ret_digits, API_SETTING_SIZE, "%.16s", hex);
    return code;
}

int api_precondition_digits_of(char ret_digits[API_SETTING_SIZE], struct err *err, const char *format, ...)
{
    char text[SETTING_BYTES_MAX];
    struct buf setting;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    buf_init(&setting, sizeof text);
    buf_append_text(&setting, text);
    int code = buf_check(&setting, "setting", err);
    if (!code)
        code = api_precondition_digits(&setting, ret_digits, err);
    buf_free(&setting);
    return code;
}

int api_precondition_etag(const char *digits, struct api_response *response, struct err *err)
{
    char body[API_SETTING_SIZE];
    int code = api_precondition_digits(&response->body, body, err);
    if (!code)
        (void)snprintf(response->etag, sizeof response->etag, "%s%s", digits, body);
    if (!code)
        (void)snprintf(response->setting, sizeof response->setting, "%s", digits);
    return code;
}

int api_precondition_is_set(const struct api_request *request)
{
    return request->headers.if_none_match || request->headers.if_match;
}

/* In a list of ETags, in any coding. A weak one is of something that is much like it: enough for what is
 * read, and not for what is changed (RFC 9110, 8.8.3.2). */
static int names(const char *header, const char *digits, int takes_weak)
{
    const size_t length = strlen(digits);
    if (strcmp(header, "*") == 0)
        return 1;
    for (const char *at = strchr(header, '"'); at; at = strchr(at, '"')) {
        const int is_weak = at - header >= 2 && memcmp(at - 2, "W/", 2) == 0;
        const char *tag = at + 1, *end = strchr(tag, '"');
        if (!end)
            break;
        if ((takes_weak || !is_weak) && (size_t)(end - tag) >= length && memcmp(tag, digits, length) == 0)
            return 1;
        at = end + 1;
    }
    return 0;
}

/* A star, or ETags with commas between. */
static int is_well_formed(const char *header)
{
    int count = 0;
    if (strcmp(header, "*") == 0)
        return 1;
    for (const char *at = header + strspn(header, ", \t"); *at; at += strspn(at, ", \t")) {
        at += strncmp(at, "W/", 2) == 0 ? 2 : 0;
        const char *end = *at == '"' ? strchr(at + 1, '"') : NULL;
        if (!end)
            return 0;
        at = end + 1 + strspn(end + 1, " \t");
        if (*at && *at != ',')
            return 0;
        count++;
    }
    return count > 0;
}

int api_precondition_check_match(const struct api_request *request, const char *digits,
                                 struct api_response *response, struct err *err)
{
    const char *match = request->headers.if_match;
    if (!match)
        return 0;
    if (!is_well_formed(match))
        return api_response_refuse(response, "header", "If-Match", err, ERR_INVALID,
                                   "If-Match: neither * nor an ETag, which is sent with its quotes");
    if (digits && names(match, digits, 0))
        return 0;
    response->status = 412;
    return api_response_refuse(
        response, "header", "If-Match", err, ERR_CONFLICT, "%s",
        !digits                 ? "it is not there (any more)"
        : strstr(match, "W/\"") ? "a weak ETag (W/) says only that it was much like this: read it again from "
                                  "the daemon itself, and not through what changes its answers on the way"
                                : "it is not what you read any more: read it again, and then change that");
}

int api_precondition_check(const struct api_request *request, const char *digits,
                           struct api_response *response, struct err *err)
{
    const char *none_match = request->headers.if_none_match;
    int code = api_precondition_check_match(request, digits, response, err);
    if (code || !none_match || !digits || !names(none_match, digits, 1))
        return code;
    response->status = 412;
    return api_response_refuse(response, "header", "If-None-Match", err, ERR_CONFLICT,
                               "it exists already: read it before you change it");
}
