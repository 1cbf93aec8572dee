#include "daemon/serving/api_probe.h"

#include "daemon/options/options.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static int exchange(const struct addrinfo *to, int64_t timeout_ms)
{
    static const char request[] = "GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n";
    const struct timeval timeout = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    char byte;
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    int is_answered = setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) == 0 &&
                      setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) == 0 &&
                      connect(fd, to->ai_addr, to->ai_addrlen) == 0 &&
                      send(fd, request, sizeof request - 1, MSG_NOSIGNAL) > 0 && recv(fd, &byte, 1, 0) >= 0;
    (void)close(fd);
    return is_answered;
}

int api_probe(const char *url, int64_t timeout_ms)
{
    char address[64], service[8];
    uint16_t port = 0;
    struct err err;
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const char *begin = strstr(url, "://");
    if (options_parse_listen(begin ? begin + 3 : url, address, sizeof address, &port, &err))
        return 0;
    (void)snprintf(service, sizeof service, "%u", port);
    if (getaddrinfo(address, service, &hints, &found))
        return 0;
    int is_answered = exchange(found, timeout_ms);
    freeaddrinfo(found);
    return is_answered;
}
