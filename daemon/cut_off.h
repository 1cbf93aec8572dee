/*
 * Whether no worker reaches the hub, for a daemon that measures nothing itself: the daemon may well reach
 * the hub, so nothing else would say why its sweeps make no progress.
 */
#ifndef BIFURCATED_DAEMON_CUT_OFF_H
#define BIFURCATED_DAEMON_CUT_OFF_H

#include "api/server.h"
#include "daemon/base/err.h"

#include <pthread.h>
#include <stdint.h>

struct cut_off {
    pthread_mutex_t lock; /* guards all below */
    uint64_t change_count;
    int64_t told_ms; /* monotonic; when a worker spoke last */
    char problem[ERR_MESSAGE_BYTES];
};

void cut_off_init(struct cut_off *cut_off);
void cut_off_free(struct cut_off *cut_off);

/* A worker spoke; `problem`: why none reaches the hub, "" if one may. Logs what is new. */
void cut_off_note(struct cut_off *cut_off, const char *problem);

/* Makes it what sweeps wait for, unless they wait for something else. */
void cut_off_read(struct cut_off *cut_off, struct api_hub_wait *wait);

#endif
