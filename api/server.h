/*
 * The HTTP server: the store as JSON and CSV, for dashboards, teammates and nightly jobs.
 *
 * It reads the store and writes only sweeps, watches, tokens and what remote workers measure; whatever else
 * it must know (devices, readiness) it asks the daemon through `struct api_hooks`. Requests run on a small
 * pool of threads inside libmicrohttpd; a stream of events costs a connection, not a thread.
 *
 *     struct api_options options;
 *     api_options_init(&options);
 *     options.http.store = store;
 *     if (api_server_start(&options, &server, err) < 0) ...
 *     log_info("listening", log_text("url", api_server_url(server)), log_end);
 *     ...
 *     api_server_stop(server, 5000);
 */
#ifndef BIFURCATED_API_SERVER_H
#define BIFURCATED_API_SERVER_H

#include "api/http/http.h"
#include "api/resource/context.h"
#include "api/sweeps/events.h"
#include "api/workers/workers.h"
#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct api_server;

struct api_options {
    struct api_http_options http;
    struct api_claims_options claims;
    struct api_events_options events;
    struct api_hooks hooks;
};

/* The defaults: 127.0.0.1:7143, 4096 connections, 512 streams, 64 of them for one address. */
void api_options_init(struct api_options *options);

/* Whether the port of the options can be had now, before what cannot be taken back. ERR_INVALID,
 * ERR_CONFLICT, ERR_IO. */
int api_server_try_port(const struct api_options *options, struct err *err);

/* Binds, starts the threads and answers from then on. Strings of `options` are copied. ERR_INVALID for an
 * address that is not numeric, or not loopback where there is no token; ERR_IO (or ERR_CONFLICT if another
 * program listens there) if binding failed. */
int api_server_start(const struct api_options *options, struct api_server **ret_server, struct err *err);

/* The bound port: for tests, whose options name none. */
uint16_t api_server_port(const struct api_server *server);

/* "http://127.0.0.1:7143"; borrowed. */
const char *api_server_url(const struct api_server *server);

/* Shuts down what was handed over and is not used, once the start is known to have succeeded. */
void api_server_settle_socket(struct api_server *server);

/* The listening socket, for somebody to hold until the next daemon comes (api/http/http.h); -1: none. */
int api_server_share_socket(struct api_server *server);

/* What is known of those who work on the sweeps (api/workers/workers.h); borrowed. */
struct api_workers *api_server_workers(const struct api_server *server);

/* The token of the options is another from here on. Returns 1, or 0 if it is the same, or there was none. */
int api_server_replace_token(struct api_server *server, const char *token, struct err *err);

/* Serves another certificate from the next connection on (TLS servers only). Returns 1, or 0 if it is the
 * same. ERR_INVALID: no pair of a certificate and its key; the old one stays. */
int api_server_replace_certificate(struct api_server *server, const char *certificate, const char *key,
                                   struct err *err);

/* Accepts no more connections, ends the streams of events, lets running requests finish for at most
 * `drain_ms`, closes the rest, frees. NULL is allowed. */
void api_server_stop(struct api_server *server, int64_t drain_ms);

#endif
