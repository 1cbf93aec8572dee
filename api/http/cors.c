#include "api/http/cors.h"

#include "api/http/access.h"
#include "api/http/state.h"

#include <string.h>

#define MAX_AGE_S "600"

int api_cors_matches(const char *option, const char *origin)
{
    size_t length = strlen(origin);
    if (length == 0)
        return 0;
    while (*option) {
        option += strspn(option, ", ");
        size_t size = strcspn(option, ", ");
        if (size == length && memcmp(option, origin, length) == 0)
            return 1;
        option += size;
    }
    return 0;
}

/* The value of Access-Control-Allow-Origin, or NULL if not allowed. */
static const char *allowed_origin(const struct api_request *request)
{
    const char *option = request->http->options.cors_origin;
    const char *origin = api_request_header(request, MHD_HTTP_HEADER_ORIGIN);
    if (!option || !option[0])
        return NULL;
    if (strcmp(option, "*") == 0)
        return "*";
    return origin && api_cors_matches(option, origin) ? origin : NULL;
}

void api_cors_add(const struct api_request *request, struct MHD_Response *response)
{
    const char *option = request->http->options.cors_origin;
    if (!option || !option[0])
        return;
    const char *origin = allowed_origin(request);
    if (strcmp(option, "*") != 0)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, "Origin");
    if (!origin)
        return;
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    (void)MHD_add_response_header(
        response, "Access-Control-Expose-Headers",
        "ETag, Link, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id");
}

void api_cors_add_preflight(const struct api_request *request, const char *allow,
                            struct MHD_Response *response)
{
    if (!allowed_origin(request) || !api_request_header(request, "Access-Control-Request-Method"))
        return;
    int reads_only = api_access_is_open(request->http, API_RIGHT_SWEEP);
    (void)MHD_add_response_header(response, "Access-Control-Allow-Methods",
                                  reads_only ? "GET, HEAD, OPTIONS" : allow);
    (void)MHD_add_response_header(
        response, "Access-Control-Allow-Headers",
        "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-Id");
    (void)MHD_add_response_header(response, "Access-Control-Max-Age", MAX_AGE_S);
}
