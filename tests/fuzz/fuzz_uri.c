/* The target of a request: any bytes; what is accepted has only decoded, terminated UTF-8 in it. */
#include "api/http/uri.h"
#include "daemon/base/limits.h"
#include "daemon/base/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct api_uri uri;
    struct err err = ERR_INIT;
    if (size > 2 * (size_t)LIMIT_URL_BYTES)
        return 0;
    char *target = malloc(size + 1);
    if (!target)
        return 0;
    memcpy(target, data, size);
    target[size] = '\0';
    if (api_uri_parse(target, &uri, &err) == 0) {
        for (size_t i = 0; i < uri.segment_count; i++) {
            const char *segment = uri.segments[i];
            if (!segment[0] || strcmp(segment, "..") == 0 || !utf8_is_valid(segment, strlen(segment)))
                abort();
        }
        for (size_t i = 0; i < uri.parameter_count; i++) {
            if (api_uri_find(&uri, uri.parameters[i].name) != uri.parameters[i].value)
                abort();
        }
    }
    api_uri_free(&uri);
    free(target);
    return 0;
}
