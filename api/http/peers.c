#include "api/http/peers.h"

#include "daemon/base/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

struct api_peer {
    struct api_peer *next, *previous;
    int fd;
    uint64_t address;
    void *request;                      /* of the server; only the connection's thread looks at it */
    int is_shut;                        /* under the mutex */
    _Atomic int64_t waiting_since_ms;   /* monotonic; 0: busy or shut down */
    _Atomic int64_t answering_since_ms; /* the same; 0: waiting, streaming or shut down */
    atomic_int is_sending;              /* the answer is made */
    atomic_size_t held;                 /* bytes of its answer, see api_peer_hold */
};

struct api_peers {
    pthread_mutex_t mutex;
    size_t max, per_address_max;
    struct api_peer *first;
    size_t count; /* without those that are shut */
    uint64_t displaced;
};

struct api_peers *api_peers_new(size_t max, size_t per_address_max)
{
    struct api_peers *peers = calloc(1, sizeof *peers);
    if (!peers)
        return NULL;
    peers->max = max;
    peers->per_address_max = per_address_max;
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

/* The server's thread sees the end of the input and closes. */
static void shut(struct api_peers *peers, struct api_peer *peer)
{
    (void)shutdown(peer->fd, SHUT_RDWR);
    peer->is_shut = 1;
    peers->count--;
}

/* Shuts the peer down if its wait still is the one that began at since_ms: not if its request became whole
 * meanwhile. */
static int shut_waiting(struct api_peers *peers, struct api_peer *peer, _Atomic int64_t *wait,
                        int64_t since_ms)
{
    if (since_ms == 0 || !atomic_compare_exchange_strong(wait, &since_ms, 0))
        return 0;
    shut(peers, peer);
    return 1;
}

/* Ends the connection that has waited longest, of all or of one address; the new one where nobody waits. */
static void make_room(struct api_peers *peers, struct api_peer *fresh, int is_of_address)
{
    struct api_peer *oldest = NULL;
    int64_t oldest_ms = INT64_MAX;
    for (struct api_peer *peer = peers->first; peer; peer = peer->next) {
        int64_t since_ms = atomic_load(&peer->waiting_since_ms);
        if (peer == fresh || peer->is_shut || since_ms == 0 || since_ms > oldest_ms ||
            (is_of_address && peer->address != fresh->address))
            continue;
        oldest = peer; /* the list begins with the newest: of equals, the last */
        oldest_ms = since_ms;
    }
    peers->displaced++;
    if (!oldest || !shut_waiting(peers, oldest, &oldest->waiting_since_ms, oldest_ms))
        (void)shut_waiting(peers, fresh, &fresh->waiting_since_ms, atomic_load(&fresh->waiting_since_ms));
}

static size_t count_address(const struct api_peers *peers, uint64_t address)
{
    size_t count = 0;
    for (const struct api_peer *peer = peers->first; peer; peer = peer->next)
        count += !peer->is_shut && peer->address == address;
    return count;
}

struct api_peer *api_peers_add(struct api_peers *peers, int fd, uint64_t address)
{
    struct api_peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        return NULL;
    peer->fd = fd;
    peer->address = address;
    atomic_store(&peer->waiting_since_ms, clock_monotonic_ms());
    pthread_mutex_lock(&peers->mutex);
    peer->next = peers->first;
    if (peer->next)
        peer->next->previous = peer;
    peers->first = peer;
    peers->count++;
    if (peers->per_address_max && peers->count > peers->per_address_max &&
        count_address(peers, address) > peers->per_address_max)
        make_room(peers, peer, 1);
    else if (peers->max && peers->count > peers->max)
        make_room(peers, peer, 0);
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
    peers->count -= !peer->is_shut;
    pthread_mutex_unlock(&peers->mutex);
    free(peer);
}

void api_peer_set_request(struct api_peer *peer, void *request)
{
    if (peer)
        peer->request = request;
}

void *api_peer_request(const struct api_peer *peer)
{
    return peer ? peer->request : NULL;
}

void api_peer_set_busy(struct api_peer *peer)
{
    if (!peer)
        return;
    atomic_store(&peer->waiting_since_ms, 0);
    atomic_store(&peer->is_sending, 0);
    atomic_store(&peer->answering_since_ms, clock_monotonic_ms());
}

void api_peer_set_sending(struct api_peer *peer)
{
    if (!peer)
        return;
    int64_t since_ms = atomic_load(&peer->answering_since_ms);
    if (since_ms != 0) /* else it was shut down; if that comes first now, it is */
        (void)atomic_compare_exchange_strong(&peer->answering_since_ms, &since_ms, clock_monotonic_ms());
    atomic_store(&peer->is_sending, 1);
}

void api_peer_set_streaming(struct api_peer *peer)
{
    if (peer)
        atomic_store(&peer->answering_since_ms, 0);
}

void api_peer_set_waiting(struct api_peer *peer)
{
    if (!peer)
        return;
    atomic_store(&peer->held, 0);
    atomic_store(&peer->answering_since_ms, 0);
    atomic_store(&peer->waiting_since_ms, clock_monotonic_ms());
}

int api_peer_hold(struct api_peers *peers, struct api_peer *peer, size_t bytes, size_t max)
{
    if (!peer)
        return 1;
    size_t sum = 0;
    pthread_mutex_lock(&peers->mutex);
    for (const struct api_peer *other = peers->first; other; other = other->next) {
        if (other->address == peer->address)
            sum += atomic_load(&other->held);
    }
    int may_hold = sum == 0 || (sum <= max && bytes <= max - sum);
    if (may_hold)
        atomic_store(&peer->held, bytes);
    pthread_mutex_unlock(&peers->mutex);
    return may_hold;
}

static int is_over(int64_t since_ms, int64_t now_ms, int64_t timeout_ms)
{
    return since_ms != 0 && now_ms - since_ms >= timeout_ms;
}

size_t api_peers_expire(struct api_peers *peers, int64_t timeout_ms, int64_t answer_timeout_ms,
                        int64_t sending_timeout_ms)
{
    size_t count = 0;
    int64_t now_ms = clock_monotonic_ms();
    pthread_mutex_lock(&peers->mutex);
    for (struct api_peer *peer = peers->first; peer; peer = peer->next) {
        int64_t waiting_ms = atomic_load(&peer->waiting_since_ms);
        int64_t answering_ms = atomic_load(&peer->answering_since_ms);
        int was_shut = 0;
        if (peer->is_shut)
            continue;
        if (is_over(waiting_ms, now_ms, timeout_ms))
            was_shut = shut_waiting(peers, peer, &peer->waiting_since_ms, waiting_ms);
        else if (is_over(answering_ms, now_ms,
                         atomic_load(&peer->is_sending) ? sending_timeout_ms : answer_timeout_ms))
            was_shut = shut_waiting(peers, peer, &peer->answering_since_ms, answering_ms);
        count += (size_t)was_shut;
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

uint64_t api_peers_displaced(struct api_peers *peers)
{
    pthread_mutex_lock(&peers->mutex);
    uint64_t displaced = peers->displaced;
    pthread_mutex_unlock(&peers->mutex);
    return displaced;
}
