/*
 * What the files of the transport share; handlers do not see it.
 */
#ifndef BIFURCATED_API_HTTP_STATE_H
#define BIFURCATED_API_HTTP_STATE_H

#include "api/http/cache.h"
#include "api/http/http.h"
#include "api/http/limiter.h"
#include "api/http/memo.h"
#include "api/http/metrics.h"
#include "api/http/peers.h"
#include "api/http/token_table.h"

#include <stdatomic.h>
#include <stdbool.h>

#define API_URL_SIZE 96

struct MHD_Daemon;
struct api_tls;

struct api_http {
    struct api_http_options options; /* its strings are owned here */
    const struct api_route_table *routes;
    const struct api_context *context; /* of the handlers */
    int fd;                            /* that it listens on, until the threads have it; then -1 */
    int is_shared;                     /* somebody holds it, too */
    int former_fd;                     /* what was handed over and listens elsewhere; 0: nothing */
    int is_former_shut;                /* it does not listen now */
    struct MHD_Daemon *daemon;
    int is_loopback; /* it listens on a loopback address only */
    uint16_t port;
    char url[API_URL_SIZE];
    const char *authority;        /* within it: address and port */
    int64_t started_ms;           /* wall clock */
    atomic_bool is_draining;      /* no new connections, answers close theirs */
    atomic_uint requests_running; /* begun and not completed */
    uint64_t id_prefix;           /* random; of the ids of requests */
    atomic_uint_fast64_t id_next;
    struct api_memo *memo;
    struct api_token_table *tokens;
    uint64_t seed;                       /* random; of the keys of addresses and tokens */
    struct api_tls *tls;                 /* NULL: plain HTTP */
    struct api_limiter *limits;          /* requests of each address and each token */
    struct api_limiter *loopback_limits; /* requests of addresses of this machine */
    struct api_limiter *failures;        /* tokens of each address that did not count */
    struct api_cache *cache;
    atomic_size_t body_bytes[2]; /* being received or worked at: usual ones, and those that may be larger */
    atomic_size_t answer_bytes;  /* of all answers in memory, kept or being sent */
    atomic_bool lacks_room;      /* an answer was refused for that since the last tick */
    struct api_metrics *metrics;
    struct api_peers *peers;
    int64_t uses_saved_ms; /* of tokens; monotonic, of the ticking thread */
};

/* Whether the access log writes down anything at this time. */
static inline int api_http_keeps_access(const struct api_http *http)
{
    const struct api_access_log *log = &http->options.access_log;
    return log->write && (!log->is_kept || log->is_kept(log->context));
}

#endif
