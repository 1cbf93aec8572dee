/*
 * Connections that wait for a whole request, so that slow clients can be ended.
 *
 * libmicrohttpd closes a connection that is silent; one that sends a byte now and then would stay for ever.
 * Here each connection has the time at which its present wait began, and api_peers_expire() shuts those down
 * that have not sent a whole request by their deadline.
 */
#ifndef BIFURCATED_API_PEERS_H
#define BIFURCATED_API_PEERS_H

#include <stddef.h>
#include <stdint.h>

struct api_peers;
struct api_peer;

/* NULL without memory. */
struct api_peers *api_peers_new(void);
void api_peers_free(struct api_peers *peers);

/* A connection began; it waits from now on. NULL without memory, which the other functions take. */
struct api_peer *api_peers_add(struct api_peers *peers, int fd);

/* The connection is over; its socket is still open during the call. Frees the peer. */
void api_peers_remove(struct api_peers *peers, struct api_peer *peer);

/* Its request is complete; it is not waiting any more. */
void api_peer_set_busy(struct api_peer *peer);

/* Its answer was sent; it waits for the next request. */
void api_peer_set_waiting(struct api_peer *peer);

/* Shuts down connections that have waited longer than `timeout_ms`; returns how many. */
size_t api_peers_expire(struct api_peers *peers, int64_t timeout_ms);

/* Connections at present. */
size_t api_peers_count(struct api_peers *peers);

#endif
