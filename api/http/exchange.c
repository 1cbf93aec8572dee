#include "api/http/exchange.h"

#include "api/http/dispatch.h"
#include "api/http/request.h"
#include "api/http/route.h"
#include "api/http/state.h"
#include "daemon/base/clock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A body this many times the bound is read and dropped, so that the client gets its 413; then it is cut. */
#define DROPPED_BODIES 8

/* libmicrohttpd decodes before it hands over; here it must not (api/http/uri.h). */
size_t api_exchange_keep_encoded(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

static struct api_peer *peer_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* libmicrohttpd takes the query apart as well, into memory of the connection, and where that does not suffice
 * it lets the connection hang and forgets the request. Nobody asks it for parameters (api/http/uri.h has
 * them), so it gets to see a single one. The text lies in its buffer of received bytes. */
static void hide_parameters(const char *target)
{
    char *text = strchr((char *)(uintptr_t)target, '?');
    while (text && (text = strchr(text, '&')))
        *text = ';';
}

void *api_exchange_begin(void *context, const char *target, struct MHD_Connection *connection)
{
    struct api_http *http = context;
    struct api_request *request = api_request_new(http, target);
    hide_parameters(target);
    if (request) {
        request->connection = connection;
        request->peer = peer_of(connection);
        api_peer_set_request(request->peer, request);
        atomic_fetch_add(&http->requests_running, 1);
    }
    return request;
}

/* A client's own request id is kept if it is short and plain. */
static void take_request_id(struct api_request *request)
{
    const char *id = request->headers.request_id;
    static const char plain[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_.";
    if (!id || !id[0] || strlen(id) >= sizeof request->id || id[strspn(id, plain)])
        return;
    (void)snprintf(request->id, sizeof request->id, "%s", id);
    request->has_own_id = 1;
}

static enum MHD_Result begin_body(struct api_request *request, const char *method, const char *version)
{
    request->is_begun = 1;
    request->method = method;
    struct api_head_fault fault;
    int is_refused = api_head_check(request, version, &fault) != 0;
    take_request_id(request);
    if (is_refused)
        return api_dispatch_refuse_head(request, &fault);
    /* Refused before it is sent where the client waits for that, or where it would be cut anyway. Otherwise
     * the client is still sending: closing on it now could cost it the answer. */
    const char *length = request->headers.content_length;
    if (!length && !request->headers.transfer_encoding)
        return MHD_YES; /* no body comes */
    size_t max = request->body_max = request->body.max = api_dispatch_body_max(request);
    if (!request->headers.expect)
        max *= DROPPED_BODIES;
    const int is_too_large = length && strtoull(length, NULL, 10) > max;
    return is_too_large || request->headers.expect ? api_dispatch_head(request, is_too_large) : MHD_YES;
}

enum MHD_Result api_exchange_handle(void *context, struct MHD_Connection *connection, const char *url,
                                    const char *method, const char *version, const char *data,
                                    size_t *data_size, void **request_slot)
{
    (void)context;
    (void)connection;
    (void)url;
    struct api_request *request = *request_slot;
    if (!request)
        return MHD_NO; /* out of memory */
    if (!request->is_begun)
        return begin_body(request, method, version);
    if (*data_size) {
        size_t max = request->body_max;
        request->body_received += *data_size;
        if (request->body_received > max * DROPPED_BODIES)
            return MHD_NO;
        if (request->body_received <= max)
            api_request_add_body(request, data, *data_size);
        *data_size = 0;
        return MHD_YES;
    }
    api_peer_set_busy(request->peer);
    enum MHD_Result result = api_dispatch(request);
    if (request->is_stream)
        api_peer_set_streaming(request->peer);
    else if (request->status) /* 0: a claim that waits */
        api_peer_set_sending(request->peer);
    return result;
}

static void format_peer(struct MHD_Connection *connection, char *text, size_t size)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;
    text[0] = '\0';
    if (address && address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        (void)inet_ntop(AF_INET, &v4.sin_addr, text, (socklen_t)size);
    } else if (address && address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        (void)inet_ntop(AF_INET6, &v6.sin6_addr, text, (socklen_t)size);
    }
}

void api_exchange_end(void *context, struct MHD_Connection *connection, void **request_slot,
                      enum MHD_RequestTerminationCode reason)
{
    struct api_http *http = context;
    struct api_request *request = *request_slot;
    if (!request)
        return;
    *request_slot = NULL;
    api_peer_set_request(request->peer, NULL);
    api_peer_set_waiting(request->peer);
    int is_whole = reason == MHD_REQUEST_TERMINATED_COMPLETED_OK;
    if (request->on_end)
        request->on_end(request, is_whole);
    int status = request->status == 0 ? 400 : request->status;
    if (!is_whole && !request->is_stream)
        status = 499;
    double seconds = clock_monotonic_s() - request->started_s;
    size_t route = request->route ? (size_t)(request->route - http->routes->rows) : http->routes->count;
    if (!request->is_stream && !request->has_waited) /* how long it was followed is no latency */
        api_metrics_count(http->metrics, route, status, seconds, request->answer_bytes);
    if (api_http_keeps_access(http)) {
        const struct api_access_log *log = &http->options.access_log;
        char address[INET6_ADDRSTRLEN];
        const char *agent = api_request_header(request, MHD_HTTP_HEADER_USER_AGENT);
        format_peer(connection, address, sizeof address);
        struct api_access access = {
            .request_id = api_request_id(request),
            .address = address,
            .token = request->identity.name,
            .method = request->method ? request->method : "",
            .target = request->target,
            .agent = agent ? agent : "",
            .operation = request->route ? request->route->operation : "",
            .status = status,
            .body_bytes = request->answer_bytes,
            .seconds = seconds,
            .is_cached = request->is_cached,
        };
        log->write(log->context, &access);
    }
    api_request_free(request);
    atomic_fetch_sub(&http->requests_running, 1);
}

void api_exchange_notify(void *context, struct MHD_Connection *connection, void **socket_context,
                         enum MHD_ConnectionNotificationCode event)
{
    struct api_http *http = context;
    if (event == MHD_CONNECTION_NOTIFY_CLOSED) {
        /* Where its memory does not suffice for what it parses itself (cookies), libmicrohttpd closes without
         * a word of the request. */
        void *request = api_peer_request(*socket_context);
        if (request)
            api_exchange_end(http, connection, &request, MHD_REQUEST_TERMINATED_CLIENT_ABORT);
        api_peers_remove(http->peers, *socket_context);
        *socket_context = NULL;
        return;
    }
    /* One after the other: from libmicrohttpd 1.0 on all answers of a connection lie in the same place. */
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    uint64_t address = api_limiter_address_key(info ? info->client_addr : NULL, http->seed);
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    *socket_context = info ? api_peers_add(http->peers, info->connect_fd, address) : NULL;
}

/* Whether a new connection is taken: none while the server stops. MHD_quiesce_daemon() would leave them
 * waiting, but aborts the program if a thread of the pool is awake at that moment (0.9.75: both remove the
 * socket from the same epoll set). */
enum MHD_Result api_exchange_accept(void *context, const struct sockaddr *address, socklen_t size)
{
    const struct api_http *http = context;
    (void)address;
    (void)size;
    return atomic_load(&http->is_draining) ? MHD_NO : MHD_YES;
}
