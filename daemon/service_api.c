/*
 * The API's part of the service: what the server is told, and what it asks of the other parts.
 */
#include "daemon/service_parts.h"

#include "daemon/base/clock.h"
#include "daemon/hub/hub.h"
#include "daemon/measure/measure_rows.h"
#include "daemon/serving/api_setup.h"
#include "daemon/serving/held_socket.h"
#include "daemon/standstill.h"
#include "gpu/score.h"

#include <stdio.h>

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
    if (store_check_place(service->store, &err) || store_check_lock(service->store, &err)) {
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

int service_start_server(struct service *service, struct err *err)
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
    api.http.listen_fd = service->held_fd;
    api.http.access_log = (struct api_access_log){
        .context = service, .write = log_access, .failed = log_failure, .is_kept = keeps_access};
    api.claims = (struct api_claims_options){.lease_ms = options->lease_s * 1000,
                                             .policy = service_policy(options),
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

int service_write_address(struct service *service, struct err *err)
{
    return api_setup_write_address(service->options, api_server_url(service->server), err);
}

int service_hold_socket(struct service *service, struct err *err)
{
    (void)err;
    api_server_settle_socket(service->server);
    if (held_socket_has_holder())
        held_socket_give(api_server_share_socket(service->server));
    return 0;
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

int service_reload_token(struct service *service, struct err *err)
{
    struct api_setup setup = {0};
    int code = api_setup_read_token(service->options, &setup, err);
    if (!code && setup.token.size)
        code = api_server_replace_token(service->server, buf_text(&setup.token), err);
    api_setup_free(&setup);
    return code;
}

int service_reopen_access_log(struct service *service, struct err *err)
{
    return access_log_set(service->access_log, service->options->access_log, err);
}
