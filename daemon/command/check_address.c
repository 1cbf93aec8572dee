/* The address to listen on. */
#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "daemon/command/check.h"
#include "store/store.h"
#include "store/tokens.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* 0 if it can be bound; else errno, or -1 for an address that is not numeric. */
static int try_bind(const char *address, uint16_t port)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char service[8];
    (void)snprintf(service, sizeof service, "%u", port);
    if (getaddrinfo(address, service, &hints, &found))
        return -1;
    int one = 1, result = 0;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
        bind(fd, found->ai_addr, found->ai_addrlen) || listen(fd, 1))
        result = errno;
    if (fd >= 0)
        (void)close(fd);
    freeaddrinfo(found);
    return result;
}

static int note_token(void *context, const struct token_row *row)
{
    int *has_token = context;
    *has_token = *has_token || !row->expires_ms || row->expires_ms > clock_wall_ms();
    return *has_token;
}

/* Whether the store has a token that counts. */
static int has_token(const struct options *options)
{
    int has_token = 0;
    struct err err = ERR_INIT;
    struct store *store = NULL;
    char *path = file_join(options->state, STORE_FILE_NAME);
    if (path && file_exists(path) && !store_open_shared(path, &store, &err))
        (void)tokens_list_live(store, note_token, &has_token, &err);
    store_close(store);
    free(path);
    return has_token;
}

void check_address(const struct options *options, struct check_report *report)
{
    char address[64];
    uint16_t port = 0;
    struct err err = ERR_INIT;
    if (options_parse_listen(options->listen, address, sizeof address, &port, &err)) {
        check_add(report, CHECK_LEVEL_ERROR, "address", "%s", err.message);
        return;
    }
    int result = try_bind(address, port);
    long process = check_running_daemon(options);
    if (result == 0)
        check_add(report, CHECK_LEVEL_OK, "address", "%s is free", options->listen);
    else if (result < 0)
        check_add(report, CHECK_LEVEL_ERROR, "address", "%s: not a numeric address such as 127.0.0.1:7143",
                  options->listen);
    else if (result == EADDRINUSE && process)
        check_add(report, CHECK_LEVEL_OK, "address", "%s is in use; a daemon runs (process %ld)",
                  options->listen, process);
    else
        check_add(report, CHECK_LEVEL_ERROR, "address", "%s: %s%s", options->listen,
                  strerror(result), // NOLINT(concurrency-mt-unsafe): one thread
                  result == EADDRINUSE ? ": stop what listens there, or name another with listen" : "");
    int is_loopback = strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
    if (!is_loopback && !options->token_file[0] && !has_token(options))
        check_add(report, CHECK_LEVEL_ERROR, "address",
                  "%s is beyond loopback, which needs a token: make one with bifurcated token create, set "
                  "token-file, or listen on 127.0.0.1",
                  options->listen);
}
