/*
 * What the daemon tells systemd: ready, reloading, stopping, a line of status, and that it is alive.
 *
 * The watchdog is fed only while every part moves (service_find_stuck), not merely because this thread does:
 * a daemon whose planner or API hangs is killed and started again, which loses nothing. Without a supervisor,
 * or without libsystemd, all of this does nothing.
 */
#ifndef BIFURCATED_DAEMON_SUPERVISOR_H
#define BIFURCATED_DAEMON_SUPERVISOR_H

#include "daemon/service.h"

#include <stdint.h>

struct supervisor {
    int64_t watchdog_ms; /* 0: nobody asks for signs of life */
    int64_t interval_ms; /* between calls of supervisor_tick() */
    int was_stuck;
    char status[256]; /* as last told */
};

/* Reads what the environment asks for. */
void supervisor_init(struct supervisor *supervisor);

void supervisor_notify_ready(void);
void supervisor_notify_reloading(void); /* then supervisor_notify_ready() */
void supervisor_notify_stopping(void);

/* To be called every interval_ms: checks the service, feeds the watchdog, and tells systemd the status if
 * it has changed. */
void supervisor_tick(struct supervisor *supervisor, struct service *service);

#endif
