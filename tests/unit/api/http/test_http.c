/* The transport alone, over a table of routes that has nothing of the server's resources. */
#include "tests/unit/api/fixture.h"

#include "api/http/route.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <sys/socket.h>

#define THING_BYTES_MAX 5000
#define LARGE_BYTES_MAX 20000

/* What this table's owner knows. */
struct things {
    const char *greeting;
    atomic_ullong version;
    atomic_int runs;                   /* of getThing */
    atomic_int delivered, undelivered; /* of waitThing */
    atomic_bool is_waiting, may_answer;
};

static struct things *things_of(const struct api_request *request)
{
    return request->context->hooks.context;
}

static int get_thing(struct api_request *request, struct api_response *response, struct err *err)
{
    struct things *things = things_of(request);
    (void)err;
    atomic_fetch_add(&things->runs, 1);
    buf_appendf(&response->body, "{\"text\":\"%s, %s\"}", things->greeting, request->arguments[0]);
    return 0;
}

static int put_thing(struct api_request *request, struct api_response *response, struct err *err)
{
    (void)err;
    buf_appendf(&response->body, "{\"size\":%zu}", request->body.size);
    return 0;
}

static void end_thing(struct api_request *request, int is_delivered)
{
    struct things *things = things_of(request);
    assert_ptr_equal(request->kept, things);
    atomic_fetch_add(is_delivered ? &things->delivered : &things->undelivered, 1);
}

static int wait_thing(struct api_request *request, struct api_response *response, struct err *err)
{
    struct things *things = things_of(request);
    (void)err;
    request->on_end = end_thing;
    request->kept = things;
    atomic_store(&things->is_waiting, true);
    while (!atomic_load(&things->may_answer))
        clock_sleep_ms(1);
    buf_append_text(&response->body, "{}");
    return 0;
}

static const struct api_route rows[] = {
    {"GET", "/things/{name}", "getThing", get_thing, " limit ", API_SCOPE_PATH, 0, API_RIGHT_PUBLIC, NULL},
    {"PUT", "/things/{name}", "putThing", put_thing, "", API_SCOPE_NONE, 0, API_RIGHT_PUBLIC, NULL},
    {"PUT", "/things/{name}/large", "putLarge", put_thing, "", API_SCOPE_NONE, 0, API_RIGHT_PUBLIC, NULL},
    {"POST", "/waits", "waitThing", wait_thing, "", API_SCOPE_NONE, 0, API_RIGHT_PUBLIC, NULL},
};

static int find_version(const struct api_request *request, int64_t *ret_id, uint64_t *ret_version,
                        struct err *err)
{
    if (strcmp(request->arguments[0], "nobody") == 0)
        return err_set(err, ERR_NOT_FOUND, "no such thing");
    *ret_id = 1;
    *ret_version = atomic_load(&things_of(request)->version);
    return 0;
}

static size_t body_max(const struct api_route *route)
{
    return strcmp(route->operation, "putLarge") == 0 ? LARGE_BYTES_MAX : 0;
}

static int is_replacing(const struct api_route *route)
{
    (void)route;
    return 0;
}

static const struct api_route_table table = {rows, sizeof rows / sizeof rows[0], find_version, is_replacing,
                                             body_max};
static struct things things;
static const struct api_context context = {.hooks.context = &things};

static int serve(void **state)
{
    struct api_options options;
    struct err err = ERR_INIT;
    if (fixture_serve(state))
        return -1;
    struct api_fixture *fixture = *state;
    fixture_options(fixture, &options);
    options.http.body_bytes_max = THING_BYTES_MAX;
    options.http.bodies_bytes_max = 2 * THING_BYTES_MAX;
    options.http.larger_bodies_bytes_max = LARGE_BYTES_MAX;
    memset(&things, 0, sizeof things);
    things.greeting = "hello";
    if (api_http_new(&options.http, &table, &context, &fixture->http, &err) ||
        api_http_start(fixture->http, &err)) {
        (void)fprintf(stderr, "%s\n", err.message);
        return -1;
    }
    return 0;
}

static int unserve(void **state)
{
    struct api_fixture *fixture = *state;
    api_http_drain(fixture->http);
    api_http_stop(fixture->http, 2000);
    api_http_free(fixture->http);
    return fixture_unserve(state);
}

static long put(const struct api_fixture *fixture, const char *target, const char *header)
{
    struct exchange exchange;
    fixture_request(fixture, "PUT", target, "{}", (const char *[]){header, NULL}, &exchange);
    free(exchange.body);
    return exchange.status;
}

static void get(const struct api_fixture *fixture, const char *target, const char *etag,
                struct exchange *exchange)
{
    char header[128];
    (void)snprintf(header, sizeof header, "If-None-Match: %s", etag);
    fixture_request(fixture, "GET", target, NULL, (const char *[]){header, NULL}, exchange);
    free(exchange->body);
}

static void test_handler_has_its_context(void **state)
{
    struct api_fixture *fixture = *state;
    json_t *thing = fixture_get(fixture, "/things/you", 200);
    assert_string_equal(json_string_value(json_object_get(thing, "text")), "hello, you");
    json_decref(thing);
    json_decref(fixture_get(fixture, "/things/nobody", 404));
    json_decref(fixture_get(fixture, "/things/you?cursor=1", 400));
    json_decref(fixture_get(fixture, "/v1/models", 404)); /* the server's table is not there */
}

/* An answer is kept until the table's owner says that its version is another. */
static void test_version_of_the_path(void **state)
{
    struct api_fixture *fixture = *state;
    struct exchange exchange;
    char first[80], second[80];
    int64_t id = 0;
    get(fixture, "/things/you", "", &exchange);
    fixture_header(&exchange, "ETag", first, sizeof first);
    get(fixture, "/things/you", "", &exchange);
    assert_int_equal(exchange.status, 200);
    assert_int_equal(atomic_load(&things.runs), 1);
    get(fixture, "/things/you", first, &exchange);
    assert_int_equal(exchange.status, 304);
    OK(models_ensure(fixture->store.store, "a/a", MODEL_KIND_HUB, &id, &err)); /* of nothing in this table */
    get(fixture, "/things/you", first, &exchange);
    assert_int_equal(exchange.status, 304);
    atomic_store(&things.version, 1);
    OK(models_ensure(fixture->store.store, "a/b", MODEL_KIND_HUB, &id,
                     &err)); /* it is asked for after a change */
    get(fixture, "/things/you", first, &exchange);
    assert_int_equal(exchange.status, 200);
    fixture_header(&exchange, "ETag", second, sizeof second);
    assert_string_not_equal(first, second);
    assert_int_equal(atomic_load(&things.runs), 2);
}

/* A write is compared with what a read of its path is answered with, whatever the handler is. */
static void test_write_that_depends_on_what_is_there(void **state)
{
    struct api_fixture *fixture = *state;
    struct exchange exchange;
    char tag[80], header[200];
    get(fixture, "/things/you", "", &exchange);
    fixture_header(&exchange, "ETag", tag, sizeof tag);
    (void)snprintf(header, sizeof header, "If-Match: \"\", W/\"x\" ,\"a\", %s", tag);
    assert_int_equal(put(fixture, "/things/you", header), 200);
    assert_int_equal(put(fixture, "/things/you", "If-Match: *"), 200);
    (void)snprintf(header, sizeof header, "If-Match: W/%s", tag);
    assert_int_equal(put(fixture, "/things/you", header), 412);
    (void)snprintf(header, sizeof header, "If-None-Match: W/%s", tag);
    assert_int_equal(put(fixture, "/things/you", header), 412);
    assert_int_equal(put(fixture, "/things/you", "If-None-Match: *"), 412);
    const char *lines[] = {"If-Match: \"0\"", "If-Match: \"1\", \"2\"", header, NULL};
    (void)snprintf(header, sizeof header, "If-Match: %s", tag);
    fixture_request(fixture, "PUT", "/things/you", NULL, lines, &exchange); /* several lines are one list */
    assert_int_equal(exchange.status, 200);
    free(exchange.body);
    (void)snprintf(header, sizeof header, "If-Match: \"3\"");
    fixture_request(fixture, "PUT", "/things/you", NULL, lines, &exchange);
    assert_int_equal(exchange.status, 412);
    free(exchange.body);
    assert_int_equal(put(fixture, "/things/you", "If-None-Match: \"0\""), 200);
    assert_int_equal(put(fixture, "/things/you", "If-Match: \"0\", \""), 400);
    assert_int_equal(put(fixture, "/things/you", "If-Match: 0"), 400);
    assert_int_equal(put(fixture, "/things/you", "If-Match: ,"), 400);
    (void)snprintf(header, sizeof header, "If-Match: %s \"0\"", tag); /* without a comma */
    assert_int_equal(put(fixture, "/things/you", header), 400);
    (void)snprintf(header, sizeof header, "If-Match: *, %s", tag);
    assert_int_equal(put(fixture, "/things/you", header), 400);
    assert_int_equal(put(fixture, "/things/nobody", "If-Match: \"0\""), 412); /* nobody is there */
    assert_int_equal(put(fixture, "/things/nobody", "If-None-Match: *"), 200);
    assert_int_equal(put(fixture, "/things/you/large", "If-Match: *"), 412); /* no ETag is ever served */
    assert_int_equal(put(fixture, "/things/you/large", "If-None-Match: *"), 200);
    int64_t id = 0;
    atomic_store(&things.version, 1);
    OK(models_ensure(fixture->store.store, "a/b", MODEL_KIND_HUB, &id, &err));
    (void)snprintf(header, sizeof header, "If-Match: %s", tag);
    assert_int_equal(put(fixture, "/things/you", header), 412);
    fixture_request(fixture, "GET", "/things/you", NULL, (const char *[]){header, NULL}, &exchange);
    assert_int_equal(exchange.status, 412);
    free(exchange.body);
    fixture_request(fixture, "GET", "/things/you", NULL, (const char *[]){"If-Match: *", NULL}, &exchange);
    assert_int_equal(exchange.status, 200);
    free(exchange.body);
}

/* A body counts until the server has done with its request, which is after the client has its answer. */
static void wait_for_bodies(const struct api_fixture *fixture, const char *bytes)
{
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, "\nbifurcated_http_body_bytes %s\n", bytes);
    for (int i = 0; i < 10000; i++) {
        struct buf text;
        buf_init(&text, MIB);
        api_http_append_metrics(fixture->http, &text);
        int is_there = strstr(buf_text(&text), wanted) != NULL;
        buf_free(&text);
        if (is_there)
            return;
        clock_sleep_ms(1);
    }
    fail_msg("never: %s", wanted);
}

static void test_body_of_a_route(void **state)
{
    struct api_fixture *fixture = *state;
    struct exchange exchange;
    char *body = malloc(LARGE_BYTES_MAX + 2);
    memset(body, 'x', LARGE_BYTES_MAX + 1);
    body[LARGE_BYTES_MAX + 1] = '\0';
    fixture_request(fixture, "PUT", "/things/you/large", body, NULL, &exchange);
    assert_int_equal(exchange.status, 413);
    free(exchange.body);
    body[LARGE_BYTES_MAX] = '\0';
    wait_for_bodies(fixture, "0");
    fixture_request(fixture, "PUT", "/things/you/large", body, NULL, &exchange);
    assert_string_equal(exchange.body, "{\"size\":20000}");
    free(exchange.body);
    body[THING_BYTES_MAX + 1] = '\0';
    wait_for_bodies(fixture, "0");
    fixture_request(fixture, "PUT", "/things/you", body, NULL, &exchange);
    assert_int_equal(exchange.status, 413);
    free(exchange.body);
    free(body);
}

/* Sends all of a body of THING_BYTES_MAX but its last byte. */
static int send_most(const struct api_fixture *fixture)
{
    char text[THING_BYTES_MAX + 200];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(api_http_port(fixture->http))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    int head = snprintf(text, sizeof text,
                        "PUT /things/you HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n",
                        THING_BYTES_MAX);
    memset(text + head, 'x', THING_BYTES_MAX - 1);
    size_t size = (size_t)head + THING_BYTES_MAX - 1;
    assert_int_equal(send(fd, text, size, MSG_NOSIGNAL), size);
    return fd;
}

static long put_of(const struct api_fixture *fixture, const char *target, size_t size)
{
    struct exchange exchange;
    char *body = malloc(size + 1);
    memset(body, 'x', size);
    body[size] = '\0';
    fixture_request(fixture, "PUT", target, body, NULL, &exchange);
    free(exchange.body);
    free(body);
    return exchange.status;
}

/* Bodies that are on their way share a bound; what finds no room is refused and holds nothing. Small ones
 * pass, and who may send more has room of its own. */
static void test_bodies_at_once(void **state)
{
    struct api_fixture *fixture = *state;
    char byte;
    int first = send_most(fixture), second = send_most(fixture);
    wait_for_bodies(fixture, "9998");
    assert_int_equal(put_of(fixture, "/things/you", THING_BYTES_MAX), 429);
    assert_int_equal(put_of(fixture, "/things/you", 2), 200);
    assert_int_equal(put_of(fixture, "/things/you/large", LARGE_BYTES_MAX), 200);
    wait_for_bodies(fixture, "9998");
    assert_int_equal(send(first, "x", 1, MSG_NOSIGNAL), 1);
    assert_int_equal(recv(first, &byte, 1, MSG_PEEK), 1);
    (void)close(first);
    (void)close(second);
    wait_for_bodies(fixture, "0");
    assert_int_equal(put_of(fixture, "/things/you", THING_BYTES_MAX), 200);
}

static void wait_for(atomic_int *count)
{
    for (int i = 0; i < 10000 && !atomic_load(count); i++)
        clock_sleep_ms(1);
    assert_int_equal(atomic_load(count), 1);
}

/* A handler learns once whether its answer has reached the client. */
static void test_end(void **state)
{
    static const char text[] = "POST /waits HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    struct api_fixture *fixture = *state;
    struct exchange exchange;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(fixture_port(fixture))};
    struct linger linger = {.l_onoff = 1}; /* closed by a reset: the answer cannot be sent */
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(fd, text, sizeof text - 1, MSG_NOSIGNAL), sizeof text - 1);
    for (int i = 0; i < 10000 && !atomic_load(&things.is_waiting); i++)
        clock_sleep_ms(1);
    assert_int_equal(atomic_load(&things.undelivered), 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    (void)close(fd);
    atomic_store(&things.may_answer, true);
    wait_for(&things.undelivered);
    assert_int_equal(atomic_load(&things.delivered), 0);
    fixture_request(fixture, "POST", "/waits", "", NULL, &exchange);
    assert_int_equal(exchange.status, 200);
    free(exchange.body);
    wait_for(&things.delivered);
    assert_int_equal(atomic_load(&things.undelivered), 1);
}

static void test_counted_by_operation(void **state)
{
    struct api_fixture *fixture = *state;
    struct buf text;
    json_decref(fixture_get(fixture, "/things/you", 200));
    buf_init(&text, 1024 * 1024);
    for (int i = 0; i < 10000 && (i == 0 || !strstr(buf_text(&text), "operation=\"getThing\"")); i++) {
        buf_clear(&text); /* it is counted once it was sent */
        api_http_append_metrics(fixture->http, &text);
        clock_sleep_ms(1);
    }
    assert_non_null(strstr(buf_text(&text), "operation=\"getThing\""));
    assert_null(strstr(buf_text(&text), "listModels"));
    buf_free(&text);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, serve, unserve)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(test_handler_has_its_context),
        SERVED(test_version_of_the_path),
        SERVED(test_write_that_depends_on_what_is_there),
        SERVED(test_body_of_a_route),
        SERVED(test_bodies_at_once),
        SERVED(test_end),
        SERVED(test_counted_by_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
