#include "daemon/service.h"

#include "api/server.h"
#include "daemon/access_log.h"
#include "daemon/api_probe.h"
#include "daemon/api_setup.h"
#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/base/log.h"
#include "daemon/base/pulse.h"
#include "daemon/cut_off.h"
#include "daemon/executor.h"
#include "daemon/held_socket.h"
#include "daemon/hub/hub.h"
#include "daemon/left_sweeps.h"
#include "daemon/measure/engine.h"
#include "daemon/measure/measure_rows.h"
#include "daemon/planning.h"
#include "daemon/standstill.h"
#include "daemon/status.h"
#include "daemon/watch/courier.h"
#include "daemon/watch/sweep_log.h"
#include "daemon/watch/watcher.h"
#include "daemon/workers.h"
#include "gpu/registry.h"
#include "gpu/score.h"
#include "store/store.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define API_PROBE_MS 1000
#define LEAVE_MS 5000

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
    struct status_context status;
    struct planning *planning;
    struct pulse api_pulse; /* beats whenever the API has answered the supervisor */
    atomic_bool is_stopping;
    pthread_mutex_t lost_lock;
    char lost[ERR_MESSAGE_BYTES];
    atomic_bool hangs; /* what cannot be ended uses the parts */
};

/* -- Parts -- */

static void tell_upgrade(void *context, int64_t from, int64_t to)
{
    (void)context;
    log_info("the database is upgraded to the schema of this version, which takes minutes if it is large",
             log_int("from", from), log_int("to", to), log_end);
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
    code = store_open_hooked(path, tell_upgrade, NULL, &service->store, err);
    if (code == ERR_NO_SPACE && spend_reserve(service))
        code = store_open_hooked(path, tell_upgrade, NULL, &service->store, err);
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

/* Of failed tasks, whoever works on them. */
static struct tasks_policy policy_of(const struct options *options)
{
    return (struct tasks_policy){.failures_max = (int)options->attempts,
                                 .interruptions_max = 50,
                                 .backoff_ms = options->retry_delay_s * 1000,
                                 .backoff_max_ms = tasks_policy_default.backoff_max_ms,
                                 .seed = (uint64_t)clock_wall_ms()};
}

static int start_workers(struct service *service, struct err *err)
{
    const struct options *options = service->options;
    struct workers_options workers = {
        .count = (int)options->fetchers,
        .policy = policy_of(options),
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

/* -- The API -- */

static int is_ready(void *context, char *reason, size_t reason_size)
{
    struct service *service = context;
    struct reserve_room room;
    if (service_is_lost(service, reason, reason_size))
        return 0;
    if (atomic_load(&service->is_stopping)) {
        (void)snprintf(reason, reason_size, "the daemon is stopping");
        return 0;
    }
    struct err err = ERR_INIT;
    if (store_check_place(service->store, &err)) {
        (void)snprintf(reason, reason_size, "%s", err.message);
        return 0;
    }
    reserve_read_room(service->reserve, &room);
    if (room.is_full)
        (void)snprintf(
            reason, reason_size,
            "the disk of the state folder is full (%.1f MB are free): make room; work then goes on by "
            "itself within ten seconds",
            (double)room.free_bytes / 1e6);
    return !room.is_full;
}

static void log_access(void *context, const struct api_access *access)
{
    struct service *service = context;
    access_log_write(service->access_log, access);
}

static void log_failure(void *context, const char *request_id, const char *target, const char *reason)
{
    struct service *service = context;
    access_log_failure(service->access_log, request_id, target, reason);
}

static int keeps_access(void *context)
{
    struct service *service = context;
    return access_log_is_on(service->access_log);
}

static void wake(void *context)
{
    struct service *service = context;
    store_wake(service->store);
}

static int append_devices(void *context, struct buf *json, struct err *err)
{
    struct service *service = context;
    return status_append_devices(&service->status, json, err);
}

static int append_status(void *context, struct buf *members, struct err *err)
{
    struct service *service = context;
    return status_append_members(&service->status, members, err);
}

static int append_metrics(void *context, struct buf *text, struct err *err)
{
    struct service *service = context;
    return status_append_metrics(&service->status, text, err);
}

static void read_hub_wait(void *context, struct api_hub_wait *ret_wait)
{
    struct service *service = context;
    standstill_read(service->engine.hub, &service->cut_off, service->reserve, ret_wait);
}

static void note_hub_of_workers(void *context, const char *problem)
{
    struct service *service = context;
    cut_off_note(&service->cut_off, problem);
}

static void doubt_hub(void *context)
{
    struct service *service = context;
    hub_doubt(service->engine.hub);
}

static int start_server(struct service *service, struct err *err)
{
    const struct options *options = service->options;
    struct api_setup setup;
    struct api_options api;
    api_options_init(&api);
    int code = api_setup_read(options, &setup, &api.http, err);
    if (!code)
        code = access_log_new(options->access_log, &service->access_log, err);
    if (code)
        goto out;
    api.http.store = service->store;
    api.http.version = BIFURCATED_VERSION;
    api.http.listen_fd = held_socket_take();
    api.http.access_log = (struct api_access_log){
        .context = service, .write = log_access, .failed = log_failure, .is_kept = keeps_access};
    api.claims = (struct api_claims_options){.lease_ms = options->lease_s * 1000,
                                             .policy = policy_of(options),
                                             .definition = MEASURE_DEFINITION,
                                             .scoring_definition = SCORE_DEFINITION,
                                             .has_local = options->fetchers > 0};
    service->status = (struct status_context){.registry = service->engine.registry,
                                              .device = service->engine.device,
                                              .hub = service->engine.hub,
                                              .workers = service->workers,
                                              .watcher = service->watcher,
                                              .store = service->store,
                                              .reserve = service->reserve,
                                              .pool = service->engine.pool,
                                              .references = service->engine.references,
                                              .executor = service->executor,
                                              .device_busy_us = &service->engine.device_busy_us,
                                              .started_ms = clock_wall_ms(),
                                              .worker_count = (int)options->fetchers,
                                              .request_budget = (int)options->request_budget};
    api.hooks = (struct api_hooks){.context = service,
                                   .ready = is_ready,
                                   .devices = append_devices,
                                   .status = append_status,
                                   .hub_wait = read_hub_wait,
                                   .doubt_hub = doubt_hub,
                                   .note_hub_of_workers = options->fetchers ? NULL : note_hub_of_workers,
                                   .metrics = append_metrics,
                                   .wake = wake,
                                   .note_change = api_setup_log_change};
    code = api_server_start(&api, &service->server, err);
    if (!code) {
        api_setup_log(options, api_server_url(service->server));
        left_sweeps_serve(&service->left, service->server);
    }
out:
    api_setup_free(&setup);
    return code;
}

static int make_executor(struct service *service, struct err *err)
{
    return executor_new(service->options, service->store, service->engine.hub, &service->executor, err);
}

static int start_executor(struct service *service, struct err *err)
{
    return executor_start(service->executor, api_server_url(service->server), err);
}

static int write_address(struct service *service, struct err *err)
{
    return api_setup_write_address(service->options, api_server_url(service->server), err);
}

/* Last: a start that fails leaves what is held as it is. */
static int hold_socket(struct service *service, struct err *err)
{
    (void)err;
    api_server_settle_socket(service->server);
    if (held_socket_has_holder())
        held_socket_give(api_server_share_socket(service->server));
    return 0;
}

/* -- Life cycle -- */

int service_start(const struct options *options, struct service **ret_service, struct err *err)
{
    static int (*const parts[])(struct service *, struct err *) = {
        open_store,    start_sweep_log, open_engine,    start_workers, start_planning, start_watches,
        make_executor, start_server,    start_executor, write_address, hold_socket,
    };
    struct service *service = calloc(1, sizeof *service);
    if (!service)
        return err_set(err, ERR_NO_MEMORY, "service: out of memory");
    service->options = options;
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

int service_reload_certificate(struct service *service, struct err *err)
{
    struct api_setup setup = {0};
    if (!service->options->tls_certificate[0])
        return 0;
    int code = api_setup_read_certificate(service->options, &setup, err);
    if (!code)
        code = api_server_replace_certificate(service->server, buf_text(&setup.certificate),
                                              buf_text(&setup.key), err);
    api_setup_free(&setup);
    return code;
}

int service_reopen_access_log(struct service *service, struct err *err)
{
    return access_log_set(service->access_log, service->options->access_log, err);
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
