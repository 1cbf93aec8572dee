/*
 * What the files of this folder share of a running server. Not for other folders: they see server.h.
 */
#ifndef BIFURCATED_API_STATE_H
#define BIFURCATED_API_STATE_H

#include "api/http/cache.h"
#include "api/http/limiter.h"
#include "api/http/memo.h"
#include "api/http/metrics.h"
#include "api/http/peers.h"
#include "api/http/token_table.h"
#include "api/server.h"
#include "api/sweeps/events.h"
#include "api/workers/claim_wait.h"
#include "api/workers/worker_list.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define API_URL_SIZE 96

struct MHD_Daemon;
struct api_tls;

struct api_server {
    struct api_options options; /* its strings are owned here */
    struct MHD_Daemon *daemon;
    int is_loopback;      /* it listens on a loopback address only */
    unsigned streams_max; /* as the option; kept here for messages */
    uint16_t port;
    char url[API_URL_SIZE];
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
    atomic_size_t answer_bytes; /* of all answers in memory, kept or being sent */
    atomic_bool lacks_room;     /* an answer was refused for that since the last tick */
    struct api_events *events;
    struct api_claim_waits *claim_waits;
    struct api_worker_list *workers;
    struct api_metrics *metrics;
    struct api_peers *peers;
};

/* Whether the access log writes down anything at this time. */
static inline int api_state_keeps_access(const struct api_server *server)
{
    const struct api_hooks *hooks = &server->options.hooks;
    return hooks->access && (!hooks->keeps_access || hooks->keeps_access(hooks->context));
}

#endif
