/*
 * Clients that ask for much and do not read it: what their answers take has a bound, of each address and of
 * all, and whoever is refused is told to come again.
 */
#include "tests/unit/api/fixture.h"

#include "daemon/base/limits.h"

#include <dlfcn.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROWS 1000

static _Atomic(const char *)
    lost; /* the end of a header for which there is no memory; NULL: there is for all */

enum MHD_Result MHD_add_response_header(struct MHD_Response *response, const char *name, const char *content)
{
    enum MHD_Result (*real)(struct MHD_Response *, const char *, const char *);
    *(void **)&real = dlsym(RTLD_NEXT, "MHD_add_response_header");
    const char *end = atomic_load(&lost);
    size_t length = strlen(content), size_lost = end ? strlen(end) : 0;
    return end && length >= size_lost && strcmp(content + length - size_lost, end) == 0
               ? MHD_NO
               : real(response, name, content);
}

/* As from libmicrohttpd 1.0 on: the answer to a question lies where that to the next one will. */
const union MHD_ConnectionInfo *MHD_get_connection_info(struct MHD_Connection *connection,
                                                        enum MHD_ConnectionInfoType type, ...)
{
    static _Thread_local union MHD_ConnectionInfo told;
    const union MHD_ConnectionInfo *(*real)(struct MHD_Connection *, enum MHD_ConnectionInfoType, ...);
    *(void **)&real = dlsym(RTLD_NEXT, "MHD_get_connection_info");
    const union MHD_ConnectionInfo *info = real(connection, type);
    if (!info)
        return NULL;
    told = *info;
    return &told;
}

static char series[128];
static size_t size; /* bytes of that answer */

/* For all tests: so many revisions that a page of them is more than a socket takes. */
static int fill(void **state)
{
    struct exchange exchange;
    if (fixture_serve(state))
        return -1;
    struct api_fixture *fixture = *state;
    int64_t *ids = calloc(ROWS + 1, sizeof *ids);
    fixture_add_revisions(&fixture->store, ROWS, ids);
    free(ids);
    (void)snprintf(series, sizeof series, "/v1/models/garden/neox-tiny/revisions?limit=%d", ROWS);
    fixture_request(fixture, "GET", series, NULL, NULL, &exchange);
    size = exchange.size;
    free(exchange.body);
    return exchange.status == 200 && size > MIB ? 0 : -1;
}

static struct api_server *serve(struct api_fixture *fixture, size_t all, size_t address)
{
    struct api_options options;
    struct api_server *own = fixture->server;
    fixture_options(fixture, &options);
    options.http.cache_bytes_max = 0;
    options.http.answer_bytes_max = all;
    options.http.answer_bytes_per_address = address;
    options.http.requests_per_s_loopback = 100000; /* an address like any other */
    options.http.threads = 1;
    OK(api_server_start(&options, &fixture->server, &err));
    return own;
}

static void back_to(struct api_fixture *fixture, struct api_server *own)
{
    api_server_stop(fixture->server, 100);
    fixture->server = own;
}

/* Asks for a page and reads nothing of it. */
static int ask(const struct api_fixture *fixture, const char *target)
{
    char head[256];
    int small = 4096;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(api_server_port(fixture->server))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    int length = snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", target);
    assert_int_equal(send(fd, head, (size_t)length, MSG_NOSIGNAL), length);
    char byte;
    assert_int_equal(recv(fd, &byte, 1, MSG_PEEK), 1); /* the answer has begun */
    return fd;
}

static size_t held_bytes(const struct api_fixture *fixture)
{
    static const char name[] = "\nbifurcated_http_answer_bytes ";
    struct exchange exchange;
    fixture_request(fixture, "GET", "/metrics", NULL, NULL, &exchange);
    const char *at = strstr(exchange.body, name);
    assert_non_null(at);
    size_t bytes = (size_t)strtod(at + sizeof name - 1, NULL);
    free(exchange.body);
    return bytes;
}

static long status_of(const struct api_fixture *fixture, const char *target, const char *part)
{
    struct exchange exchange;
    char seconds[16];
    fixture_request(fixture, "GET", target, NULL, NULL, &exchange);
    fixture_header(&exchange, "Retry-After", seconds, sizeof seconds);
    assert_int_equal(seconds[0] != '\0', exchange.status == 503);
    if (exchange.status == 503)
        assert_non_null(strstr(exchange.body, part));
    free(exchange.body);
    return exchange.status;
}

/* One that does not read holds its answer; the next is refused; when it goes, there is room again. */
static void check_bound(struct api_fixture *fixture, size_t all, size_t address, const char *part)
{
    struct api_server *own = serve(fixture, all ? all : size + size / 2, address ? address : size + size / 2);
    int slow = ask(fixture, series);
    assert_true(held_bytes(fixture) >= size);
    for (int i = 0; i < 3; i++)
        assert_int_equal(status_of(fixture, series, part), 503);
    assert_true(held_bytes(fixture) < 2 * size);                   /* what was refused is not held */
    assert_int_equal(status_of(fixture, "/v1/models", part), 200); /* small ones go on */
    (void)close(slow);
    for (int i = 0; i < 1000 && held_bytes(fixture) >= size; i++)
        usleep(10000);
    assert_true(held_bytes(fixture) < size);
    assert_int_equal(status_of(fixture, series, part), 200);
    back_to(fixture, own);
}

static void test_bound_of_all(void **state)
{
    check_bound(*state, 0, 1024 * MIB, "others are still reading");
}

static void test_bound_of_an_address(void **state)
{
    check_bound(*state, 1024 * MIB, 0, "this address has not read");
}

/* Who does not read has an hour, and a second while others are refused. */
static struct api_server *serve_patiently(struct api_fixture *fixture, size_t all)
{
    struct api_options options;
    struct api_server *own = fixture->server;
    fixture_options(fixture, &options);
    options.http.cache_bytes_max = 0;
    options.http.answer_bytes_max = all;
    options.http.requests_per_s_loopback = 100000;
    options.http.idle_timeout_s = 3600;
    options.http.answer_timeout_s = 3600;
    options.http.answer_timeout_short_s = 1;
    OK(api_server_start(&options, &fixture->server, &err));
    return own;
}

/* While others are refused, who does not read loses his answer long before its usual time, which nothing else
 * would end here. */
static void test_room_comes_back(void **state)
{
    struct api_fixture *fixture = *state;
    struct api_server *own = serve_patiently(fixture, size + size / 2);
    int slow = ask(fixture, series);
    for (int i = 0; i < 6; i++) { /* no one needs the room */
        clock_sleep_ms(250);
        assert_true(held_bytes(fixture) >= size);
    }
    int64_t end_ms = clock_monotonic_ms() + 100000;
    while (status_of(fixture, series, "others are still reading") == 503 && clock_monotonic_ms() < end_ms)
        clock_sleep_ms(100);
    assert_int_equal(status_of(fixture, series, ""), 200);
    (void)close(slow);
    back_to(fixture, own);
}

/* What would have no room even alone takes nobody's time. */
static void test_too_large_for_all(void **state)
{
    struct api_fixture *fixture = *state;
    struct api_server *own = serve_patiently(fixture, size - size / 20);
    char most[128];
    (void)snprintf(most, sizeof most, "/v1/models/garden/neox-tiny/revisions?limit=%d", ROWS - ROWS / 10);
    int slow = ask(fixture, most);
    size_t held = held_bytes(fixture);
    assert_true(held > size / 2);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(status_of(fixture, series, "this answer alone is"), 503);
        clock_sleep_ms(250);
    }
    assert_true(held_bytes(fixture) >= held);
    (void)close(slow);
    back_to(fixture, own);
}

/* Alone, every answer may be sent, whatever an address may hold. */
static void test_one_passes(void **state)
{
    struct api_fixture *fixture = *state;
    struct api_server *own = serve(fixture, 1024 * MIB, 1);
    for (int i = 0; i < 3; i++) /* also one after the other on connections that ended */
        assert_int_equal(status_of(fixture, series, ""), 200);
    back_to(fixture, own);
}

/* Without memory for what a client must know there is no answer. */
static void test_no_answer_lacks_its_headers(void **state)
{
    static const char request[] =
        "GET /v1/models/garden/neox-tiny/revisions?format=csv&limit=10 HTTP/1.1\r\nHost: localhost\r\n"
        "Accept-Encoding: gzip, br\r\nConnection: close\r\n\r\n";
    static const char *const ends[] = {"rel=\"next\"", "gzip"};
    for (size_t i = 0; i < 2; i++) {
        atomic_store(&lost, ends[i]);
        char *answer = fixture_raw(*state, request, sizeof request - 1);
        atomic_store(&lost, NULL);
        assert_string_equal(answer, "");
        free(answer);
    }
    char *answer = fixture_raw(*state, request, sizeof request - 1);
    assert_non_null(strstr(answer, "rel=\"next\""));
    assert_non_null(strstr(answer, "Content-Encoding: gzip"));
    free(answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound_of_all),    cmocka_unit_test(test_bound_of_an_address),
        cmocka_unit_test(test_room_comes_back), cmocka_unit_test(test_too_large_for_all),
        cmocka_unit_test(test_one_passes),      cmocka_unit_test(test_no_answer_lacks_its_headers),
    };
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    int failed = cmocka_run_group_tests(tests, fill, fixture_unserve);
    curl_global_cleanup();
    return failed;
}
