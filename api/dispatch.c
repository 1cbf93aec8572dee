#include "api/dispatch.h"

#include "api/access.h"
#include "api/deliver.h"
#include "api/head.h"
#include "api/problem.h"
#include "api/route.h"
#include "api/state.h"
#include "daemon/base/limits.h"

#include <stdio.h>
#include <string.h>

/* A page of rows with every column: about 4 KB a row. */
#define BODY_BYTES_MAX (64 * MIB)

/* Every parameter must be one of the route's. */
static int check_parameters(const struct api_request *request, struct api_response *response, struct err *err)
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

static int choose_format(struct api_request *request, struct api_response *response, struct err *err)
{
    const char *asked = api_uri_find(&request->uri, "format");
    const char *accept = api_request_header(request, "Accept");
    if (!request->route->has_csv)
        return 0;
    if (!asked) {
        int takes_csv = accept && strstr(accept, "text/csv") && !strstr(accept, "application/json");
        request->format = takes_csv ? API_FORMAT_CSV : API_FORMAT_JSON;
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

/* OPTIONS, also as a browser's question before a cross-origin request. */
static int answer_options(struct api_request *request, struct api_response *response, struct err *err)
{
    (void)api_route_find("OPTIONS", &request->uri, request->arguments, response->allow);
    if (!response->allow[0])
        return err_set(err, ERR_NOT_FOUND, "no such resource");
    response->status = 204;
    return 0;
}

static int find_route(struct api_request *request, struct api_response *response, struct err *err)
{
    if (request->uri_code) {
        *err = request->uri_err;
        response->problem_in = "path";
        return request->uri_code;
    }
    request->route = api_route_find(request->method, &request->uri, request->arguments, response->allow);
    if (request->route)
        return 0;
    if (!response->allow[0])
        return err_set(err, ERR_NOT_FOUND, "no such resource; /openapi.json lists them");
    response->status = 405;
    return err_set(err, ERR_UNSUPPORTED, "%.16s is not for this resource; it takes %s", request->method,
                   response->allow);
}

static int prepare(struct api_request *request, struct api_response *response, struct err *err)
{
    /* A claim that waited comes here again. */
    int code = request->is_counted ? 0 : api_access_limit_address(request, response, err);
    if (!code)
        code = find_route(request, response, err);
    if (!code)
        code = api_access_check(request, response, err);
    if (!code && !request->is_counted)
        code = api_access_limit_token(request, response, err);
    request->is_counted = 1;
    if (!code)
        code = check_parameters(request, response, err);
    if (!code)
        code = choose_format(request, response, err);
    if (!code && request->body_received > request->body_max)
        code = err_set(err, ERR_LIMIT, "the body is larger than %zu bytes", request->body_max);
    if (!code)
        code = buf_check(&request->body, "body", err);
    return code;
}

/* Runs the handler between two looks at what its answer depends on: only if that stayed the same, the ETag
 * belongs to the answer and the answer may be kept. */
static int run_handler(struct api_request *request, struct api_response *response, char *etag,
                       struct err *err)
{
    char later[API_ETAG_SIZE];
    int code = request->route->handler(request, response, err);
    if (!code && !response->stream)
        code = buf_check(&response->body, "answer", err);
    if (code || !etag[0])
        return code;
    code = api_deliver_etag(request, later, err);
    if (code)
        return code;
    if (strcmp(later, etag) == 0)
        (void)snprintf(response->etag, sizeof response->etag, "%s", etag);
    else
        etag[0] = '\0';
    return 0;
}

enum MHD_Result api_dispatch(struct api_request *request)
{
    struct err err = ERR_INIT;
    struct api_response response;
    char etag[API_ETAG_SIZE] = "";
    enum MHD_Result result;
    api_response_init(&response, BODY_BYTES_MAX);
    int code;
    if (strcmp(request->method, "OPTIONS") == 0 && !request->uri_code) {
        code = answer_options(request, &response, &err);
    } else {
        code = prepare(request, &response, &err);
        if (!code)
            code = api_deliver_etag(request, etag, &err);
        if (!code && etag[0] && api_deliver_kept(request, etag, &result)) {
            api_response_done(&response);
            return result;
        }
        if (!code)
            code = run_handler(request, &response, etag, &err);
        if (!code && response.is_waiting) {
            request->has_waited = 1;
            api_response_done(&response);
            return MHD_YES;
        }
    }
    if (code) {
        etag[0] = '\0';
        api_problem_render(&response, request->id, &err);
    }
    result = api_deliver(request, &response, etag);
    api_response_done(&response);
    return result;
}

size_t api_dispatch_body_max(struct api_request *request)
{
    struct err ignored = ERR_INIT;
    struct api_response response;
    size_t max = request->server->options.body_bytes_max;
    api_response_init(&response, BODY_BYTES_MAX);
    int code = find_route(request, &response, &ignored);
    if (!code && api_route_body_max(request->route) > max &&
        api_access_check(request, &response, &ignored) == 0)
        max = api_route_body_max(request->route);
    request->route = NULL;
    api_response_done(&response);
    return max;
}

/* A problem before the body is read, after which the connection is closed: what follows may be anything. */
static enum MHD_Result answer_early(struct api_request *request, struct api_response *response,
                                    const struct err *err)
{
    request->must_close = 1;
    api_problem_render(response, request->id, err);
    enum MHD_Result result = api_deliver(request, response, "");
    api_response_done(response);
    return result;
}

int api_dispatch_refuse_head(struct api_request *request, const char *version, enum MHD_Result *ret_result)
{
    struct err err = ERR_INIT;
    struct api_response response;
    api_response_init(&response, BODY_BYTES_MAX);
    if (api_head_check(request, version, &response, &err) == 0) {
        api_response_done(&response);
        return 0;
    }
    *ret_result = answer_early(request, &response, &err);
    return 1;
}

enum MHD_Result api_dispatch_too_large(struct api_request *request)
{
    struct err err = ERR_INIT;
    struct api_response response;
    api_response_init(&response, BODY_BYTES_MAX);
    err_set(&err, ERR_LIMIT, "the body is larger than %zu bytes", request->body_max);
    return answer_early(request, &response, &err);
}
