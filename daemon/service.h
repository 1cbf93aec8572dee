/*
 * The service: everything the daemon consists of while it runs, from the store to the API.
 *
 * Start order: state folder, store (migrations), device, hub, workers, planner, API; it is ready once the API
 * listens. Stop order is the reverse; running tasks are given a moment to end and are otherwise given back to
 * the queue, so nothing is lost and nothing is measured twice.
 */
#ifndef BIFURCATED_DAEMON_SERVICE_H
#define BIFURCATED_DAEMON_SERVICE_H

#include "daemon/base/err.h"
#include "daemon/options.h"

struct service;

/* Starts all parts. The options must outlive the service. */
int service_start(const struct options *options, struct service **ret_service, struct err *err);

/* Drains (running tasks may end within drain_ms), stops all parts, frees. NULL is allowed. */
void service_stop(struct service *service, int64_t drain_ms);

/* Whether the process must end because a device is lost; then a sentence is in reason. */
int service_is_lost(struct service *service, char *reason, size_t reason_size);

#endif
