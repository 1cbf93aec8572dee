#include "daemon/supervisor.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef BIFURCATED_HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#define STATUS_INTERVAL_MS 2000
#define INTERVAL_MIN_MS 50

static void notify(const char *state)
{
#ifdef BIFURCATED_HAVE_SYSTEMD
    (void)sd_notify(0, state);
#else
    (void)state;
#endif
}

void supervisor_init(struct supervisor *supervisor)
{
    *supervisor = (struct supervisor){.interval_ms = STATUS_INTERVAL_MS};
#ifdef BIFURCATED_HAVE_SYSTEMD
    uint64_t watchdog_us = 0;
    if (sd_watchdog_enabled(0, &watchdog_us) > 0)
        supervisor->watchdog_ms = (int64_t)(watchdog_us / 1000);
#endif
    if (supervisor->watchdog_ms && supervisor->watchdog_ms / 4 < supervisor->interval_ms)
        supervisor->interval_ms = supervisor->watchdog_ms / 4;
    if (supervisor->interval_ms < INTERVAL_MIN_MS)
        supervisor->interval_ms = INTERVAL_MIN_MS;
}

void supervisor_notify_ready(void)
{
    notify("READY=1");
}

void supervisor_notify_reloading(void)
{
    char state[96];
    /* The time is what systemd 253 and newer ask of Type=notify-reload; older ones pass it over. */
    (void)snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_monotonic_ms() * 1000);
    notify(state);
}

void supervisor_notify_stopping(void)
{
    notify("STOPPING=1");
}

static void tell_status(struct supervisor *supervisor, const char *status)
{
    char state[sizeof supervisor->status + 8];
    if (strcmp(status, supervisor->status) == 0)
        return;
    (void)snprintf(supervisor->status, sizeof supervisor->status, "%s", status);
    (void)snprintf(state, sizeof state, "STATUS=%s", supervisor->status);
    notify(state);
}

void supervisor_tick(struct supervisor *supervisor, struct service *service)
{
    char status[sizeof supervisor->status];
    if (!getenv("NOTIFY_SOCKET")) // NOLINT(concurrency-mt-unsafe): nobody sets variables
        return;
    const char *stuck =
        supervisor->watchdog_ms ? service_find_stuck(service, supervisor->watchdog_ms / 2) : NULL;
    if (stuck) {
        if (!supervisor->was_stuck)
            log_error("a part of the daemon is stuck; the watchdog is not fed", log_text("part", stuck),
                      log_end);
        (void)snprintf(status, sizeof status, "stuck: %s", stuck);
    } else {
        if (supervisor->was_stuck)
            log_warning("every part of the daemon makes progress again", log_end);
        if (supervisor->watchdog_ms)
            notify("WATCHDOG=1");
        service_describe(service, status, sizeof status);
    }
    supervisor->was_stuck = stuck != NULL;
    tell_status(supervisor, status);
}
