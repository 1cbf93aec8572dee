/*
 * The HTTP server: the store as JSON and CSV, for dashboards, teammates and nightly jobs.
 *
 * It reads the store and writes only sweeps and what remote workers measure; whatever else it must know
 * (devices, readiness) it asks the daemon through `struct api_hooks`. Requests run on a small pool of threads
 * inside libmicrohttpd; a stream of events costs a connection, not a thread.
 *
 *     struct api_options options;
 *     api_options_init(&options);
 *     options.store = store;
 *     if (api_server_start(&options, &server, err) < 0) ...
 *     log_info("listening", log_text("url", api_server_url(server)), log_end);
 *     ...
 *     api_server_stop(server, 5000);
 */
#ifndef BIFURCATED_API_SERVER_H
#define BIFURCATED_API_SERVER_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "store/tasks.h"

#include <stddef.h>
#include <stdint.h>

struct api_server;
struct store;

/* One answered request, for the access log. All texts are borrowed and valid during the call. */
struct api_access {
    const char *request_id;
    const char *address; /* of the peer, "127.0.0.1" */
    const char *token;   /* name of the token that it carried; "" without one */
    const char *method;
    const char *target;    /* path and query as received */
    const char *agent;     /* the header User-Agent; "" without one */
    const char *operation; /* operationId of openapi.json; "" where no route matched */
    int status;
    uint64_t body_bytes; /* of the answer, as sent (compressed) */
    double seconds;      /* from the first byte of the request to the end of the answer */
    int is_cached;       /* the answer came from the cache of responses */
};

/* What the daemon's requests to the hub wait for. */
struct api_hub_wait {
    const char *reason; /* "request_budget", "rate_limit", "retry_after"; NULL: nothing waits */
    int64_t until_ms;   /* wall clock */
    uint64_t serial;    /* grows whenever one of them changes */
};

/* What only the daemon knows. Every member may be NULL; each is called from several threads at once, with
 * `context` as first argument. */
struct api_hooks {
    void *context;

    /* Nonzero if work can be taken; else writes one sentence to reason. NULL: ready while it listens. */
    int (*ready)(void *context, char *reason, size_t reason_size);

    /* Appends one JSON array of devices: [{"name": ..., "backend": "cpu", "is_available": true, ...}]. */
    int (*devices)(void *context, struct buf *json, struct err *err);

    /* Appends the members of a JSON object without braces ("\"workers\":2,\"hub\":\"...\""), shown by
     * GET /v1/status. */
    int (*status)(void *context, struct buf *members, struct err *err);

    /* What requests to the hub wait for at present. NULL: they never wait. */
    void (*hub_wait)(void *context, struct api_hub_wait *ret_wait);

    /* Appends whole lines in Prometheus' text format; names start with "bifurcated_". */
    int (*metrics)(void *context, struct buf *text, struct err *err);

    /* A sweep was stored or cancelled: the planner and the workers may look at once. */
    void (*wake)(void *context);

    /* An answer was sent (or its client went away: status 499). */
    void (*access)(void *context, const struct api_access *access);

    /* Whether `access` writes down anything at this time; NULL: always. While it does not, an answer out of
     * memory has no request id, unless the client gave one: there would be nothing to look up with it. */
    int (*keeps_access)(void *context);
};

/* Of remote workers. */
struct api_claims_options {
    int64_t lease_ms;           /* a worker that is silent for so long loses its task */
    struct tasks_policy policy; /* of failures */
    int64_t definition;         /* by which results are stored; 0: no worker is accepted */
    int64_t scoring_definition;
};

struct api_options {
    const char *address;     /* "127.0.0.1", "::1", "0.0.0.0"; numeric */
    uint16_t port;           /* 0: any free one, see api_server_port */
    struct store *store;     /* borrowed; outlives the server */
    const char *version;     /* of the program */
    const char *token;       /* a bearer token with every scope beside those of the store, or NULL; unless the
                                address is loopback there must be one or the other */
    int reads_need_token;    /* not everybody may read */
    const char *cors_origin; /* origins whose pages may read (api/http/cors.h), "*": all, or NULL: none */
    const char *certificate; /* PEM, with the chain: serve TLS; NULL: plain HTTP */
    const char *key;         /* PEM, of the certificate */

    unsigned threads;                 /* that answer requests; 0: one per processor, at most 8 */
    unsigned connections_max;         /* at once; further ones displace those that wait (api/http/peers.h) */
    unsigned connections_per_address; /* at once from one address; 0: no such bound */
    int64_t requests_per_s; /* of one address or one token, ten seconds' worth at once; 0: no limit */
    int64_t requests_per_s_loopback; /* of an address of this machine; 0: no limit */
    unsigned idle_timeout_s;         /* a connection that is silent for so long is closed */
    unsigned request_timeout_s;      /* from the first to the last byte of a request */
    unsigned answer_timeout_s;       /* the same of an answer; streams of events are exempt */
    unsigned answer_timeout_short_s; /* the same while other answers are refused for lack of room */
    size_t header_bytes_max;         /* headers; a connection has memory for twice as much */
    size_t body_bytes_max;           /* body of a request; at most LIMIT_API_BODY_BYTES */
    size_t cache_bytes_max;          /* answers kept in memory; 0: none */
    /* Answers that their clients have not read yet: beyond these, reads of more than 64 KiB get 503. */
    size_t answer_bytes_max;         /* of all, beside the kept ones */
    size_t answer_bytes_per_address; /* made for one address; not for this machine's, as of requests */
    struct api_claims_options claims;
    unsigned event_streams_max; /* at once */
    unsigned heartbeat_ms;      /* a silent stream of events gets a comment this often */

    struct api_hooks hooks;
};

/* The defaults: 127.0.0.1:7143, 4096 connections. */
void api_options_init(struct api_options *options);

/* Binds, starts the threads and answers from then on. Strings of `options` are copied. ERR_INVALID for an
 * address that is not numeric, or not loopback where there is no token; ERR_IO (or ERR_CONFLICT if another
 * program listens there) if binding failed. */
int api_server_start(const struct api_options *options, struct api_server **ret_server, struct err *err);

/* The bound port. */
uint16_t api_server_port(const struct api_server *server);

/* "http://127.0.0.1:7143"; borrowed. */
const char *api_server_url(const struct api_server *server);

/* Serves another certificate from the next connection on (TLS servers only). Returns 1, or 0 if it is the
 * same. ERR_INVALID: no pair of a certificate and its key; the old one stays. */
int api_server_replace_certificate(struct api_server *server, const char *certificate, const char *key,
                                   struct err *err);

/* Accepts no more connections, ends the streams of events, lets running requests finish for at most
 * `drain_ms`, closes the rest, frees. NULL is allowed. */
void api_server_stop(struct api_server *server, int64_t drain_ms);

/* One row of the table of routes, for the contract test. */
struct api_route_info {
    const char *method;
    const char *pattern; /* "/v1/models/{owner}/{name}" */
    const char *operation;
};

/* The row at `index`, 0 on; returns 0 past the end. */
int api_route_at(size_t index, struct api_route_info *ret_info);

#endif
