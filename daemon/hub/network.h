/*
 * For this folder only: the network thread, which drives all transfers. In each turn it ends what is not
 * wanted any more, starts what may start, asks the parts of the hub that are down whether they are back, and
 * then lets libcurl move bytes. Callers (transfer.c) meet it under the mutex.
 */
#ifndef BIFURCATED_HUB_NETWORK_H
#define BIFURCATED_HUB_NETWORK_H

#include "daemon/hub/gate.h"
#include "daemon/hub/parts.h"
#include "daemon/hub/token.h"
#include "daemon/hub/transfer.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdint.h>

struct transfers {
    const struct hub_options *options;
    struct token *token;
    CURLM *multi;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards all below and the `state` and `is_abort_wanted` of submitted transfers */
    pthread_cond_t done;
    struct transfer *first; /* queued and running ones, in the order of their submission */
    struct transfer **last;
    int running_count;
    int is_stopping, is_cancelled;
    uint64_t turn_count; /* of the network thread */
    struct gate gate;
    struct parts parts;
};

/* The thread; `context` is the struct transfers. Ends once is_stopping is set and nothing is left. */
void *network_main(void *context);

/* Whoever calls these has the mutex. */

/* The part of the hub that a transfer is for, or NULL, as parts_find(). */
struct part *network_part_of(struct transfers *transfers, const struct transfer *transfer, int64_t now_ms);

/* What requests wait for now. */
void network_read_wait(const struct transfers *transfers, struct hub_wait *wait);

#endif
