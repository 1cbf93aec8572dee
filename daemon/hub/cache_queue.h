/*
 * Who takes room in the cache budget next: one at a time, in the order in which they came, so that a large
 * file does not wait for ever beside small ones. The first that found no room holds a lock beside the ledger,
 * and the downloads of other processes wait behind it, in no order among themselves.
 *
 *     struct cache_place place = CACHE_PLACE_INIT;
 *     while (cache_queue_may_take(queue, &place) ? there is no room : 1)
 *         while (!cache_queue_wait(queue, &place)) look whether the download was cancelled;
 *     cache_queue_leave(queue, &place);
 *
 * Whoever waits looks again once a download of this process has ended, once the ledger has changed, and after
 * some seconds: another process may have been killed.
 */
#ifndef BIFURCATED_HUB_CACHE_QUEUE_H
#define BIFURCATED_HUB_CACHE_QUEUE_H

#include "daemon/hub/hub.h"

#include <pthread.h>
#include <stdint.h>

struct cache_place;

struct cache_queue {
    const struct hub_options *options; /* borrowed */
    char *folder, *turn_path;          /* of the ledger; the lock of whose turn it is */
    pthread_mutex_t mutex;             /* guards the rest */
    pthread_cond_t changed;
    struct cache_place *first, *last;
    int count;
    uint64_t end_count; /* downloads that have ended */
    int64_t since_ms;   /* monotonic: since when somebody has waited without a break, if somebody does */
    int64_t waited_ms;  /* all earlier waits together */
    int64_t shown_after_ms;
    int is_shown;
    uint64_t change_count; /* of is_shown */
    int64_t told_ms;       /* monotonic: when somebody was told last; 0: nobody was */
};

/* Of one download. */
struct cache_place {
    struct cache_place *next;
    int is_queued;
    int turn_fd;        /* -1: another process may be before it */
    uint64_t end_count; /* these three: when it looked last */
    int64_t ledger_mark, looked_ms;
    int is_changed; /* the ledger was when it looked last: what ended just then may only now let go */
};

#define CACHE_PLACE_INIT                                                                                     \
    {                                                                                                        \
        .turn_fd = -1                                                                                        \
    }

/* cache_queue_free also after an error. */
int cache_queue_init(struct cache_queue *queue, const struct hub_options *options, struct err *err);
void cache_queue_free(struct cache_queue *queue);

/* Whether this download may see whether there is room: nobody came before it, here or in another process. */
int cache_queue_may_take(struct cache_queue *queue, struct cache_place *place);

/* Waits behind those that came before, for half a second at most; returns whether to look again. */
int cache_queue_wait(struct cache_queue *queue, struct cache_place *place);

/* The download has its room, or needs none any more: the next one looks. */
void cache_queue_leave(struct cache_queue *queue, struct cache_place *place);

/* A download has ended, and left what may be evicted or nothing. */
void cache_queue_note_end(struct cache_queue *queue);

/* Adds to what requests wait for that downloads wait, if they do and nothing else is waited for. Shorter
 * waits than two seconds are everyday life. */
void cache_queue_read_wait(struct cache_queue *queue, struct hub_wait *wait);

#endif
