/* The body of POST /v1/tokens, and scopes as text: what is accepted is within its bounds. */
#include "api/token_request.h"
#include "daemon/base/limits.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct api_token_request request;
    char field[API_TOKEN_FIELD_SIZE] = "", text[TOKEN_SCOPES_SIZE];
    struct err err = ERR_INIT;
    if (size > 64 * KIB)
        return 0;
    int code = api_token_request_parse((const char *)data, size, &request, field, &err);
    if (code && code != ERR_INVALID)
        abort();
    if (!code && (!request.name[0] || !request.scopes || request.scopes > 15 || request.expires_days < 0 ||
                  request.expires_days > TOKEN_EXPIRES_DAYS_MAX))
        abort();
    char *copy = strndup((const char *)data, size);
    if (!copy)
        return 0;
    unsigned scopes = token_scopes_parse(copy);
    token_scopes_format(scopes, text);
    if (token_scopes_parse(text) != scopes)
        abort();
    (void)token_text_is_whole(copy);
    free(copy);
    return 0;
}
