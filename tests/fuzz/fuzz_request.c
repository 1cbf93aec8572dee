/*
 * Whole requests as bytes, through libmicrohttpd, dispatch, access, handlers and delivery: whatever comes,
 * the answer is HTTP, its status is one that the server gives on purpose, and the server goes on.
 *
 * The server runs in this process over a store of its own with two models; each input is one connection.
 */
#include "api/server.h"
#include "store/models.h"
#include "store/store.h"
#include "tests/unit/scratch.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ANSWER_BYTES 65536
#define SILENCE_US 300000 /* nothing depends on it but what is missed if an answer is slower */

static struct api_server *server;
static struct store *store;
static char folder[SCRATCH_SIZE];

static void require(int condition)
{
    if (!condition)
        abort();
}

static void stop(void)
{
    char path[128];
    static const char *const names[] = {"bifurcated.db", "bifurcated.db-wal", "bifurcated.db-shm", "lock"};
    api_server_stop(server, 0);
    store_close(store);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

static void start(void)
{
    char path[128];
    int64_t id = 0;
    struct err err = ERR_INIT;
    struct api_options options;
    require(scratch_make(folder) == 0);
    (void)snprintf(path, sizeof path, "%s/" STORE_FILE_NAME, folder);
    require(store_open(path, &store, &err) == 0);
    require(models_ensure(store, "garden/neox-tiny", MODEL_KIND_HUB, &id, &err) == 0);
    require(models_ensure(store, "file:/data/run", MODEL_KIND_FOLDER, &id, &err) == 0);
    api_options_init(&options);
    options.http.port = 0;
    options.http.store = store;
    options.http.version = "fuzz";
    options.http.threads = 1;
    options.http.idle_timeout_s = 1; /* connections that are given up go soon */
    options.http.requests_per_s = options.http.requests_per_s_loopback = 0; /* most would be refused else */
    options.http.connections_per_address = 0;
    options.http.token = "the token of fuzzing";
    options.http.cors_origin = "https://a.example";
    require(api_server_start(&options, &server, &err) == 0);
    (void)atexit(stop);
}

/* Completes what is not complete, and has the connection closed when all is answered: without it the server
 * would wait for more until its timeout. */
static const char END[] = "\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

static void send_all(int fd, const void *data, size_t size)
{
    for (size_t sent = 0; sent < size;) {
        ssize_t count = send(fd, (const char *)data + sent, size - sent, MSG_NOSIGNAL);
        if (count <= 0)
            break;
        sent += (size_t)count;
    }
}

/* Sends all and reads until the server closes, or is silent: it waits for a body that is longer than this. */
static size_t exchange(const uint8_t *data, size_t size, char *answer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(api_server_port(server))};
    struct timeval patience = {.tv_usec = SILENCE_US};
    struct linger linger = {.l_onoff = 1}; /* no port waits for a minute */
    size_t length = 0;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    send_all(fd, data, size);
    send_all(fd, END, sizeof END - 1);
    (void)shutdown(fd, SHUT_WR);
    while (length < ANSWER_BYTES) {
        ssize_t count = recv(fd, answer + length, ANSWER_BYTES - length, 0);
        if (count <= 0)
            break;
        length += (size_t)count;
    }
    (void)close(fd);
    return length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char answer[ANSWER_BYTES + 1];
    static const int statuses[] = {100, 200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 409,
                                   411, 413, 414, 415, 417, 422, 429, 431, 501, 503, 505};
    if (size > 65536 || memmem(data, size, "/events", 7)) /* streams do not end */
        return 0;
    if (!server)
        start();
    size_t length = exchange(data, size, answer);
    answer[length] = '\0';
    if (length == 0)
        return 0; /* cut off: no request at all */
    int status = 0, is_known = 0;
    require(sscanf(answer, "HTTP/1.%*1d %3d", &status) == 1);
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        is_known |= status == statuses[i];
    require(is_known);
    return 0;
}
