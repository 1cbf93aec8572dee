#include "api/http/listener.h"

#include "api/http/access.h"
#include "api/http/state.h"
#include "daemon/base/clock.h"
#include "daemon/base/url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024

static int parse_address(const struct api_http_options *options, struct sockaddr_storage *ret_address,
                         socklen_t *ret_size, struct err *err)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(options->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(options->port)};
    if (inet_pton(AF_INET, options->address, &v4.sin_addr) == 1) {
        memcpy(ret_address, &v4, sizeof v4);
        *ret_size = sizeof v4;
        return 0;
    }
    if (inet_pton(AF_INET6, options->address, &v6.sin6_addr) == 1) {
        memcpy(ret_address, &v6, sizeof v6);
        *ret_size = sizeof v6;
        return 0;
    }
    return err_set(err, ERR_INVALID, "listen address %s: not an address in numbers, such as 127.0.0.1",
                   options->address);
}

/* An address that others can reach needs a token. */
static int check_reach(const struct api_http *http, const char *address, struct err *err)
{
    if (url_host_is_loopback(address) || api_token_table_count(http->tokens, clock_wall_ms()) > 0)
        return 0;
    return err_set(err, ERR_INVALID,
                   "listen address %s: others can reach it, so there must be a token: make one with "
                   "\"bifurcated token create --name NAME\", or set token-file",
                   address);
}

/* Where a socket of TCP is bound: the address as text[INET6_ADDRSTRLEN], and whether it is of IPv6. */
static int read_place(int fd, char *text, uint16_t *ret_port, int *ret_is_v6, struct err *err)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        return err_set_errno(err, errno, "listening socket");
    *ret_is_v6 = address.ss_family == AF_INET6;
    if (*ret_is_v6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, &address, sizeof v6);
        *ret_port = ntohs(v6.sin6_port);
        (void)inet_ntop(AF_INET6, &v6.sin6_addr, text, INET6_ADDRSTRLEN);
    } else if (address.ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, &address, sizeof v4);
        *ret_port = ntohs(v4.sin_port);
        (void)inet_ntop(AF_INET, &v4.sin_addr, text, INET6_ADDRSTRLEN);
    } else {
        return err_set(err, ERR_INTERNAL, "the listening socket is not one of TCP");
    }
    return 0;
}

/* Whether a socket that was handed over listens where the options say, and for that family alone. */
static int is_ours(int fd, const struct api_http_options *options)
{
    struct err ignored = ERR_INIT;
    char text[INET6_ADDRSTRLEN] = "";
    uint16_t port = 0;
    int is_v6 = 0, is_v6_only = 0, listens = 0;
    unsigned char bound[sizeof(struct in6_addr)], wanted[sizeof(struct in6_addr)];
    socklen_t size = sizeof(int);
    if (read_place(fd, text, &port, &is_v6, &ignored) || (options->port && options->port != port) ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) || !listens)
        return 0;
    int family = is_v6 ? AF_INET6 : AF_INET;
    if (inet_pton(family, options->address, wanted) != 1 || inet_pton(family, text, bound) != 1)
        return 0;
    if (is_v6 && (getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &is_v6_only, &size) || !is_v6_only))
        return 0;
    return memcmp(wanted, bound, is_v6 ? sizeof(struct in6_addr) : sizeof(struct in_addr)) == 0 &&
           fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

void api_listener_let_go(struct api_http *http)
{
    if (!http->former_fd)
        return;
    (void)shutdown(http->former_fd, SHUT_RDWR); /* who handed it over may hold it still */
    (void)close(http->former_fd);
    http->former_fd = 0;
}

void api_listener_return(struct api_http *http)
{
    if (!http->former_fd)
        return;
    if (http->is_former_shut)
        (void)listen(http->former_fd, BACKLOG);
    (void)close(http->former_fd);
    http->former_fd = 0;
}

/* As long as another socket listens at the port, at any address, this one may not. */
static int listen_at(struct api_http *http, int fd, const struct sockaddr_storage *address, socklen_t size)
{
    if (bind(fd, (const struct sockaddr *)address, size) == 0 && listen(fd, BACKLOG) == 0)
        return 0;
    if (errno != EADDRINUSE || !http->former_fd)
        return -1;
    (void)shutdown(http->former_fd, SHUT_RDWR);
    http->is_former_shut = 1;
    return bind(fd, (const struct sockaddr *)address, size) == 0 && listen(fd, BACKLOG) == 0 ? 0 : -1;
}

/* A socket that is to be bound there. */
static int make_socket(const struct sockaddr_storage *address, int *ret_fd, struct err *err)
{
    int yes = 1, fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set_errno(err, errno, "listening socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (address->ss_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
    *ret_fd = fd;
    return 0;
}

/* Why it could not be bound. */
static int refuse_place(const struct api_http_options *options, int reason, struct err *err)
{
    if (reason == EADDRINUSE)
        return err_set(err, ERR_CONFLICT, "%s port %u: another program listens there; choose another port",
                       options->address, options->port);
    if (reason == EACCES)
        return err_set(err, ERR_IO,
                       "%s port %u: this user may not listen there: choose a port from 1024 on, and let a "
                       "proxy have the other",
                       options->address, options->port);
    if (reason == EADDRNOTAVAIL)
        return err_set(err, ERR_IO, "%s: this machine has no such address: choose another with listen",
                       options->address);
    return err_set_errno(err, reason, "listening on %s port %u", options->address, options->port);
}

int api_listener_try(const struct api_http_options *options, struct err *err)
{
    struct sockaddr_storage address;
    socklen_t size = 0;
    int fd = -1;
    memset(&address, 0, sizeof address);
    int code = parse_address(options, &address, &size, err);
    if (!code)
        code = make_socket(&address, &fd, err);
    if (code)
        return code;
    if (bind(fd, (const struct sockaddr *)&address, size))
        code = refuse_place(options, errno, err);
    (void)close(fd);
    return code;
}

int api_listener_open(struct api_http *http, int *ret_fd, struct err *err)
{
    const struct api_http_options *options = &http->options;
    struct sockaddr_storage address;
    socklen_t size = 0;
    int fd = -1;
    memset(&address, 0, sizeof address);
    int code = parse_address(options, &address, &size, err);
    if (!code)
        code = check_reach(http, options->address, err);
    if (code)
        return code;
    if (options->listen_fd && is_ours(options->listen_fd, options)) {
        *ret_fd = options->listen_fd;
        http->is_shared = 1;
        return 0;
    }
    http->former_fd = options->listen_fd;
    if ((code = make_socket(&address, &fd, err)))
        return code;
    if (listen_at(http, fd, &address, size)) {
        code = refuse_place(options, errno, err);
        (void)close(fd);
        return code;
    }
    *ret_fd = fd;
    return 0;
}

int api_listener_take(struct api_http *http, int fd, struct err *err)
{
    char text[INET6_ADDRSTRLEN] = "";
    int is_v6 = 0;
    int code = read_place(fd, text, &http->port, &is_v6, err);
    if (code)
        return code;
    http->is_loopback = url_host_is_loopback(text);
    (void)snprintf(http->url, sizeof http->url, is_v6 ? "%s://[%s]:%u" : "%s://%s:%u",
                   http->tls ? "https" : "http", text, http->port);
    http->authority = strstr(http->url, "//") + 2;
    return check_reach(http, text, err);
}
