/*
 * The service: everything the daemon consists of while it runs, from the store to the API.
 *
 * Start order: state folder, store (migrations), device, hub, workers, planner, watcher, courier, API,
 * executor; it is ready once the API listens. Stop order: executor, workers, planner, watcher, courier, then
 * the API, since workers elsewhere hand in what they have measured; what its answers ask is freed after it.
 * Running tasks are given a moment to end and are otherwise given back to the queue, so nothing is lost and
 * nothing is measured twice.
 */
#ifndef BIFURCATED_DAEMON_SERVICE_H
#define BIFURCATED_DAEMON_SERVICE_H

#include "daemon/base/err.h"
#include "daemon/options/options.h"

#include <stddef.h>
#include <stdint.h>

struct service;

/* Starts all parts. The options must outlive the service. */
int service_start(const struct options *options, struct service **ret_service, struct err *err);

/* Drains (running tasks may end within drain_ms), stops all parts, frees. NULL is allowed. */
void service_stop(struct service *service, int64_t drain_ms);

/* If a task hangs (daemon/measure/hang.h), so that service_stop() could not end: gives the other tasks back
 * and returns 1. Then the process must end at once (_exit), as if it were killed. Else 0. */
int service_leave(struct service *service);

/* Reads tls-certificate and tls-key again and serves them from the next connection on. The old ones stay if
 * that fails; nothing happens without TLS. Returns 1 if they are other ones, or 0. */
int service_reload_certificate(struct service *service, struct err *err);

/* The same of the token in token-file. */
int service_reload_token(struct service *service, struct err *err);

/* Takes the option access-log as it is now, or opens its file again. The old one stays if that fails. */
int service_reopen_access_log(struct service *service, struct err *err);

/* The name of a part that has stood still for longer than limit_ms: "planner" and "lease keeper" beat while
 * they work, wait for work, or wait for the hub; "api" has to answer a connection now and then, which this
 * call tries (for a second at most). NULL if all move. One thread at a time. */
const char *service_find_stuck(struct service *service, int64_t limit_ms);

/* What it does, as one line for people: "sweep 3 of owner/name: 12 of 154 revisions". */
void service_describe(struct service *service, char *text, size_t size);

/* Whether the process must end because a device is lost or a task hangs; then a sentence is in reason. */
int service_is_lost(struct service *service, char *reason, size_t reason_size);

#endif
