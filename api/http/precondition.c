#include "api/http/precondition.h"

#include "daemon/base/digest.h"

#include <stdio.h>
#include <string.h>

int api_precondition_digits(const struct buf *setting, char ret_digits[API_SETTING_SIZE], struct err *err)
{
    char hex[DIGEST_SHA256_HEX_SIZE];
    int code = digest_sha256_hex(buf_text(setting), setting->size, hex, err);
    if (!code)
        (void)snprintf(ret_digits, API_SETTING_SIZE, "%.16s", hex);
    return code;
}

int api_precondition_etag(const char *digits, struct api_response *response, struct err *err)
{
    char body[API_SETTING_SIZE];
    int code = api_precondition_digits(&response->body, body, err);
    if (!code)
        (void)snprintf(response->etag, sizeof response->etag, "%s%s", digits, body);
    return code;
}

int api_precondition_is_set(const struct api_request *request)
{
    return request->headers.if_none_match || api_request_header(request, "If-Match");
}

/* In a list of ETags, in any coding. */
static int names(const char *header, const char *digits)
{
    char start[API_SETTING_SIZE + 1];
    (void)snprintf(start, sizeof start, "\"%s", digits);
    return strcmp(header, "*") == 0 || strstr(header, start) != NULL;
}

int api_precondition_check(const struct api_request *request, const char *digits,
                           struct api_response *response, struct err *err)
{
    const char *match = api_request_header(request, "If-Match");
    const char *none_match = request->headers.if_none_match;
    if (match && !(digits && names(match, digits))) {
        response->status = 412;
        return api_response_refuse(response, "header", "If-Match", err, ERR_CONFLICT, "%s",
                                   digits ? "it is not what you read any more: read it again, and then "
                                            "change that"
                                          : "it is not there (any more)");
    }
    if (none_match && digits && names(none_match, digits)) {
        response->status = 412;
        return api_response_refuse(response, "header", "If-None-Match", err, ERR_CONFLICT,
                                   "it is there already: read it before you change it");
    }
    return 0;
}
