/*
 * Connections, so that no client keeps others from being served.
 *
 * libmicrohttpd closes a connection that is silent; but one that sends a byte now and then, or reads one,
 * would stay for ever, and one that waits would keep its place. Here each connection has the time at which
 * its present wait or answer began. api_peers_expire() shuts those down that are over their time; a new
 * connection beyond the bounds takes the place of the one that has waited longest for its client, of the
 * same address where that one's bound is reached. Only where nobody waits is the new one refused.
 */
#ifndef BIFURCATED_API_HTTP_PEERS_H
#define BIFURCATED_API_HTTP_PEERS_H

#include <stddef.h>
#include <stdint.h>

struct api_peers;
struct api_peer;

/* At most `max` connections, `per_address_max` of one address; 0: no bound. NULL without memory. */
struct api_peers *api_peers_new(size_t max, size_t per_address_max);
void api_peers_free(struct api_peers *peers);

/* A connection began; it waits from now on. `address` is any number for where it comes from. NULL without
 * memory, which the other functions take. */
struct api_peer *api_peers_add(struct api_peers *peers, int fd, uint64_t address);

/* The connection is over; its socket is still open during the call. Frees the peer. */
void api_peers_remove(struct api_peers *peers, struct api_peer *peer);

/* What the server keeps with the connection: the request that was begun and has not ended, or NULL. */
void api_peer_set_request(struct api_peer *peer, void *request);
void *api_peer_request(const struct api_peer *peer);

/* Its request is complete; it is not waiting any more, but answered. */
void api_peer_set_busy(struct api_peer *peer);

/* Its answer is made and on its way: the time for sending starts now, however long the making took. */
void api_peer_set_sending(struct api_peer *peer);

/* Its answer is a stream of events, which may take as long as it likes. */
void api_peer_set_streaming(struct api_peer *peer);

/* An answer of so many bytes, made for it, is being sent. Returns 0, and does not count them, if all
 * connections of its address would then hold more than `max`, unless they hold none yet. */
int api_peer_hold(struct api_peers *peers, struct api_peer *peer, size_t bytes, size_t max);

/* Its answer was sent; it waits for the next request. */
void api_peer_set_waiting(struct api_peer *peer);

/* Shuts down connections that have waited for a request longer than `timeout_ms`, for an answer to be made
 * longer than `answer_timeout_ms`, or have been sent it for longer than `sending_timeout_ms`; returns how
 * many. */
size_t api_peers_expire(struct api_peers *peers, int64_t timeout_ms, int64_t answer_timeout_ms,
                        int64_t sending_timeout_ms);

/* Connections at present, without those that were shut down. */
size_t api_peers_count(struct api_peers *peers);

/* Connections that had to make room for others, and that were refused, since the start. */
uint64_t api_peers_displaced(struct api_peers *peers);

#endif
