#include "api/http/admit.h"

#include "api/http/accept.h"
#include "api/http/access.h"
#include "api/http/route.h"
#include "api/http/state.h"

#include <string.h>
#include <strings.h>

int api_admit_find_route(struct api_request *request, struct api_response *response, struct err *err)
{
    int code = api_request_parse(request, response, err);
    if (code)
        return code;
    request->route = api_route_find(request->http->routes, request->method, &request->uri, request->arguments,
                                    response->allow);
    if (request->route)
        return 0;
    if (!response->allow[0])
        return err_set(err, ERR_NO_ROUTE, "no such resource; /openapi.json lists them");
    response->status = 405;
    return err_set(err, ERR_UNSUPPORTED, "%.16s is not for this resource; it takes %s", request->method,
                   response->allow);
}

/* Every parameter must be one of the route's. */
static int check_parameters(struct api_request *request, struct api_response *response, struct err *err)
{
    const char *known = request->route->parameters;
    for (size_t i = 0; i < request->uri.parameter_count; i++) {
        const char *name = request->uri.parameters[i].name;
        size_t length = strlen(name);
        const char *at = length && !strchr(name, ' ') ? strstr(known, name) : NULL;
        while (at && (at[-1] != ' ' || at[length] != ' '))
            at = strstr(at + 1, name);
        if (!at)
            return api_response_refuse(response, "query", name, err, ERR_INVALID,
                                       "query: unknown parameter \"%s\"; known:%s", name,
                                       known[0] ? known : " none");
    }
    return 0;
}

enum api_format api_admit_preferred_format(const struct api_request *request)
{
    const char *accept = request->headers.accept;
    if (!accept || !strcasestr(accept, "text/"))
        return API_FORMAT_JSON;
    return api_accept_weigh(accept, "text/csv") > api_accept_weigh(accept, "application/json")
               ? API_FORMAT_CSV
               : API_FORMAT_JSON;
}

int api_admit_choose_format(struct api_request *request, struct api_response *response, struct err *err)
{
    const char *asked = api_uri_find(&request->uri, "format");
    if (!request->route->has_csv)
        return 0;
    if (!asked) {
        request->format = api_admit_preferred_format(request);
    } else if (strcmp(asked, "csv") == 0) {
        request->format = API_FORMAT_CSV;
    } else if (strcmp(asked, "json") != 0) {
        return api_response_refuse(response, "query", "format", err, ERR_INVALID,
                                   "format: neither json nor csv");
    }
    if (request->format == API_FORMAT_CSV)
        response->content_type = "text/csv; charset=utf-8";
    return 0;
}

static int check_size(struct api_request *request, struct api_response *response, struct err *err)
{
    (void)response;
    if (request->body_received > request->body_max)
        return err_set(err, ERR_LIMIT, "the body is larger than %zu bytes", request->body_max);
    if (request->is_crowded)
        return err_set(err, ERR_RATE_LIMITED,
                       "too many large bodies are being received at once; send it again in a few seconds");
    return buf_check(&request->body, "body", err);
}

/* It also stops forms of foreign pages, since browsers send a preflight before JSON. */
static int check_type(struct api_request *request, struct api_response *response, struct err *err)
{
    const char *wanted = request->route->takes;
    const char *type = wanted ? api_request_header(request, MHD_HTTP_HEADER_CONTENT_TYPE) : NULL;
    const size_t length = wanted ? strlen(wanted) : 0;
    if (!wanted || (type && strncasecmp(type, wanted, length) == 0 && strchr("; \t", type[length])))
        return 0;
    return api_response_refuse(response, "header", "Content-Type", err, ERR_UNSUPPORTED,
                               "Content-Type: must be %s", wanted);
}

/* When a check is made. */
enum when {
    ALWAYS,
    ONCE,    /* what it counts is counted once: a claim that waited comes here again */
    UNKNOWN, /* it only says how the target is to be read, which is remembered */
};

static const struct {
    int (*check)(struct api_request *request, struct api_response *response, struct err *err);
    enum when when;
} checks[] = {
    {api_access_limit_address, ONCE},
    {api_admit_find_route, UNKNOWN},
    {api_access_check, ALWAYS},
    {api_access_limit_token, ONCE},
    {check_parameters, UNKNOWN},
    {api_admit_choose_format, UNKNOWN},
    {check_size, ALWAYS},
    {check_type, ALWAYS},
};

int api_admit(struct api_request *request, int is_known, struct api_response *response, struct err *err)
{
    const int is_counted = request->is_counted;
    int code = 0;
    if (strcmp(request->method, "OPTIONS") == 0) /* a question about a path, or about none */
        return check_size(request, response, err);
    request->is_counted = 1;
    for (size_t i = 0; !code && i < sizeof checks / sizeof checks[0]; i++) {
        if (!(checks[i].when == ONCE && is_counted) && !(checks[i].when == UNKNOWN && is_known))
            code = checks[i].check(request, response, err);
    }
    return code;
}
