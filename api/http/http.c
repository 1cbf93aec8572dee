#include "api/http/http.h"

#include "api/http/exchange.h"
#include "api/http/listener.h"
#include "api/http/route.h"
#include "api/http/state.h"
#include "api/http/tls.h"
#include "daemon/base/clock.h"
#include "daemon/base/limits.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define THREADS_MAX 8
#define DRAIN_STEP_MS 5
#define SAVE_USES_MS 10000
#define LIMIT_WINDOW_S 10   /* a bucket holds the requests of so long */
#define FAILURES_PER_S 1    /* tokens of one address that do not count, */
#define FAILURES_AT_ONCE 20 /* and so many at once */
#define MEMORY_SHARE 2      /* of libmicrohttpd for a connection, in header_bytes_max (api/http/head.h) */

void api_http_options_init(struct api_http_options *options)
{
    *options = (struct api_http_options){
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
        .bodies_bytes_max = 256 * MIB,
        .larger_bodies_bytes_max = 4 * (size_t)LIMIT_CLAIM_RESULT_BYTES,
        .answer_bytes_max = 256 * MIB,
        .answer_bytes_per_address = 64 * MIB,
    };
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

void api_http_free(struct api_http *http)
{
    if (!http)
        return;
    if (http->fd >= 0)
        (void)close(http->fd);
    api_listener_return(http);
    api_cache_free(http->cache);
    api_memo_free(http->memo);
    api_metrics_free(http->metrics);
    api_peers_free(http->peers);
    api_token_table_free(http->tokens);
    api_limiter_free(http->limits);
    api_limiter_free(http->loopback_limits);
    api_limiter_free(http->failures);
    api_tls_free(http->tls);
    free((void *)(uintptr_t)http->options.address);
    free((void *)(uintptr_t)http->options.version);
    free((void *)(uintptr_t)http->options.token);
    free((void *)(uintptr_t)http->options.cors_origin);
    free(http);
}

static struct api_http *allocate(const struct api_http_options *options, const struct api_route_table *routes,
                                 const struct api_context *context)
{
    struct api_http *http = calloc(1, sizeof *http);
    if (!http)
        return NULL;
    http->fd = -1;
    http->routes = routes;
    http->context = context;
    http->options = *options;
    http->options.address = copy_of(options->address);
    http->options.version = copy_of(options->version ? options->version : "");
    http->options.token = options->token && options->token[0] ? strdup(options->token) : NULL;
    http->options.cors_origin = copy_of(options->cors_origin);
    http->options.threads = thread_count(options->threads);
    if (http->options.body_bytes_max > LIMIT_API_BODY_BYTES)
        http->options.body_bytes_max = LIMIT_API_BODY_BYTES;
    http->started_ms = clock_wall_ms();
    http->uses_saved_ms = clock_monotonic_ms();
    if (getrandom(&http->id_prefix, sizeof http->id_prefix, 0) != (ssize_t)sizeof http->id_prefix)
        http->id_prefix = (uint64_t)http->started_ms;
    if (getrandom(&http->seed, sizeof http->seed, 0) != (ssize_t)sizeof http->seed)
        http->seed = http->id_prefix;
    http->cache = api_cache_new(options->cache_bytes_max);
    http->memo = api_memo_new();
    http->metrics = api_metrics_new(routes->count);
    http->peers = api_peers_new(options->connections_max, options->connections_per_address);
    http->limits = api_limiter_new(options->requests_per_s, options->requests_per_s * LIMIT_WINDOW_S);
    http->loopback_limits =
        api_limiter_new(options->requests_per_s_loopback, options->requests_per_s_loopback * LIMIT_WINDOW_S);
    http->failures = api_limiter_new(FAILURES_PER_S, FAILURES_AT_ONCE);
    http->options.certificate = http->options.key = NULL; /* not kept; see api_http_new */
    if (!http->options.address || !http->options.version || !http->cache || !http->memo || !http->metrics ||
        !http->peers || !http->limits || !http->loopback_limits || !http->failures) {
        api_http_free(http);
        return NULL;
    }
    return http;
}

int api_http_new(const struct api_http_options *options, const struct api_route_table *routes,
                 const struct api_context *context, struct api_http **ret_http, struct err *err)
{
    struct api_http *http = allocate(options, routes, context);
    int code = http ? 0 : err_set(err, ERR_NO_MEMORY, "server: out of memory");
    if (!code)
        code = api_token_table_new(options->store, http->options.token, &http->tokens, err);
    if (!code && options->certificate)
        code = api_tls_new(options->certificate, options->key, &http->tls, err);
    if (!code)
        code = api_listener_open(http, &http->fd, err);
    if (!code)
        code = api_listener_take(http, http->fd, err);
    if (code) {
        api_http_free(http);
        return code;
    }
    *ret_http = http;
    return 0;
}

int api_http_start(struct api_http *http, struct err *err)
{
    const struct api_http_options *options = &http->options;
    /* The bound is kept by api/http/peers.c; this one, which would let new connections wait, is only reached
     * by connections that were shut down and are not closed yet. Each thread has its share of it. */
    unsigned connections = 2 * options->connections_max + 64 * options->threads;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
                     MHD_USE_ERROR_LOG | (http->tls ? (unsigned)MHD_USE_TLS : 0U);
    struct MHD_OptionItem tls[] = {{MHD_OPTION_END, 0, NULL}, {MHD_OPTION_END, 0, NULL}};
    if (http->tls)
        tls[0] = api_tls_option();
    http->daemon = MHD_start_daemon(
        flags, 0, api_exchange_accept, http, api_exchange_handle, http, MHD_OPTION_EXTERNAL_LOGGER,
        ignore_message, NULL, MHD_OPTION_LISTEN_SOCKET, http->fd, MHD_OPTION_THREAD_POOL_SIZE,
        options->threads, MHD_OPTION_CONNECTION_LIMIT, connections, MHD_OPTION_CONNECTION_TIMEOUT,
        options->idle_timeout_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT, MEMORY_SHARE * options->header_bytes_max,
        MHD_OPTION_URI_LOG_CALLBACK, api_exchange_begin, http, MHD_OPTION_UNESCAPE_CALLBACK,
        api_exchange_keep_encoded, NULL, MHD_OPTION_NOTIFY_COMPLETED, api_exchange_end, http,
        MHD_OPTION_NOTIFY_CONNECTION, api_exchange_notify, http, MHD_OPTION_STRICT_FOR_CLIENT, 0,
        MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    if (!http->daemon)
        return err_set(err, ERR_IO, "the threads of the server could not be started");
    http->fd = -1; /* closed with it */
    return 0;
}

uint16_t api_http_port(const struct api_http *http)
{
    return http->port;
}

const char *api_http_url(const struct api_http *http)
{
    return http->url;
}

const char *api_http_version(const struct api_http *http)
{
    return http->options.version;
}

int64_t api_http_started_ms(const struct api_http *http)
{
    return http->started_ms;
}

int api_http_replace_token(struct api_http *http, const char *token, struct err *err)
{
    return api_token_table_replace_file_token(http->tokens, token, err);
}

int api_http_replace_certificate(struct api_http *http, const char *certificate, const char *key,
                                 struct err *err)
{
    if (!http->tls)
        return err_set(err, ERR_UNSUPPORTED, "the server speaks plain HTTP");
    return api_tls_replace(http->tls, certificate, key, err);
}

int api_http_certificate_times(const struct api_http *http, int64_t *ret_from_ms, int64_t *ret_until_ms)
{
    if (http->tls)
        api_tls_read_times(http->tls, ret_from_ms, ret_until_ms);
    return http->tls != NULL;
}

void api_http_forget_token(struct api_http *http, int64_t id)
{
    api_token_table_forget(http->tokens, id);
}

/* Who reads slowly has time, but not while others are refused for it. */
static void expire_peers(struct api_http *http)
{
    const struct api_http_options *options = &http->options;
    int64_t answer_ms = (int64_t)options->answer_timeout_s * 1000;
    int64_t short_ms = (int64_t)options->answer_timeout_short_s * 1000;
    int is_short = atomic_exchange(&http->lacks_room, false) && short_ms < answer_ms;
    (void)api_peers_expire(http->peers, (int64_t)options->request_timeout_s * 1000, answer_ms,
                           is_short ? short_ms : answer_ms);
}

void api_http_tick(struct api_http *http)
{
    struct err err = ERR_INIT;
    (void)api_token_table_refresh(http->tokens, &err); /* else at the next tick */
    if (clock_monotonic_ms() - http->uses_saved_ms >= SAVE_USES_MS) {
        http->uses_saved_ms = clock_monotonic_ms();
        api_token_table_save_uses(http->tokens);
    }
    expire_peers(http);
}

size_t api_http_connections(struct api_http *http)
{
    return api_peers_count(http->peers);
}

void api_http_append_metrics(struct api_http *http, struct buf *text)
{
    struct api_cache_counts cache;
    int64_t from_ms = 0, until_ms = 0;
    api_metrics_render(http->metrics, http->routes, text);
    api_cache_count(http->cache, &cache);
    api_metrics_append(text, "bifurcated_http_cache_hits_total", "counter", "Answers from memory.",
                       (double)cache.hits);
    api_metrics_append(text, "bifurcated_http_cache_misses_total", "counter", "Answers made anew.",
                       (double)cache.misses);
    api_metrics_append(text, "bifurcated_http_cache_evictions_total", "counter", "Answers dropped for room.",
                       (double)cache.evictions);
    api_metrics_append(text, "bifurcated_http_cache_bytes", "gauge", "Answers kept.", (double)cache.bytes);
    api_metrics_append(text, "bifurcated_http_body_bytes", "gauge", "Bodies of requests in memory.",
                       (double)(atomic_load(&http->body_bytes[0]) + atomic_load(&http->body_bytes[1])));
    api_metrics_append(text, "bifurcated_http_answer_bytes", "gauge",
                       "Answers in memory, kept or being sent.", (double)atomic_load(&http->answer_bytes));
    api_metrics_append(text, "bifurcated_http_connections", "gauge", "Open connections.",
                       (double)api_peers_count(http->peers));
    api_metrics_append(text, "bifurcated_http_displaced_total", "counter",
                       "Connections that made room for others, or were refused.",
                       (double)api_peers_displaced(http->peers));
    if (!api_http_certificate_times(http, &from_ms, &until_ms))
        return;
    api_metrics_append(text, "bifurcated_tls_certificate_start_timestamp_seconds", "gauge",
                       "From when on the served certificate can be used, Unix time.",
                       (double)from_ms / 1000.0);
    api_metrics_append(text, "bifurcated_tls_certificate_end_timestamp_seconds", "gauge",
                       "When the first certificate of the served chain ends, Unix time.",
                       (double)until_ms / 1000.0);
}

int api_http_is_draining(const struct api_http *http)
{
    return atomic_load(&http->is_draining);
}

void api_http_settle_socket(struct api_http *http)
{
    api_listener_let_go(http);
}

int api_http_share_socket(struct api_http *http)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_LISTEN_FD);
    http->is_shared = info && info->listen_fd >= 0;
    return http->is_shared ? info->listen_fd : -1;
}

void api_http_drain(struct api_http *http)
{
    atomic_store(&http->is_draining, 1);
    if (http->is_shared) /* else libmicrohttpd shuts it down, for all who hold it */
        http->fd = MHD_quiesce_daemon(http->daemon);
}

void api_http_stop(struct api_http *http, int64_t drain_ms)
{
    int64_t deadline_ms = clock_monotonic_ms() + drain_ms;
    while (atomic_load(&http->requests_running) > 0 && clock_monotonic_ms() < deadline_ms)
        clock_sleep_ms(DRAIN_STEP_MS);
    MHD_stop_daemon(http->daemon); /* closes the listening socket, too */
    http->daemon = NULL;
}
