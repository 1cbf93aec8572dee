/*
 * For the files of the service alone: its parts, and how those of the API start.
 */
#ifndef BIFURCATED_DAEMON_SERVICE_PARTS_H
#define BIFURCATED_DAEMON_SERVICE_PARTS_H

#include "api/server.h"
#include "daemon/base/err.h"
#include "daemon/base/pulse.h"
#include "daemon/base/reserve.h"
#include "daemon/cut_off.h"
#include "daemon/executor/executor.h"
#include "daemon/left_sweeps.h"
#include "daemon/measure/engine.h"
#include "daemon/options/options.h"
#include "daemon/planning.h"
#include "daemon/service.h"
#include "daemon/serving/access_log.h"
#include "daemon/status.h"
#include "daemon/watch/courier.h"
#include "daemon/watch/sweep_log.h"
#include "daemon/watch/watcher.h"
#include "daemon/workers/workers.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

struct service {
    const struct options *options;
    struct store *store;
    struct engine engine;
    struct reserve *reserve;
    struct workers *workers;
    struct watcher *watcher;
    struct courier *courier;
    struct sweep_log *sweep_log;
    struct executor *executor;
    struct cut_off cut_off;
    struct left_sweeps left;
    struct api_server *server;
    struct access_log *access_log;
    int held_fd; /* the former daemon's listening socket (daemon/serving/held_socket.h), or 0 */
    struct status_context status;
    struct planning *planning;
    struct pulse api_pulse; /* beats whenever the API has answered the supervisor */
    atomic_bool is_stopping;
    pthread_mutex_t lost_lock;
    char lost[ERR_MESSAGE_BYTES];
    atomic_bool hangs; /* what cannot be ended uses the parts */
};

/* Of failed tasks, whoever works on them. */
struct tasks_policy service_policy(const struct options *options);

/* The API, once the parts that it asks have started; then what other programs find it by. */
int service_start_server(struct service *service, struct err *err);
int service_write_address(struct service *service, struct err *err);

/* Last: a start that fails leaves what is held as it is. */
int service_hold_socket(struct service *service, struct err *err);

#endif
