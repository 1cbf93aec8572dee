#include "api/http/access.h"

#include "api/http/state.h"
#include "daemon/base/clock.h"
#include "daemon/base/url.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NAME_SIZE 64

int api_access_is_open(const struct api_http *http, enum api_right right)
{
    switch (right) {
    case API_RIGHT_PUBLIC:
        return 1;
    case API_RIGHT_READ:
        return !http->options.reads_need_token;
    case API_RIGHT_SWEEP:
    case API_RIGHT_WORKER:
    case API_RIGHT_REMOVE:
        return http->is_loopback && !http->options.token;
    case API_RIGHT_ADMIN:
        return 0;
    }
    return 0;
}

static enum token_scope scope_of(enum api_right right)
{
    switch (right) {
    case API_RIGHT_PUBLIC:
    case API_RIGHT_READ:
        return TOKEN_SCOPE_READ;
    case API_RIGHT_SWEEP:
        return TOKEN_SCOPE_SWEEP;
    case API_RIGHT_WORKER:
        return TOKEN_SCOPE_WORKER;
    case API_RIGHT_REMOVE:
    case API_RIGHT_ADMIN:
        break;
    }
    return TOKEN_SCOPE_ADMIN;
}

/* The name or address in "127.0.0.1:7143", "localhost", "[::1]:80"; "" where it is longer than an address. */
static void take_name(const char *host, char name[NAME_SIZE])
{
    const char *start = host[0] == '[' ? host + 1 : host;
    size_t length = strcspn(start, host[0] == '[' ? "]" : ":");
    if (length >= NAME_SIZE)
        length = 0;
    memcpy(name, start, length);
    name[length] = '\0';
}

/* Whether it means this machine: names that a page of a foreign site cannot be served under. Without one no
 * browser asks. */
static int is_loopback_host(const char *host)
{
    char name[NAME_SIZE] = "localhost";
    if (host)
        take_name(host, name);
    return url_host_is_local(name);
}

/* Whether it is an address, which leads to one machine alone, while a site may let its name lead anywhere. */
static int is_address(const char *host)
{
    char name[NAME_SIZE];
    struct in6_addr address;
    take_name(host, name);
    return inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1;
}

/* A daemon for its own machine alone shows nothing to the pages of a site that lets its name lead here (DNS
 * rebinding): to the browser they are the daemon's own. */
static int check_name(const struct api_request *request, struct api_response *response, struct err *err)
{
    const struct api_http *http = request->http;
    const char *host = request->headers.host;
    if (!http->is_loopback || !host || strcmp(host, http->authority) == 0 || is_loopback_host(host) ||
        is_address(host))
        return 0;
    response->status = 403;
    return api_response_refuse(response, "header", "Host", err, ERR_UNAUTHORIZED,
                               "reads without a token must name this machine, as localhost or by an address "
                               "in numbers; let a proxy in front pass on the address that it asks, as nginx "
                               "does by itself, and not its own name");
}

/* Whether the page that asks, if one does, is the daemon's own. */
static int is_own_page(const struct api_request *request)
{
    const char *origin = api_request_header(request, "Origin");
    const char *host = request->headers.host;
    if (!origin)
        return 1;
    const char *authority = strstr(origin, "://");
    return authority && host && strcasecmp(authority + 3, host) == 0;
}

/* A request forwarded by a proxy here does not come from this machine. Not every proxy marks what it
 * forwards. */
static const char *find_proxy(const struct api_request *request)
{
    static const char *const names[] = {"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP",
                                        "Via"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (api_request_header(request, names[i]))
            return names[i];
    }
    return NULL;
}

/* A browser must not be talked into writing by a foreign page, be it by another name for 127.0.0.1 (DNS
 * rebinding) or by leave of the option cors-origin, which is for reading. */
static int check_foreign_page(const struct api_request *request, struct api_response *response,
                              struct err *err)
{
    const char *proxy = find_proxy(request);
    if (proxy) {
        response->status = 403;
        return api_response_refuse(
            response, "header", proxy, err, ERR_UNAUTHORIZED,
            "writes that come through a proxy need a token: set token-file to serve others");
    }
    if (!is_loopback_host(request->headers.host)) {
        response->status = 403;
        return api_response_refuse(response, "header", "Host", err, ERR_UNAUTHORIZED,
                                   "writes without a token must name a loopback host; set a token to serve "
                                   "others");
    }
    if (!is_own_page(request)) {
        response->status = 403;
        return api_response_refuse(response, "header", "Origin", err, ERR_UNAUTHORIZED,
                                   "writes from pages of other sites need a token");
    }
    return 0;
}

static int refuse(struct api_response *response, const char *fault, enum token_scope scope, struct err *err,
                  const char *reason)
{
    response->status = strcmp(fault, "insufficient_scope") == 0 ? 403 : 401;
    (void)snprintf(response->challenge, sizeof response->challenge,
                   "Bearer realm=\"bifurcated\"%s%s%s, scope=\"%s\"", fault[0] ? ", error=\"" : "", fault,
                   fault[0] ? "\"" : "", token_scope_name(scope));
    return api_response_refuse(response, "header", "Authorization", err, ERR_UNAUTHORIZED, "%s", reason);
}

static const struct sockaddr *address_of(const struct api_request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return info ? info->client_addr : NULL;
}

static int64_t now_us(void)
{
    return (int64_t)(clock_monotonic_s() * 1e6);
}

static int limit(struct api_request *request, struct api_limiter *limiter, uint64_t key, const char *whose,
                 struct api_response *response, struct err *err)
{
    struct api_limit left;
    int may_pass = api_limiter_take(limiter, key, now_us(), &left);
    if (left.burst)
        request->limit = left;
    if (may_pass)
        return 0;
    response->retry_after_s = left.retry_after_s;
    return err_set(err, ERR_RATE_LIMITED,
                   "more than %" PRId64 " requests in %" PRId64 " s %s; try again in %" PRId64 " s",
                   left.burst, left.window_s, whose, left.retry_after_s);
}

int api_access_limit_address(struct api_request *request, struct api_response *response, struct err *err)
{
    struct api_http *http = request->http;
    const struct sockaddr *address = address_of(request);
    int is_loopback = api_limiter_is_loopback(address);
    if (!(is_loopback ? http->options.requests_per_s_loopback : http->options.requests_per_s))
        return 0;
    return limit(request, is_loopback ? http->loopback_limits : http->limits,
                 api_limiter_address_key(address, http->seed), "from this address", response, err);
}

int api_access_limit_token(struct api_request *request, struct api_response *response, struct err *err)
{
    struct api_http *http = request->http;
    if (!request->identity.name[0] || !http->options.requests_per_s)
        return 0;
    return limit(request, http->limits,
                 api_limiter_number_key((uint64_t)request->identity.token_id, ~http->seed >> 1),
                 "with this token", response, err);
}

int api_access_is_exempt(const struct api_request *request)
{
    return api_limiter_is_loopback(address_of(request)) && !request->http->options.requests_per_s_loopback;
}

uint64_t api_access_address(const struct api_request *request)
{
    return api_access_is_exempt(request) ? 0
                                         : api_limiter_address_key(address_of(request), request->http->seed);
}

/* Whether the address has failures left that are looked into. */
static int take_failure(struct api_request *request, struct api_limit *ret_limit)
{
    struct api_http *http = request->http;
    *ret_limit = (struct api_limit){0};
    if (api_access_is_exempt(request))
        return 1;
    return api_limiter_take(http->failures, api_limiter_address_key(address_of(request), http->seed),
                            now_us(), ret_limit);
}

static int refuse_state(struct api_request *request, struct api_response *response,
                        enum api_token_state state, enum token_scope scope, struct err *err)
{
    struct api_limit left;
    /* The head and the whole request are both looked at, and are one failure. */
    if (!request->is_failure_counted && !take_failure(request, &left))
        request->failure_wait_s = left.retry_after_s > 0 ? left.retry_after_s : 1;
    request->is_failure_counted = 1;
    if (request->failure_wait_s) {
        response->retry_after_s = request->failure_wait_s;
        return err_set(err, ERR_RATE_LIMITED, "too many tokens that do not count from this address");
    }
    const char *reason = "the token is not known here, or was revoked";
    if (state == API_TOKEN_MISTYPED)
        reason = "the token is mistyped or cut off: its checksum is wrong";
    else if (state == API_TOKEN_EXPIRED)
        reason = "the token has expired; make a new one with: bifurcated token create";
    return refuse(response, "invalid_token", scope, err, reason);
}

/* What follows "Bearer", maybe nothing: from libmicrohttpd 1.0 on a blank at the end of a header is gone.
 * NULL: there is no such header. */
static const char *bearer_token(const char *header)
{
    if (!header || strncasecmp(header, "Bearer", 6) != 0 || (header[6] != '\0' && header[6] != ' '))
        return NULL;
    return header + 6 + strspn(header + 6, " ");
}

int api_access_check(struct api_request *request, struct api_response *response, struct err *err)
{
    struct api_http *http = request->http;
    enum api_right right = request->route->right;
    enum token_scope scope = scope_of(right);
    int is_open = api_access_is_open(http, right);
    const char *token = bearer_token(request->headers.authorization);
    if (right == API_RIGHT_PUBLIC)
        return 0;
    if (right == API_RIGHT_READ && is_open && !token)
        return check_name(request, response, err);
    if (token) {
        enum api_token_state state =
            api_token_table_find(http->tokens, token, clock_wall_ms(), &request->identity);
        if (state != API_TOKEN_VALID && !(is_open && right == API_RIGHT_READ))
            return refuse_state(request, response, state, scope, err);
        if (state == API_TOKEN_VALID && token_scopes_allow(request->identity.scopes, scope))
            return 0;
    }
    if (is_open)
        return right == API_RIGHT_READ ? check_name(request, response, err)
                                       : check_foreign_page(request, response, err);
    char reason[160];
    if (!token) {
        (void)snprintf(reason, sizeof reason,
                       "this needs the header \"Authorization: Bearer TOKEN\" with a token of scope %s",
                       token_scope_name(scope));
        return refuse(response, "", scope, err, reason);
    }
    (void)snprintf(reason, sizeof reason, "the token %s lacks the scope %s", request->identity.name,
                   token_scope_name(scope));
    return refuse(response, "insufficient_scope", scope, err, reason);
}
