#include "api/http/dispatch.h"

#include "api/http/access.h"
#include "api/http/admit.h"
#include "api/http/deliver.h"
#include "api/http/etag.h"
#include "api/http/precondition.h"
#include "api/http/problem.h"
#include "api/http/route.h"
#include "api/http/state.h"
#include "daemon/base/limits.h"
#include "store/store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A page of rows with every column: about 4 KB a row. */
#define BODY_BYTES_MAX (64 * MIB)

/* OPTIONS, also as a browser's question before a cross-origin request. */
static int answer_options(struct api_request *request, struct api_response *response, struct err *err)
{
    if (strcmp(request->target, "*") == 0) { /* of the whole server */
        (void)snprintf(response->allow, sizeof response->allow, "GET, HEAD, POST, PUT, DELETE, OPTIONS");
    } else if (api_request_parse(request, response, err)) {
        return err->code;
    } else {
        (void)api_route_find(request->http->routes, "OPTIONS", &request->uri, request->arguments,
                             response->allow);
        if (!response->allow[0])
            return err_set(err, ERR_NO_ROUTE, "no such resource; /openapi.json lists them");
    }
    response->status = 204;
    return 0;
}

static uint64_t version_of_store(const struct api_request *request)
{
    struct store *store = request->http->options.store;
    return store ? store_version(store) : 0;
}

static struct api_memo_key memo_key(const struct api_request *request)
{
    return (struct api_memo_key){request->target, request->target_size, api_admit_preferred_format(request)};
}

/* Whether the same target was read before and the store has not changed since: then its route and format are
 * set, and known->etag is the ETag of the answer. What only says how the target is to be read (its syntax,
 * the route, its parameters) was looked at then. */
static int recall(struct api_request *request, struct api_memo_entry *known)
{
    struct api_memo_key key = memo_key(request);
    if (!api_request_is_read(request) ||
        !api_memo_get(request->http->memo, &key, version_of_store(request), known))
        return 0;
    request->route = known->route;
    request->format = known->format;
    return 1;
}

/* Sets known->etag, and remembers all for the next time. */
static int find_etag(struct api_request *request, struct api_memo_entry *known, struct err *err)
{
    struct api_memo_key key = memo_key(request);
    /* Read before the rest of the store: what is remembered is then never older than this version. */
    uint64_t version = version_of_store(request);
    int code = api_etag_of_request(request, known->etag, err);
    if (code || !known->etag[0])
        return code;
    known->route = request->route;
    known->format = request->format;
    api_memo_put(request->http->memo, &key, version, known);
    return 0;
}

/* Runs the handler between two looks at what its answer depends on: only if that stayed the same, the ETag
 * belongs to the answer and the answer may be kept. */
static int run_handler(struct api_request *request, struct api_response *response, char *etag,
                       struct err *err)
{
    struct api_memo_entry later;
    int code = request->route->handler(request, response, err);
    if (!code && !response->stream)
        code = buf_check(&response->body, "answer, which a smaller ?limit= may shorten", err);
    if (code || !etag[0])
        return code;
    if (!recall(request, &later))
        code = find_etag(request, &later, err);
    if (code)
        return code;
    if (strcmp(later.etag, etag) == 0)
        (void)snprintf(response->etag, sizeof response->etag, "%s", etag);
    else
        etag[0] = '\0';
    return 0;
}

/* Of the path of a write, what a GET with the same Accept would answer now: what it is compared with.
 * ERR_NOT_FOUND: nothing is there; ERR_UNSUPPORTED: nothing ever is. */
static int find_current(const struct api_request *request, char ret_etag[API_ETAG_SIZE], struct err *err)
{
    struct api_response shown;
    struct api_memo_entry known = {0};
    char *path = strndup(request->target, strcspn(request->target, "?"));
    struct api_request *read = path ? api_request_new(request->http, path) : NULL;
    free(path);
    if (!read)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    api_response_init(&shown, BODY_BYTES_MAX);
    read->connection = request->connection;
    read->headers = request->headers;
    read->identity = request->identity;
    read->method = "GET";
    int code = api_admit_find_route(read, &shown, err);
    if (!code)
        code = api_admit_choose_format(read, &shown, err);
    if (!code)
        code = find_etag(read, &known, err);
    if (!code)
        code = run_handler(read, &shown, known.etag, err);
    if (!code) {
        api_etag_of_body(read, &shown);
        (void)snprintf(ret_etag, API_ETAG_SIZE, "%s", shown.setting[0] ? shown.setting : shown.etag);
    }
    api_response_done(&shown);
    api_request_free(read);
    return code;
}

static int check_write(const struct api_request *request, struct api_response *response, struct err *err)
{
    char etag[API_ETAG_SIZE];
    struct err reason = ERR_INIT;
    int code = find_current(request, etag, &reason);
    if (!code)
        return api_precondition_check(request, etag, response, err);
    if (code == ERR_NOT_FOUND) /* a PUT may make it; anything else says so itself */
        return strcmp(request->method, "PUT") == 0 ? api_precondition_check(request, NULL, response, err) : 0;
    if (code != ERR_UNSUPPORTED) {
        *err = reason;
        return code;
    }
    if (!request->headers.if_match)
        return 0;
    response->status = 412;
    return api_response_refuse(response, "header", "If-Match", err, ERR_CONFLICT,
                               "what is at this path has no ETag to depend on: send this without If-Match");
}

/* One write at a time of those that depend on what is there, and of those that replace it: of several that
 * have read the same, one is right. */
static pthread_mutex_t depending = PTHREAD_MUTEX_INITIALIZER;

/* As run_handler(), where If-Match and If-None-Match hold. */
static int run_if_asked(struct api_request *request, struct api_response *response, char *etag,
                        struct err *err)
{
    const int is_asked = api_precondition_is_set(request);
    if (!is_asked && !request->http->routes->is_replacing(request->route))
        return run_handler(request, response, etag, err);
    if (api_request_is_read(request)) {
        int code = run_handler(request, response, etag, err);
        if (code || (response->stream && !response->is_in_parts))
            return code;
        api_etag_of_body(request, response);
        return api_precondition_check_match(request, response->etag, response, err);
    }
    (void)pthread_mutex_lock(&depending);
    int code = is_asked ? check_write(request, response, err) : 0;
    if (!code)
        code = run_handler(request, response, etag, err);
    (void)pthread_mutex_unlock(&depending);
    return code;
}

enum MHD_Result api_dispatch(struct api_request *request)
{
    struct err err = ERR_INIT;
    struct api_response response;
    struct api_memo_entry known = {0};
    char *etag = known.etag;
    enum MHD_Result result;
    api_response_init(&response, BODY_BYTES_MAX);
    int code;
    if (strcmp(request->method, "OPTIONS") == 0) {
        code = api_admit(request, 0, &response, &err);
        if (!code)
            code = answer_options(request, &response, &err);
    } else {
        int is_known = recall(request, &known);
        code = api_admit(request, is_known, &response, &err);
        if (!code && !is_known)
            code = find_etag(request, &known, &err);
        if (!code && etag[0] && !request->headers.if_match && api_deliver_kept(request, etag, &result)) {
            api_response_done(&response);
            return result;
        }
        if (!code && is_known) /* but nothing is kept: now it must be taken apart */
            code = api_admit_find_route(request, &response, &err);
        if (!code && is_known)
            code = api_admit_choose_format(request, &response, &err);
        if (!code)
            code = run_if_asked(request, &response, etag, &err);
        if (!code && response.is_waiting) {
            request->has_waited = 1;
            api_response_done(&response);
            return MHD_YES;
        }
    }
    if (code) {
        etag[0] = '\0';
        api_problem_render(&response, api_request_id(request), &err);
        const struct api_access_log *log = &request->http->options.access_log;
        if (response.status == 500 && log->failed)
            log->failed(log->context, api_request_id(request), request->target, err.message);
    }
    result = api_deliver(request, &response, etag);
    api_response_done(&response);
    return result;
}

size_t api_dispatch_body_max(struct api_request *request)
{
    struct err ignored = ERR_INIT;
    struct api_response response;
    size_t max = request->http->options.body_bytes_max;
    api_response_init(&response, BODY_BYTES_MAX);
    int code = api_admit_find_route(request, &response, &ignored);
    size_t larger = code ? 0 : request->http->routes->body_max(request->route);
    if (larger > max && api_access_check(request, &response, &ignored) == 0)
        max = larger;
    request->route = NULL;
    api_response_done(&response);
    return max;
}

/* A problem before the body is read, after which the connection is closed: what follows may be anything. */
static enum MHD_Result answer_early(struct api_request *request, struct api_response *response,
                                    const struct err *err)
{
    request->must_close = 1;
    api_problem_render(response, api_request_id(request), err);
    enum MHD_Result result = api_deliver(request, response, "");
    api_response_done(response);
    return result;
}

enum MHD_Result api_dispatch_refuse_head(struct api_request *request, const struct api_head_fault *fault)
{
    struct err err = ERR_INIT;
    struct api_response response;
    enum err_code code = fault->status == 400   ? ERR_INVALID
                         : fault->status == 501 ? ERR_UNSUPPORTED
                         : fault->status == 503 ? ERR_NO_MEMORY
                                                : ERR_LIMIT;
    api_response_init(&response, BODY_BYTES_MAX);
    response.status = fault->status;
    response.problem_in = fault->in;
    (void)snprintf(response.problem_field, sizeof response.problem_field, "%s", fault->field);
    if (fault->bytes_max)
        err_set(&err, code, "%s %zu bytes", fault->reason, fault->bytes_max);
    else
        err_set(&err, code, "%s", fault->reason);
    return answer_early(request, &response, &err);
}

enum MHD_Result api_dispatch_head(struct api_request *request, int is_too_large)
{
    struct err err = ERR_INIT;
    struct api_response response;
    api_response_init(&response, BODY_BYTES_MAX);
    if (is_too_large)
        request->body_received = request->body_max + 1; /* as it would be */
    if (api_admit(request, 0, &response, &err))
        return answer_early(request, &response, &err);
    api_response_done(&response);
    return MHD_YES;
}
