/*
 * The way of requests and answers, whatever they are about: the transport under the table of routes.
 *
 * Requests run on a small pool of threads inside libmicrohttpd. Each goes to the handler of its row of the
 * table, with what the table's owner gives to all of them (request->context). The store is read for tokens,
 * and for the version that answers depend on.
 *
 *     api_http_new(&options, &table, &context, &http, err);
 *     ... what the handlers need ...
 *     api_http_start(http, err);
 *     ...
 *     api_http_drain(http);
 *     ... let go of suspended requests ...
 *     api_http_stop(http, 5000);
 *     api_http_free(http);
 */
#ifndef BIFURCATED_API_HTTP_HTTP_H
#define BIFURCATED_API_HTTP_HTTP_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct api_context;
struct api_http;
struct api_route_table;
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

/* Who writes them down; may be all NULL. Called from several threads at once. */
struct api_access_log {
    void *context;

    /* An answer was sent (or its client went away: status 499). */
    void (*write)(void *context, const struct api_access *access);

    /* A request is answered with 500, which is the daemon's own fault, or an answer in parts breaks off: says
     * why, whatever `is_kept` says. */
    void (*failed)(void *context, const char *request_id, const char *target, const char *reason);

    /* Whether `write` writes down anything at this time; NULL: always. While it does not, an answer out of
     * memory has no request id, unless the client gave one: there would be nothing to look up with it. */
    int (*is_kept)(void *context);
};

struct api_http_options {
    const char *address; /* "127.0.0.1", "::1", "0.0.0.0"; numeric */
    uint16_t port;       /* 0: any free one, see api_http_port */
    int listen_fd; /* 0, or a socket that listens already, taken over if it is at that address and port */
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
    /* Bodies that are being received, beside small ones (a 16th of body_bytes_max): beyond these, requests
     * get 429. Apart, since few may send the second. */
    size_t bodies_bytes_max;        /* of requests with a body of at most body_bytes_max */
    size_t larger_bodies_bytes_max; /* of those that may have a larger one (api/http/route.h) */
    size_t cache_bytes_max;         /* answers kept in memory; 0: none */
    /* Answers that their clients have not read yet: beyond these, reads of more than 64 KiB get 503. */
    size_t answer_bytes_max;         /* of all, beside the kept ones */
    size_t answer_bytes_per_address; /* made for one address; not for this machine's, as of requests */
    struct api_access_log access_log;
};

/* The defaults: 127.0.0.1:7143, 4096 connections. */
void api_http_options_init(struct api_http_options *options);

/* Binds; answers nothing yet. Strings of `options` are copied; `routes` and `context` are borrowed.
 * ERR_INVALID for an address that is not numeric, or not loopback where there is no token; ERR_IO (or
 * ERR_CONFLICT if another program listens there) if binding failed. */
int api_http_new(const struct api_http_options *options, const struct api_route_table *routes,
                 const struct api_context *context, struct api_http **ret_http, struct err *err);

/* Starts the threads and answers from then on. */
int api_http_start(struct api_http *http, struct err *err);

/* To be called a few times a second by one thread: ends slow clients (api/http/peers.h), notices tokens that
 * were made or revoked (api/http/token_table.h). */
void api_http_tick(struct api_http *http);

/* The bound port; "http://127.0.0.1:7143"; the version of the program; when it was made, by the wall clock.
 * Texts are borrowed. */
uint16_t api_http_port(const struct api_http *http);
const char *api_http_url(const struct api_http *http);
const char *api_http_version(const struct api_http *http);
int64_t api_http_started_ms(const struct api_http *http);

/* Connections at present. */
size_t api_http_connections(struct api_http *http);

/* Appends what was counted of requests, answers and connections, in Prometheus' text format. */
void api_http_append_metrics(struct api_http *http, struct buf *text);

/* A token that was revoked is not valid from here on. Cannot fail. */
void api_http_forget_token(struct api_http *http, int64_t id);

/* The token of the options is another from here on. Returns 1, or 0 if it is the same, or there was none. */
int api_http_replace_token(struct api_http *http, const char *token, struct err *err);

/* Serves another certificate from the next connection on (TLS only). Returns 1, or 0 if it is the same.
 * ERR_INVALID: no pair of a certificate and its key; the old one stays. */
int api_http_replace_certificate(struct api_http *http, const char *certificate, const char *key,
                                 struct err *err);

/* When the served certificate can be used; 0 without TLS. */
int api_http_certificate_times(const struct api_http *http, int64_t *ret_from_ms, int64_t *ret_until_ms);

/* The start has succeeded: what was handed over to listen elsewhere is shut down now. If the server is freed
 * without this, it listens as it did. */
void api_http_settle_socket(struct api_http *http);

/* The listening socket, for somebody to hold until the next daemon comes: from here on it is not shut down
 * when this one ends, and clients that connect meanwhile wait. -1: there is none. */
int api_http_share_socket(struct api_http *http);

/* Accepts no more connections from here on, and answers close theirs. Suspended requests must be resumed by
 * those who suspended them. */
void api_http_drain(struct api_http *http);
int api_http_is_draining(const struct api_http *http);

/* Lets running requests finish for at most `drain_ms`, closes the rest and ends the threads. */
void api_http_stop(struct api_http *http, int64_t drain_ms);

/* Not started, or stopped. NULL is allowed. */
void api_http_free(struct api_http *http);

#endif
