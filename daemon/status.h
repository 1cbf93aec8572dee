/*
 * What the daemon says about itself: the answers behind /v1/devices, /v1/status and /metrics.
 */
#ifndef BIFURCATED_DAEMON_STATUS_H
#define BIFURCATED_DAEMON_STATUS_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "daemon/base/reserve.h"
#include "daemon/executor/executor.h"
#include "daemon/hub/hub.h"
#include "daemon/watch/watcher.h"
#include "daemon/workers/workers.h"
#include "gpu/registry.h"
#include "store/store.h"

#include <stddef.h>
#include <stdint.h>

struct status_context {
    struct registry *registry;
    struct device *device;
    struct hub *hub;
    struct workers *workers;
    struct watcher *watcher;
    struct store *store;
    struct reserve *reserve;
    struct tensor_pool *pool;
    struct references *references;
    struct executor *executor; /* or NULL */
    _Atomic int64_t *device_busy_us;
    int64_t started_ms;
    int worker_count;
    int request_budget;
};

/* What is going on, as one line for people. */
void status_describe(struct store *store, char *text, size_t size);

/* Each appends to its buffer as api/server.h says for the hook of the same name. */
int status_append_devices(const struct status_context *status, struct buf *json, struct err *err);
int status_append_members(const struct status_context *status, struct buf *members, struct err *err);
int status_append_metrics(const struct status_context *status, struct buf *text, struct err *err);

#endif
