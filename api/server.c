#include "api/server.h"

#include "api/http/listener.h"
#include "api/routes.h"
#include "api/sweeps/events.h"

#include <stdlib.h>

struct api_server {
    struct api_http *http;
    struct api_context context;
};

void api_options_init(struct api_options *options)
{
    *options = (struct api_options){
        .claims = {.lease_ms = 60000, .policy = tasks_policy_default},
        .events = {.streams_per_address = 64, .heartbeat_ms = 15000},
    };
    api_http_options_init(&options->http);
}

int api_server_try_port(const struct api_options *options, struct err *err)
{
    return api_listener_try(&options->http, err);
}

static void free_server(struct api_server *server)
{
    if (!server)
        return;
    api_events_free(server->context.events);
    api_workers_free(server->context.workers);
    api_http_free(server->http);
    free(server);
}

int api_server_start(const struct api_options *options, struct api_server **ret_server, struct err *err)
{
    struct api_server *server = calloc(1, sizeof *server);
    if (!server)
        return err_set(err, ERR_NO_MEMORY, "server: out of memory");
    struct api_context *context = &server->context;
    *context = (struct api_context){.store = options->http.store, .hooks = options->hooks};
    struct api_events_options events = options->events;
    if (!events.streams_max)
        events.streams_max = (options->http.connections_max + 1) / 2;
    int code = api_http_new(&options->http, &api_routes, context, &server->http, err);
    if (!code)
        code = api_events_start(&events, context, server->http, &context->events, err);
    if (!code)
        code = api_workers_start(&options->claims, context->store, &context->workers, err);
    if (!code)
        code = api_http_start(server->http, err);
    if (code) {
        free_server(server);
        return code;
    }
    *ret_server = server;
    return 0;
}

uint16_t api_server_port(const struct api_server *server)
{
    return api_http_port(server->http);
}

void api_server_settle_socket(struct api_server *server)
{
    api_http_settle_socket(server->http);
}

int api_server_share_socket(struct api_server *server)
{
    return api_http_share_socket(server->http);
}

const char *api_server_url(const struct api_server *server)
{
    return api_http_url(server->http);
}

struct api_workers *api_server_workers(const struct api_server *server)
{
    return server->context.workers;
}

int api_server_replace_token(struct api_server *server, const char *token, struct err *err)
{
    return api_http_replace_token(server->http, token, err);
}

int api_server_replace_certificate(struct api_server *server, const char *certificate, const char *key,
                                   struct err *err)
{
    return api_http_replace_certificate(server->http, certificate, key, err);
}

void api_server_stop(struct api_server *server, int64_t drain_ms)
{
    if (!server)
        return;
    api_http_drain(server->http);
    api_events_end(server->context.events);
    api_workers_end(server->context.workers);
    api_http_stop(server->http, drain_ms);
    free_server(server);
}
