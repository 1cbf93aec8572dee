#include "api/http/etag.h"

#include "api/http/route.h"
#include "api/http/state.h"
#include "daemon/base/digest.h"
#include "daemon/base/limits.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int has_text(const char *text)
{
    return text && text[0];
}

int api_etag_of_request(const struct api_request *request, char ret_etag[API_ETAG_SIZE], struct err *err)
{
    struct api_http *http = request->http;
    struct store *store = http->options.store;
    int64_t id = 0;
    uint64_t version = 0;
    ret_etag[0] = '\0';
    if (request->route->scope == API_SCOPE_NONE)
        return 0;
    if (request->route->scope == API_SCOPE_STORE)
        version = store_version(store);
    if (request->route->scope == API_SCOPE_PATH) {
        int code = http->routes->version(request, &id, &version, err);
        if (code)
            return code;
    }
    struct buf text;
    buf_init(&text, LIMIT_URL_BYTES + KIB);
    buf_appendf(&text, "%s %s %d %" PRId64 " %" PRIu64 " %d ", http->options.version,
                store ? store_instance(store) : "", (int)request->route->scope, id, version,
                (int)request->format);
    buf_append_text(&text, request->target);
    char hex[DIGEST_SHA256_HEX_SIZE];
    int code = buf_check(&text, "target", err);
    if (!code)
        code = digest_sha256_hex(buf_text(&text), text.size, hex, err);
    buf_free(&text);
    if (!code)
        (void)snprintf(ret_etag, API_ETAG_SIZE, "%.32s", hex);
    return code;
}

void api_etag_format(char text[API_ETAG_SENT_SIZE], const char *etag, enum api_encoding encoding)
{
    (void)snprintf(text, API_ETAG_SENT_SIZE, "\"%s%s%s\"", etag, encoding ? "-" : "",
                   encoding ? api_encoding_name(encoding) : "");
}

int api_etag_is_known(const struct api_request *request, const char *etag, char ret_sent[API_ETAG_SENT_SIZE])
{
    const char *header = request->headers.if_none_match;
    ret_sent[0] = '\0';
    if (!has_text(header) || !has_text(etag))
        return 0;
    if (strcmp(header, "*") == 0)
        return 1;
    size_t length = strlen(etag);
    const char *first = strncmp(header + 1, etag, length) == 0 ? header + 1 : strstr(header, etag);
    for (const char *at = first; at; at = strstr(at + 1, etag)) {
        const char *end = strchr(at, '"');
        if (at == header || at[-1] != '"' || !end || end - at >= API_ETAG_SIZE + 8)
            continue;
        const char *coding = at + length + (at[length] == '-');
        for (int i = 0; i < API_ENCODING_COUNT; i++) {
            const char *name = i ? api_encoding_name((enum api_encoding)i) : "";
            size_t size = strlen(name);
            if ((size_t)(end - coding) != size || memcmp(coding, name, size) != 0)
                continue;
            memcpy(ret_sent, at - 1, (size_t)(end - at) + 2);
            ret_sent[end - at + 2] = '\0';
            return 1;
        }
    }
    return 0;
}

void api_etag_of_body(const struct api_request *request, struct api_response *response)
{
    char hex[DIGEST_SHA256_HEX_SIZE];
    struct err err = ERR_INIT;
    if (response->status != MHD_HTTP_OK || !api_request_is_read(request) || has_text(response->etag) ||
        response->stream)
        return;
    if (digest_sha256_hex(buf_text(&response->body), response->body.size, hex, &err) == 0)
        (void)snprintf(response->etag, sizeof response->etag, "%.32s", hex);
}
