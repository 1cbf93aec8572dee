/*
 * A server in this process on a free port, over a store of its own, and libcurl to talk to it.
 */
#ifndef BIFURCATED_TESTS_API_FIXTURE_H
#define BIFURCATED_TESTS_API_FIXTURE_H

#include "tests/unit/store/fixture.h"

#include "api/server.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

struct api_fixture {
    struct fixture store; /* first: the store's fixture functions take it */
    struct api_server *server;
    struct api_http *http; /* asked instead of the server, if there is one */
    atomic_int wakes;
    atomic_int accesses;
    atomic_int last_status;
    atomic_int is_ready;
};

/* One exchange. */
struct exchange {
    long status;
    char *body; /* terminated */
    size_t size, room;
    char headers[8192]; /* all of them, as received */
};

static int fixture_ready(void *context, char *reason, size_t size)
{
    struct api_fixture *fixture = context;
    (void)snprintf(reason, size, "no worker yet");
    return atomic_load(&fixture->is_ready);
}

static void fixture_wake(void *context)
{
    atomic_fetch_add(&((struct api_fixture *)context)->wakes, 1);
}

static void fixture_access(void *context, const struct api_access *access)
{
    struct api_fixture *fixture = context;
    atomic_store(&fixture->last_status, access->status);
    atomic_fetch_add(&fixture->accesses, 1);
}

static int fixture_devices(void *context, struct buf *json, struct err *err)
{
    (void)context;
    (void)err;
    return buf_append_text(json, "[{\"name\":\"cpu\",\"is_available\":true}]");
}

static inline void fixture_options(struct api_fixture *fixture, struct api_options *options)
{
    api_options_init(options);
    options->http.port = 0;
    options->http.store = fixture->store.store;
    options->http.version = "test";
    options->http.threads = 2;
    options->hooks = (struct api_hooks){
        .context = fixture, .ready = fixture_ready, .devices = fixture_devices, .wake = fixture_wake};
    options->http.access_log = (struct api_access_log){.context = fixture, .write = fixture_access};
}

static inline int fixture_serve(void **state)
{
    struct api_fixture *fixture = calloc(1, sizeof *fixture);
    void *inner = NULL;
    struct api_options options;
    if (fixture_open(&inner))
        return -1;
    memcpy(&fixture->store, inner, sizeof fixture->store);
    free(inner);
    atomic_init(&fixture->is_ready, 1);
    fixture_options(fixture, &options);
    struct err err = ERR_INIT;
    if (api_server_start(&options, &fixture->server, &err)) {
        (void)fprintf(stderr, "%s\n", err.message);
        return -1;
    }
    *state = fixture;
    return 0;
}

static inline int fixture_unserve(void **state)
{
    struct api_fixture *fixture = *state;
    api_server_stop(fixture->server, 2000);
    store_close(fixture->store.store);
    fixture_remove_folder(fixture->store.folder);
    free(fixture);
    return 0;
}

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
    struct exchange *exchange = context;
    size_t needed = exchange->size + size * count + 1;
    if (needed > exchange->room) { /* doubled: with sanitizers, every realloc moves all there is */
        size_t room = needed > 2 * exchange->room ? needed : 2 * exchange->room;
        char *body = realloc(exchange->body, room);
        if (!body)
            return 0;
        exchange->body = body;
        exchange->room = room;
    }
    memcpy(exchange->body + exchange->size, data, size * count);
    exchange->size += size * count;
    exchange->body[exchange->size] = '\0';
    return size * count;
}

static size_t take_header(char *data, size_t size, size_t count, void *context)
{
    struct exchange *exchange = context;
    size_t length = strlen(exchange->headers);
    (void)snprintf(exchange->headers + length, sizeof exchange->headers - length, "%.*s", (int)(size * count),
                   data);
    return size * count;
}

static inline const char *fixture_url(const struct api_fixture *fixture)
{
    return fixture->http ? api_http_url(fixture->http) : api_server_url(fixture->server);
}

static inline uint16_t fixture_port(const struct api_fixture *fixture)
{
    return fixture->http ? api_http_port(fixture->http) : api_server_port(fixture->server);
}

/* `headers`: lines "Name: value", ended by NULL; may be NULL. */
static inline void fixture_request(const struct api_fixture *fixture, const char *method, const char *target,
                                   const char *body, const char *const *headers, struct exchange *exchange)
{
    char url[4096];
    struct curl_slist *list = NULL;
    CURL *curl = curl_easy_init();
    *exchange = (struct exchange){0};
    (void)snprintf(url, sizeof url, "%s%s", fixture_url(fixture), target);
    for (; headers && *headers; headers++)
        list = curl_slist_append(list, *headers);
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, 250L);
    (void)curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, exchange);
    if (strcmp(method, "HEAD") == 0)
        (void)curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else
        (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    if (body) {
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    }
    CURLcode code = curl_easy_perform(curl);
    if (code)
        fail_msg("%s %s: %s", method, target, curl_easy_strerror(code));
    if (exchange->body) { /* no larger than it is, so that a sanitizer sees what is read behind it */
        exchange->body = realloc(exchange->body, exchange->size + 1);
        assert_non_null(exchange->body);
    }
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &exchange->status);
    curl_slist_free_all(list);
    curl_easy_cleanup(curl);
}

/* GET that must answer with `status`; returns the body as JSON (NULL for anything else), which the caller
 * releases. */
static inline json_t *fixture_get(const struct api_fixture *fixture, const char *target, long status)
{
    struct exchange exchange;
    fixture_request(fixture, "GET", target, NULL, NULL, &exchange);
    if (exchange.status != status)
        fail_msg("GET %s: %ld instead of %ld: %s", target, exchange.status, status,
                 exchange.body ? exchange.body : "");
    json_t *json = exchange.body ? json_loads(exchange.body, JSON_REJECT_DUPLICATES, NULL) : NULL;
    free(exchange.body);
    return json;
}

/* The value of a response header into text, or "". */
static inline void fixture_header(const struct exchange *exchange, const char *name, char *text, size_t size)
{
    char wanted[128];
    (void)snprintf(wanted, sizeof wanted, "\n%s: ", name);
    const char *at = strcasestr(exchange->headers, wanted);
    text[0] = '\0';
    if (at) {
        at += strlen(wanted);
        (void)snprintf(text, size, "%.*s", (int)strcspn(at, "\r\n"), at);
    }
}

/* Sends raw bytes and returns all that comes until the peer closes or a second passes; the caller frees. */
static inline char *fixture_raw(const struct api_fixture *fixture, const char *bytes, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(fixture_port(fixture))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval patience = {.tv_sec = 1};
    char *text = calloc(1, 65537);
    size_t length = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    for (size_t sent = 0; sent < size;) {
        ssize_t count = send(fd, bytes + sent, size - sent, MSG_NOSIGNAL);
        if (count <= 0)
            break;
        sent += (size_t)count;
    }
    while (length < 65536) {
        ssize_t count = recv(fd, text + length, 65536 - length, 0);
        if (count <= 0)
            break;
        length += (size_t)count;
    }
    (void)close(fd);
    return text;
}

#endif
