#include "api/peers.h"

#include "daemon/base/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

struct api_peer {
    struct api_peer *next, *previous;
    int fd;
    _Atomic int64_t waiting_since_ms; /* monotonic; 0: busy or shut down */
};

struct api_peers {
    pthread_mutex_t mutex;
    struct api_peer *first;
    size_t count;
};

struct api_peers *api_peers_new(void)
{
    struct api_peers *peers = calloc(1, sizeof *peers);
    if (peers)
        pthread_mutex_init(&peers->mutex, NULL);
    return peers;
}

void api_peers_free(struct api_peers *peers)
{
    if (!peers)
        return;
    for (struct api_peer *peer = peers->first; peer;) {
        struct api_peer *next = peer->next;
        free(peer);
        peer = next;
    }
    pthread_mutex_destroy(&peers->mutex);
    free(peers);
}

struct api_peer *api_peers_add(struct api_peers *peers, int fd)
{
    struct api_peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        return NULL;
    peer->fd = fd;
    atomic_store(&peer->waiting_since_ms, clock_monotonic_ms());
    pthread_mutex_lock(&peers->mutex);
    peer->next = peers->first;
    if (peer->next)
        peer->next->previous = peer;
    peers->first = peer;
    peers->count++;
    pthread_mutex_unlock(&peers->mutex);
    return peer;
}

void api_peers_remove(struct api_peers *peers, struct api_peer *peer)
{
    if (!peer)
        return;
    pthread_mutex_lock(&peers->mutex);
    if (peer->next)
        peer->next->previous = peer->previous;
    if (peer->previous)
        peer->previous->next = peer->next;
    else
        peers->first = peer->next;
    peers->count--;
    pthread_mutex_unlock(&peers->mutex);
    free(peer);
}

void api_peer_set_busy(struct api_peer *peer)
{
    if (peer)
        atomic_store(&peer->waiting_since_ms, 0);
}

void api_peer_set_waiting(struct api_peer *peer)
{
    if (peer)
        atomic_store(&peer->waiting_since_ms, clock_monotonic_ms());
}

size_t api_peers_expire(struct api_peers *peers, int64_t timeout_ms)
{
    size_t count = 0;
    int64_t now_ms = clock_monotonic_ms();
    pthread_mutex_lock(&peers->mutex);
    for (struct api_peer *peer = peers->first; peer; peer = peer->next) {
        int64_t since_ms = atomic_load(&peer->waiting_since_ms);
        if (since_ms == 0 || now_ms - since_ms < timeout_ms)
            continue;
        /* Not if its request became whole meanwhile. */
        if (!atomic_compare_exchange_strong(&peer->waiting_since_ms, &since_ms, 0))
            continue;
        /* The server's thread sees the end of the input and closes. */
        (void)shutdown(peer->fd, SHUT_RDWR);
        count++;
    }
    pthread_mutex_unlock(&peers->mutex);
    return count;
}

size_t api_peers_count(struct api_peers *peers)
{
    pthread_mutex_lock(&peers->mutex);
    size_t count = peers->count;
    pthread_mutex_unlock(&peers->mutex);
    return count;
}
