#include "api/server.h"

#include "api/dispatch.h"
#include "api/http/access.h"
#include "api/http/listener.h"
#include "api/http/request.h"
#include "api/http/route.h"
#include "api/http/tls.h"
#include "api/state.h"
#include "api/workers/handlers.h"
#include "daemon/base/clock.h"
#include "daemon/base/limits.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define THREADS_MAX 8
#define DRAIN_STEP_MS 5
#define LIMIT_WINDOW_S 10   /* a bucket holds the requests of so long */
#define FAILURES_PER_S 1    /* tokens of one address that do not count, */
#define FAILURES_AT_ONCE 20 /* and so many at once */
#define MEMORY_SHARE 2      /* of libmicrohttpd for a connection, in header_bytes_max (api/http/head.h) */
/* A body this many times the bound is read and dropped, so that the client gets its 413; then it is cut. */
#define DROPPED_BODIES 8

void api_options_init(struct api_options *options)
{
    *options = (struct api_options){
        .address = "127.0.0.1",
        .port = 7143,
        .version = "",
        .connections_max = 4096,
        .connections_per_address = 1024,
        .requests_per_s = 500,
        .idle_timeout_s = 30,
        .request_timeout_s = 60,
        .answer_timeout_s = 600,
        .answer_timeout_short_s = 30,
        .header_bytes_max = 16 * KIB,
        .body_bytes_max = LIMIT_API_BODY_BYTES,
        .cache_bytes_max = 64 * MIB,
        .answer_bytes_max = 256 * MIB,
        .answer_bytes_per_address = 64 * MIB,
        .claims = {.lease_ms = 60000, .policy = tasks_policy_default},
        .event_streams_max = 512,
        .heartbeat_ms = 15000,
    };
}

/* libmicrohttpd decodes before it hands over; here it must not (api/http/uri.h). */
static size_t keep_encoded(void *context, struct MHD_Connection *connection, char *text)
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

static void *begin_request(void *context, const char *target, struct MHD_Connection *connection)
{
    struct api_server *server = context;
    struct api_request *request = api_request_new(server, target);
    hide_parameters(target);
    if (request) {
        request->connection = connection;
        request->peer = peer_of(connection);
        api_peer_set_request(request->peer, request);
        atomic_fetch_add(&server->requests_running, 1);
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
    if (length && strtoull(length, NULL, 10) > max)
        return api_dispatch_too_large(request);
    return MHD_YES;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data, size_t *data_size,
                              void **request_slot)
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
            buf_append(&request->body, data, *data_size);
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

static void end_request(void *context, struct MHD_Connection *connection, void **request_slot,
                        enum MHD_RequestTerminationCode reason)
{
    struct api_server *server = context;
    struct api_request *request = *request_slot;
    if (!request)
        return;
    *request_slot = NULL;
    api_peer_set_request(request->peer, NULL);
    api_peer_set_waiting(request->peer);
    int is_whole = reason == MHD_REQUEST_TERMINATED_COMPLETED_OK;
    if (!is_whole)
        api_claim_undelivered(request);
    int status = request->status == 0 ? 400 : request->status;
    if (!is_whole && !request->is_stream)
        status = 499;
    double seconds = clock_monotonic_s() - request->started_s;
    size_t route = request->route ? (size_t)(request->route - api_routes) : api_route_count;
    if (!request->is_stream && !request->has_waited) /* how long it was followed is no latency */
        api_metrics_count(server->metrics, route, status, seconds, request->answer_bytes);
    const struct api_hooks *hooks = &server->options.hooks;
    if (api_state_keeps_access(server)) {
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
        hooks->access(hooks->context, &access);
    }
    api_request_free(request);
    atomic_fetch_sub(&server->requests_running, 1);
}

static void notify_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                              enum MHD_ConnectionNotificationCode event)
{
    struct api_server *server = context;
    if (event == MHD_CONNECTION_NOTIFY_CLOSED) {
        /* Where its memory does not suffice for what it parses itself (cookies), libmicrohttpd closes without
         * a word of the request. */
        void *request = api_peer_request(*socket_context);
        if (request)
            end_request(server, connection, &request, MHD_REQUEST_TERMINATED_CLIENT_ABORT);
        api_peers_remove(server->peers, *socket_context);
        *socket_context = NULL;
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *from =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    *socket_context =
        info ? api_peers_add(server->peers, info->connect_fd,
                             api_limiter_address_key(from ? from->client_addr : NULL, server->seed))
             : NULL;
}

/* What libmicrohttpd says of broken requests is no event of ours: the access log has them. */
static void ignore_message(void *context, const char *format, va_list arguments)
{
    (void)context;
    (void)format;
    (void)arguments;
}

static char *copy_of(const char *text)
{
    return text ? strdup(text) : NULL;
}

static unsigned thread_count(unsigned wanted)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (wanted)
        return wanted;
    if (processors < 2)
        return 2;
    return processors > THREADS_MAX ? THREADS_MAX : (unsigned)processors;
}

static void free_server(struct api_server *server)
{
    if (!server)
        return;
    api_events_free(server->events);
    api_claim_waits_free(server->claim_waits);
    api_worker_list_free(server->workers);
    api_cache_free(server->cache);
    api_memo_free(server->memo);
    api_metrics_free(server->metrics);
    api_peers_free(server->peers);
    api_token_table_free(server->tokens);
    api_limiter_free(server->limits);
    api_limiter_free(server->loopback_limits);
    api_limiter_free(server->failures);
    api_tls_free(server->tls);
    free((void *)(uintptr_t)server->options.address);
    free((void *)(uintptr_t)server->options.version);
    free((void *)(uintptr_t)server->options.token);
    free((void *)(uintptr_t)server->options.cors_origin);
    free(server);
}

static struct api_server *new_server(const struct api_options *options)
{
    struct api_server *server = calloc(1, sizeof *server);
    if (!server)
        return NULL;
    server->options = *options;
    server->options.address = copy_of(options->address);
    server->options.version = copy_of(options->version ? options->version : "");
    server->options.token = options->token && options->token[0] ? strdup(options->token) : NULL;
    server->options.cors_origin = copy_of(options->cors_origin);
    server->options.threads = thread_count(options->threads);
    if (server->options.body_bytes_max > LIMIT_API_BODY_BYTES)
        server->options.body_bytes_max = LIMIT_API_BODY_BYTES;
    server->started_ms = clock_wall_ms();
    if (getrandom(&server->id_prefix, sizeof server->id_prefix, 0) != (ssize_t)sizeof server->id_prefix)
        server->id_prefix = (uint64_t)server->started_ms;
    if (getrandom(&server->seed, sizeof server->seed, 0) != (ssize_t)sizeof server->seed)
        server->seed = server->id_prefix;
    server->cache = api_cache_new(options->cache_bytes_max);
    server->memo = api_memo_new();
    server->metrics = api_metrics_new(api_route_count);
    server->peers = api_peers_new(options->connections_max, options->connections_per_address);
    server->workers = api_worker_list_new();
    server->limits = api_limiter_new(options->requests_per_s, options->requests_per_s * LIMIT_WINDOW_S);
    server->loopback_limits =
        api_limiter_new(options->requests_per_s_loopback, options->requests_per_s_loopback * LIMIT_WINDOW_S);
    server->failures = api_limiter_new(FAILURES_PER_S, FAILURES_AT_ONCE);
    server->options.certificate = server->options.key = NULL; /* not kept; see api_server_start */
    if (!server->options.address || !server->options.version || !server->cache || !server->memo ||
        !server->metrics || !server->peers || !server->limits || !server->loopback_limits ||
        !server->failures || !server->workers) {
        free_server(server);
        return NULL;
    }
    return server;
}

/* Whether a new connection is taken: none while the server stops. MHD_quiesce_daemon() would leave them
 * waiting, but aborts the program if a thread of the pool is awake at that moment (0.9.75: both remove the
 * socket from the same epoll set). */
static enum MHD_Result accept_connection(void *context, const struct sockaddr *address, socklen_t size)
{
    const struct api_server *server = context;
    (void)address;
    (void)size;
    return atomic_load(&server->is_draining) ? MHD_NO : MHD_YES;
}

static struct MHD_Daemon *start_daemon(struct api_server *server, int fd)
{
    const struct api_options *options = &server->options;
    /* The bound is kept by api/http/peers.c; this one, which would let new connections wait, is only reached
     * by connections that were shut down and are not closed yet. Each thread has its share of it. */
    unsigned connections = 2 * options->connections_max + 64 * options->threads;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
                     MHD_USE_ERROR_LOG | (server->tls ? (unsigned)MHD_USE_TLS : 0U);
    struct MHD_OptionItem tls[] = {{MHD_OPTION_END, 0, NULL}, {MHD_OPTION_END, 0, NULL}};
    if (server->tls)
        tls[0] = api_tls_option();
    return MHD_start_daemon(
        flags, 0, accept_connection, server, handle, server, MHD_OPTION_EXTERNAL_LOGGER, ignore_message, NULL,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE, options->threads,
        MHD_OPTION_CONNECTION_LIMIT, connections, MHD_OPTION_CONNECTION_TIMEOUT, options->idle_timeout_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, MEMORY_SHARE * options->header_bytes_max,
        MHD_OPTION_URI_LOG_CALLBACK, begin_request, server, MHD_OPTION_UNESCAPE_CALLBACK, keep_encoded, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, end_request, server, MHD_OPTION_NOTIFY_CONNECTION, notify_connection,
        server, MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
}

int api_server_start(const struct api_options *options, struct api_server **ret_server, struct err *err)
{
    int fd = -1;
    struct api_server *server = new_server(options);
    int code = server ? 0 : err_set(err, ERR_NO_MEMORY, "server: out of memory");
    if (!code)
        code = api_token_table_new(options->store, server->options.token, &server->tokens, err);
    if (!code && options->certificate)
        code = api_tls_new(options->certificate, options->key, &server->tls, err);
    if (!code)
        code = api_listener_open(server, &fd, err);
    if (!code)
        code = api_listener_take(server, fd, err);
    if (!code)
        code = api_events_start(server, &server->events, err);
    if (!code)
        code = api_claim_waits_start(server, &server->claim_waits, err);
    if (!code) {
        server->daemon = start_daemon(server, fd);
        if (!server->daemon)
            code = err_set(err, ERR_IO, "the threads of the server could not be started");
    }
    if (code) {
        if (fd >= 0)
            (void)close(fd);
        free_server(server);
        return code;
    }
    *ret_server = server;
    return 0;
}

uint16_t api_server_port(const struct api_server *server)
{
    return server->port;
}

const char *api_server_url(const struct api_server *server)
{
    return server->url;
}

int api_server_replace_certificate(struct api_server *server, const char *certificate, const char *key,
                                   struct err *err)
{
    if (!server->tls)
        return err_set(err, ERR_UNSUPPORTED, "the server speaks plain HTTP");
    return api_tls_replace(server->tls, certificate, key, err);
}

void api_server_stop(struct api_server *server, int64_t drain_ms)
{
    if (!server)
        return;
    int64_t deadline_ms = clock_monotonic_ms() + drain_ms;
    atomic_store(&server->is_draining, 1);
    api_events_end(server->events);
    api_claim_waits_end(server->claim_waits);
    while (atomic_load(&server->requests_running) > 0 && clock_monotonic_ms() < deadline_ms)
        clock_sleep_ms(DRAIN_STEP_MS);
    MHD_stop_daemon(server->daemon); /* closes the listening socket, too */
    free_server(server);
}
