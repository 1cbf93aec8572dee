/* Streams of events: progress reaches all who follow, streams end by themselves and with the server. */
#include "tests/unit/api/fixture.h"

#include <poll.h>

#define STREAMS 40
#define PATIENCE_MS 20000

static struct fixture *store_of(void **state)
{
    return *state;
}

static int open_stream_from(const struct api_fixture *fixture, int64_t sweep, uint32_t from)
{
    char request[256];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(api_server_port(fixture->server))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(from)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    int length = snprintf(request, sizeof request,
                          "GET /v1/sweeps/%lld/events HTTP/1.1\r\nHost: localhost\r\n\r\n", (long long)sweep);
    assert_int_equal(send(fd, request, (size_t)length, MSG_NOSIGNAL), length);
    return fd;
}

static int open_stream(const struct api_fixture *fixture, int64_t sweep)
{
    return open_stream_from(fixture, sweep, INADDR_LOOPBACK);
}

/* Reads until `wanted` has come; fails if the stream ends or time runs out before. Keeps what was read. */
static void read_until(int fd, char *text, size_t size, const char *wanted)
{
    size_t length = strlen(text);
    int64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS;
    while (!strstr(text, wanted)) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        if (left_ms <= 0 || poll(&wait, 1, (int)left_ms) != 1)
            fail_msg("\"%s\" did not come; so far: %s", wanted, text);
        ssize_t count = recv(fd, text + length, size - length - 1, 0);
        if (count <= 0)
            fail_msg("the stream ended before \"%s\"; it said: %s", wanted, text);
        length += (size_t)count;
        text[length] = '\0';
    }
}

/* Whether the peer ends the chunked body (after which the connection may stay). */
static void read_end(int fd, char *text, size_t size)
{
    read_until(fd, text, size, "\r\n0\r\n\r\n");
}

static void test_followers_see_progress(void **state)
{
    struct api_fixture *fixture = *state;
    int64_t ids[3];
    int fds[STREAMS];
    static char texts[STREAMS][65536];
    fixture_add_revisions(store_of(state), 2, ids);
    int64_t sweep = fixture_sweep(store_of(state), ids, 2, 0);
    for (int i = 0; i < STREAMS; i++) {
        fds[i] = open_stream(fixture, sweep);
        texts[i][0] = '\0';
        read_until(fds[i], texts[i], sizeof texts[i], "event: progress\n");
        assert_non_null(strstr(texts[i], "Content-Type: text/event-stream"));
        assert_non_null(strstr(texts[i], "X-Accel-Buffering: no\r\n")); /* nginx passes it on at once */
    }
    (void)fixture_measure(store_of(state), "content 0", 0.1);
    for (int i = 0; i < STREAMS; i++)
        read_until(fds[i], texts[i], sizeof texts[i], "\"done\":1,");
    (void)close(fds[0]); /* one goes away */
    (void)fixture_measure(store_of(state), "content 1", 0.2);
    for (int i = 1; i < STREAMS; i++) {
        read_until(fds[i], texts[i], sizeof texts[i], "event: end\n");
        read_until(fds[i], texts[i], sizeof texts[i], "\"state\":\"done\"");
        read_end(fds[i], texts[i], sizeof texts[i]);
        (void)close(fds[i]);
    }
}

static void test_finished_sweep_ends_at_once(void **state)
{
    struct api_fixture *fixture = *state;
    char text[65536] = "";
    int64_t sweep = fixture_sweep(store_of(state), NULL, 0, 0);
    int fd = open_stream(fixture, sweep);
    read_until(fd, text, sizeof text, "event: end\n");
    read_end(fd, text, sizeof text);
    (void)close(fd);
    json_decref(fixture_get(fixture, "/v1/sweeps/999/events", 404));
}

static void test_silence_is_filled(void **state)
{
    struct api_fixture *fixture = *state;
    struct api_server *own = fixture->server;
    struct api_options options;
    int64_t ids[3];
    char text[65536] = "";
    fixture_options(fixture, &options);
    options.events.heartbeat_ms = 50;
    options.http.connections_max = 2; /* half of them for streams */
    OK(api_server_start(&options, &fixture->server, &err));
    fixture_add_revisions(store_of(state), 2, ids);
    int64_t sweep = fixture_sweep(store_of(state), ids, 2, 0);
    int fd = open_stream(fixture, sweep);
    read_until(fd, text, sizeof text, ": still here\n");
    char target[64];
    (void)snprintf(target, sizeof target, "/v1/sweeps/%lld/events", (long long)sweep);
    json_decref(fixture_get(fixture, target, 429)); /* one stream is allowed */
    (void)close(fd);
    api_server_stop(fixture->server, 2000);
    fixture->server = own;
}

/* One client cannot take the streams of all. */
static void test_an_address_has_its_share(void **state)
{
    struct api_fixture *fixture = *state;
    struct api_server *own = fixture->server;
    struct api_options options;
    int64_t ids[3];
    int fds[4];
    char texts[4][65536] = {"", "", "", ""};
    fixture_options(fixture, &options);
    options.events.streams_max = 4;
    options.events.streams_per_address = 2;
    options.http.requests_per_s_loopback = 100000; /* an address like any other */
    OK(api_server_start(&options, &fixture->server, &err));
    fixture_add_revisions(store_of(state), 2, ids);
    int64_t sweep = fixture_sweep(store_of(state), ids, 2, 0);
    for (int i = 0; i < 4; i++) {
        fds[i] = open_stream_from(fixture, sweep, INADDR_LOOPBACK + (i == 3));
        read_until(fds[i], texts[i], sizeof texts[i],
                   i == 2 ? "this address has 2 streams" : "event: progress\n");
    }
    assert_non_null(strstr(texts[2], "HTTP/1.1 429 "));
    for (int i = 0; i < 4; i++)
        (void)close(fds[i]);
    api_server_stop(fixture->server, 2000);
    fixture->server = own;
}

/* Stopping ends the streams cleanly and long before the drain is over. */
static void test_server_stops_under_streams(void **state)
{
    struct api_fixture *fixture = *state;
    struct api_server *own = fixture->server;
    struct api_options options;
    int64_t ids[3];
    int fds[STREAMS];
    fixture_options(fixture, &options);
    OK(api_server_start(&options, &fixture->server, &err));
    fixture_add_revisions(store_of(state), 2, ids);
    int64_t sweep = fixture_sweep(store_of(state), ids, 2, 0);
    for (int i = 0; i < STREAMS; i++) {
        char text[8192] = "";
        fds[i] = open_stream(fixture, sweep);
        read_until(fds[i], text, sizeof text, "event: progress\n");
    }
    int64_t begin_ms = clock_monotonic_ms();
    api_server_stop(fixture->server, 60000);
    assert_true(clock_monotonic_ms() - begin_ms < 30000);
    for (int i = 0; i < STREAMS; i++) {
        char text[65536];
        while (recv(fds[i], text, sizeof text, 0) > 0)
            continue;
        (void)close(fds[i]);
    }
    fixture->server = own;
}

/* Sends the beginning of a request and then a byte now and then, which is not silent, but does not get far
 * either. */
static void check_slow(struct api_fixture *fixture, const char *beginning)
{
    struct api_server *own = fixture->server;
    struct api_options options;
    fixture_options(fixture, &options);
    options.http.request_timeout_s = 1;
    OK(api_server_start(&options, &fixture->server, &err));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(api_server_port(fixture->server))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    (void)send(fd, beginning, strlen(beginning), MSG_NOSIGNAL);
    int64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS;
    int is_ended = 0;
    while (!is_ended && clock_monotonic_ms() < deadline_ms) {
        char c;
        clock_sleep_ms(50);
        is_ended = send(fd, "a", 1, MSG_NOSIGNAL) < 0 || recv(fd, &c, 1, MSG_DONTWAIT) == 0;
    }
    (void)close(fd);
    assert_true(is_ended);
    json_decref(fixture_get(fixture, "/healthz", 200));
    api_server_stop(fixture->server, 1000);
    fixture->server = own;
}

static void test_slow_clients_are_ended(void **state)
{
    check_slow(*state, "GET /");                        /* slow in its request line, */
    check_slow(*state, "GET /healthz HTTP/1.1\r\nX: "); /* in its headers, */
    check_slow(*state, "POST /v1/sweeps HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                       "Content-Length: 100000\r\n\r\n{"); /* and in its body */
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, fixture_serve, fixture_unserve)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(test_followers_see_progress),     SERVED(test_finished_sweep_ends_at_once),
        SERVED(test_silence_is_filled),          SERVED(test_an_address_has_its_share),
        SERVED(test_server_stops_under_streams), SERVED(test_slow_clients_are_ended),
    };
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
