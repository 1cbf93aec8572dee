#include "daemon/service.h"

#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/file.h"
#include "daemon/base/log.h"
#include "daemon/service_parts.h"
#include "daemon/serving/api_probe.h"
#include "daemon/serving/held_socket.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define API_PROBE_MS 1000
#define LEAVE_MS 5000

/* -- Parts -- */

/* An older daemon cannot open the database afterwards, so whatever would keep this one from its start is said
 * before: a port that is taken. A socket that the supervisor holds is ours already. */
static int prepare_upgrade(void *context, int64_t from, int64_t to, struct err *err)
{
    const struct service *service = context;
    char address[64];
    struct api_options api = {.http = {.address = address}};
    int code = options_parse_listen(service->options->listen, address, sizeof address, &api.http.port, err);
    if (!code && !service->held_fd)
        code = api_server_try_port(&api, err);
    if (code)
        return code;
    log_info("the database is upgraded to the schema of this version, which takes minutes if it is large",
             log_int("from", from), log_int("to", to), log_end);
    return 0;
}

/* The disk is full: what the run before kept for bad times makes room for the log of the database, so that
 * reads go on, and the API says what is wrong. */
static int spend_reserve(struct service *service)
{
    struct err ignored = ERR_INIT;
    return !reserve_new(service->options->state, &service->reserve, &ignored) &&
           reserve_spend(service->reserve);
}

static int open_store(struct service *service, struct err *err)
{
    const char *state = service->options->state;
    int code = file_make_folders(state, 0700, err);
    if (code)
        return err_wrap(err, "state folder (state names another)");
    const char *system = file_network_system(state);
    if (system)
        log_warning("the state folder is on a network file system, where a database can be damaged: name a "
                    "local folder with state",
                    log_text("state", state), log_text("file_system", system), log_end);
    char *path = file_join(state, STORE_FILE_NAME);
    if (!path)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", state);
    code = store_open_hooked(path, prepare_upgrade, service, &service->store, err);
    if (code == ERR_NO_SPACE && spend_reserve(service))
        code = store_open_hooked(path, prepare_upgrade, service, &service->store, err);
    free(path);
    return code || service->reserve ? code : reserve_new(state, &service->reserve, err);
}

static void note_lost(void *context, const struct err *reason, int hangs)
{
    struct service *service = context;
    (void)pthread_mutex_lock(&service->lost_lock);
    int is_known = service->lost[0] != 0;
    (void)snprintf(service->lost, sizeof service->lost, "%s%s", hangs ? "a task hangs: " : "",
                   reason->message);
    (void)pthread_mutex_unlock(&service->lost_lock);
    if (hangs)
        atomic_store(&service->hangs, true);
    /* A second signal would end the process at once, and not with its own status. */
    if (is_known || atomic_load(&service->is_stopping))
        return;
    log_error(reason->code == ERR_DEVICE_LOST
                  ? "the compute device is lost; the daemon ends so that its supervisor starts it again"
                  : "a task hangs; the daemon ends so that its supervisor starts it again",
              log_text("reason", reason->message), log_end);
    (void)kill(getpid(), SIGTERM);
}

/* Before all that can end a sweep: what an earlier run left may end as soon as workers start. */
static int start_sweep_log(struct service *service, struct err *err)
{
    return sweep_log_start(service->store, &service->sweep_log, err);
}

static int open_engine(struct service *service, struct err *err)
{
    return engine_open(&service->engine, service->options, service->options->state, err);
}

struct tasks_policy service_policy(const struct options *options)
{
    return (struct tasks_policy){.failures_max = (int)options->attempts,
                                 .interruptions_max = tasks_policy_default.interruptions_max,
                                 .backoff_ms = options->retry_delay_s * 1000,
                                 .backoff_max_ms = tasks_policy_default.backoff_max_ms,
                                 .seed = (uint64_t)clock_wall_ms()};
}

static int start_workers(struct service *service, struct err *err)
{
    const struct options *options = service->options;
    struct workers_options workers = {
        .count = (int)options->fetchers,
        .policy = service_policy(options),
        .reserve = service->reserve,
        .hang_ms = options->hang_after_s * 1000,
        .lost = note_lost,
        .context = service,
        .leave = left_sweeps_leave,
        .forget_left = left_sweeps_forget,
        .list_left = left_sweeps_list,
        .left = &service->left,
    };
    engine_share(&service->engine, service->store, &workers.shared);
    return workers_start(&workers, &service->workers, err);
}

static int start_planning(struct service *service, struct err *err)
{
    struct planning_options planning = {
        .store = service->store,
        .hub = service->engine.hub,
        .references = service->engine.references,
        .reserve = service->reserve,
        .state = service->options->state,
        .retention_days = service->options->retention_days,
        /* Half of the connections are left to what is measured. */
        .lister_threads = service->options->connections > 2 ? (int)service->options->connections / 2 : 1,
        .is_stopping = &service->is_stopping,
    };
    return planning_start(&planning, &service->planning, err);
}

static int start_watches(struct service *service, struct err *err)
{
    const struct watch_others others = {.may_read = left_sweeps_may_read, .context = &service->left};
    int code = watcher_start(service->store, service->engine.hub, &others, &service->watcher, err);
    return code ? code : courier_start(service->store, service->options->ca_file, &service->courier, err);
}

static int make_executor(struct service *service, struct err *err)
{
    return executor_new(service->options, service->store, service->engine.hub, &service->executor, err);
}

static int start_executor(struct service *service, struct err *err)
{
    return executor_start(service->executor, api_server_url(service->server), err);
}

/* -- Life cycle -- */

int service_start(const struct options *options, struct service **ret_service, struct err *err)
{
    static int (*const parts[])(struct service *, struct err *) = {
        open_store,     start_sweep_log,       open_engine,         start_workers,
        start_planning, start_watches,         make_executor,       service_start_server,
        start_executor, service_write_address, service_hold_socket,
    };
    struct service *service = calloc(1, sizeof *service);
    if (!service)
        return err_set(err, ERR_NO_MEMORY, "service: out of memory");
    service->options = options;
    service->held_fd = held_socket_take();
    (void)pthread_mutex_init(&service->lost_lock, NULL);
    cut_off_init(&service->cut_off);
    left_sweeps_init(&service->left);
    if (digest_start(err)) {
        service_stop(service, 0);
        return err->code;
    }
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        int code = parts[i](service, err);
        if (code) {
            service_stop(service, 0);
            return code;
        }
    }
    *ret_service = service;
    return 0;
}

static void stop_work(struct service *service, int64_t drain_ms)
{
    executor_stop(service->executor);
    if (service->workers) {
        workers_stop(service->workers, 0);
        (void)workers_wait(service->workers, drain_ms);
    }
    if (service->engine.hub)
        hub_cancel(service->engine.hub); /* what still runs ends with ERR_CANCELLED and is given back */
    if (service->store)
        store_wake(service->store);
    planning_stop(service->planning);
    service->planning = NULL;
    watcher_stop(service->watcher);
    courier_stop(service->courier);
    service->courier = NULL;
}

void service_stop(struct service *service, int64_t drain_ms)
{
    if (!service)
        return;
    atomic_store(&service->is_stopping, true);
    left_sweeps_serve(&service->left, NULL);
    stop_work(service, drain_ms);
    if (service->store)
        store_wake(service->store);
    api_server_stop(service->server, drain_ms);
    access_log_free(service->access_log);
    watcher_free(service->watcher); /* until then /metrics asks them */
    workers_free(service->workers);
    executor_free(service->executor);
    sweep_log_stop(service->sweep_log); /* after all that can end a sweep */
    engine_close(&service->engine);
    store_close(service->store);
    reserve_free(service->reserve);
    (void)pthread_mutex_destroy(&service->lost_lock);
    cut_off_free(&service->cut_off);
    left_sweeps_free(&service->left);
    free(service);
}

int service_leave(struct service *service)
{
    if (!atomic_load(&service->hangs))
        return 0;
    atomic_store(&service->is_stopping, true);
    workers_stop(service->workers, 1);
    hub_cancel(service->engine.hub);
    (void)workers_wait(service->workers, LEAVE_MS);
    return 1;
}

int service_is_lost(struct service *service, char *reason, size_t reason_size)
{
    (void)pthread_mutex_lock(&service->lost_lock);
    int is_lost = service->lost[0] != 0;
    if (is_lost)
        (void)snprintf(reason, reason_size, "%s", service->lost);
    (void)pthread_mutex_unlock(&service->lost_lock);
    return is_lost;
}

const char *service_find_stuck(struct service *service, int64_t limit_ms)
{
    if (api_probe(api_server_url(service->server), limit_ms < API_PROBE_MS ? limit_ms : API_PROBE_MS) ||
        !atomic_load(&service->api_pulse.beat_ms)) /* the first call starts the clock */
        atomic_store(&service->api_pulse.beat_ms, clock_monotonic_ms());
    if (pulse_age_ms(planning_pulse(service->planning)) > limit_ms)
        return "planner";
    if (pulse_age_ms(workers_pulse(service->workers)) > limit_ms)
        return "lease keeper";
    return pulse_age_ms(&service->api_pulse) > limit_ms ? "api" : NULL;
}

void service_describe(struct service *service, char *text, size_t size)
{
    status_describe(service->store, text, size);
}
