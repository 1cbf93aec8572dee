/*
 * Targets that were read before (api/http/memo.h): what is remembered must not stand in for what belongs to
 * each request, or to what the store holds by now.
 */
#include "tests/unit/api/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char series[] = "/v1/models/garden/neox-tiny/revisions?fields=step,revision,mean";

static void fill(struct api_fixture *fixture)
{
    int64_t ids[4];
    fixture_add_revisions(&fixture->store, 3, ids);
    (void)fixture_sweep(&fixture->store, ids, 3, 0);
    (void)fixture_measure(&fixture->store, "content 0", 0.1);
}

/* Another server over the same store; the fixture's own is returned. */
static struct api_server *serve(struct api_fixture *fixture, const struct api_options *options)
{
    struct api_server *own = fixture->server;
    OK(api_server_start(options, &fixture->server, &err));
    return own;
}

static void back_to(struct api_fixture *fixture, struct api_server *own)
{
    api_server_stop(fixture->server, 1000);
    fixture->server = own;
}

static void expect(const struct api_fixture *fixture, const char *method, const char *target,
                   const char *header, long status, struct exchange *exchange)
{
    const char *headers[] = {header, NULL};
    fixture_request(fixture, method, target, NULL, headers, exchange);
    if (exchange->status != status)
        fail_msg("%s %s (%s): %ld instead of %ld", method, target, header ? header : "", exchange->status,
                 status);
}

/* What a client sees of a kept answer is what it saw of the first one, in each form. */
static void check_forms(const struct api_fixture *fixture)
{
    static const struct {
        const char *value;
        int is_csv;
    } accepts[] = {
        {"text/csv, application/json", 0},
        {"text/csv, application/json;q=0.9", 1},
        {"text/csv;q=0.8, application/json;q=0.9", 0},
        {"TEXT/CSV", 1},
        {"text/csv;q=0", 0},
        {"text/csv; header=present, */*;q=0.1", 1},
        {"text/csv, */*", 1},
        {"text/*", 1},
        {"text/*;q=0.5, application/*", 0},
        {"text/csv;q=0.3, text/*, application/json;q=0.5", 0},
        {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 0},
        {"application/json;q=0, text/*;q=0.001", 1},
        {"image/png", 0},
    };
    struct exchange json, other;
    char etag[80], type[64], line[128];
    for (int round = 0; round < 3; round++) {
        expect(fixture, "GET", series, NULL, 200, &json);
        fixture_header(&json, "ETag", etag, sizeof etag);
        fixture_header(&json, "Content-Type", type, sizeof type);
        assert_string_equal(type, "application/json");
        assert_int_equal(json.body[0], '{');
        free(json.body);
        expect(fixture, "GET", series, "Accept: text/csv", 200, &other);
        fixture_header(&other, "Content-Type", type, sizeof type);
        assert_string_equal(type, "text/csv; charset=utf-8");
        assert_int_equal(strncmp(other.body, "step,revision,mean\r\n", 20), 0);
        free(other.body);
        for (size_t i = 0; i < sizeof accepts / sizeof accepts[0]; i++) {
            (void)snprintf(line, sizeof line, "Accept: %s", accepts[i].value);
            expect(fixture, "GET", series, line, 200, &other);
            if ((other.body[0] == '{') != !accepts[i].is_csv)
                fail_msg("%s: %.20s", line, other.body);
            free(other.body);
        }
        (void)snprintf(line, sizeof line, "If-None-Match: \"x\", %s", etag);
        expect(fixture, "GET", series, line, 304, &other);
        expect(fixture, "HEAD", series, line, 304, &other);
        expect(fixture, "HEAD", series, NULL, 200, &other);
        expect(fixture, "GET", series, "If-None-Match: \"0123\"", 200, &other);
        free(other.body);
        expect(fixture, "GET", series, "If-None-Match;", 200, &other); /* empty */
        free(other.body);
    }
}

/* With an access log, which makes each answer one of its own, and without. */
static void test_forms(void **state)
{
    struct api_fixture *fixture = *state;
    struct api_options options;
    fill(fixture);
    check_forms(fixture);
    fixture_options(fixture, &options);
    options.http.access_log.write = NULL;
    struct api_server *own = serve(fixture, &options);
    check_forms(fixture);
    back_to(fixture, own);
}

/* Another method of the same target is another request. */
static void test_methods(void **state)
{
    struct api_fixture *fixture = *state;
    struct exchange exchange;
    for (int round = 0; round < 2; round++) {
        expect(fixture, "GET", "/v1/sweeps", NULL, 200, &exchange);
        free(exchange.body);
        expect(fixture, "POST", "/v1/sweeps", NULL, 415, &exchange);
        free(exchange.body);
        expect(fixture, "PUT", "/v1/sweeps", NULL, 405, &exchange);
        free(exchange.body);
        expect(fixture, "OPTIONS", "/v1/sweeps", NULL, 204, &exchange);
        free(exchange.body);
        expect(fixture, "GET", "/v1/sweeps?limits=1", NULL, 400, &exchange);
        free(exchange.body);
        expect(fixture, "GET", "/v1/sweeps/", NULL, 404, &exchange);
        free(exchange.body);
    }
}

/* A database of another past that has changed as often (a restored copy, a new state folder) is not taken for
 * the one that a client has read: its ETags are others. */
static void test_another_database(void **state)
{
    struct api_fixture *fixture = *state, *other = NULL;
    struct exchange exchange;
    char header[128] = "If-None-Match: ", etag[100];
    void *inner = NULL;
    assert_int_equal(fixture_serve(&inner), 0);
    other = inner;
    fill(fixture);
    fill(other);
    assert_int_equal(store_version(fixture->store.store), store_version(other->store.store));
    static const char *const targets[] = {series, "/v1/models"};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        expect(fixture, "GET", targets[i], NULL, 200, &exchange);
        fixture_header(&exchange, "ETag", etag, sizeof etag);
        free(exchange.body);
        (void)snprintf(header, sizeof header, "If-None-Match: %s", etag);
        expect(fixture, "GET", targets[i], header, 304, &exchange);
        free(exchange.body);
        expect(other, "GET", targets[i], header, 200, &exchange);
        free(exchange.body);
    }
    assert_int_equal(fixture_unserve(&inner), 0);
}

/* Who may read is asked each time. */
static void test_access(void **state)
{
    struct api_fixture *fixture = *state;
    struct api_options options;
    struct exchange exchange;
    fill(fixture);
    fixture_options(fixture, &options);
    options.http.token = "sesame";
    options.http.reads_need_token = 1;
    struct api_server *own = serve(fixture, &options);
    for (int round = 0; round < 2; round++) {
        expect(fixture, "GET", series, NULL, 401, &exchange);
        free(exchange.body);
        expect(fixture, "GET", series, "Authorization: Bearer sesame", 200, &exchange);
        free(exchange.body);
        expect(fixture, "GET", series, "Authorization: Bearer sesam", 401, &exchange);
        free(exchange.body);
    }
    back_to(fixture, own);
}

/* Requests that are known count like others. */
static void test_limits(void **state)
{
    struct api_fixture *fixture = *state;
    struct api_options options;
    struct exchange exchange;
    char text[64];
    fill(fixture);
    fixture_options(fixture, &options);
    options.http.requests_per_s_loopback = 1; /* ten at once */
    struct api_server *own = serve(fixture, &options);
    int passed = 0;
    long status = 200;
    for (int i = 0; i < 40 && status == 200; i++) {
        const char *headers[] = {NULL};
        fixture_request(fixture, "GET", series, NULL, headers, &exchange);
        status = exchange.status;
        passed += status == 200;
        fixture_header(&exchange, status == 200 ? "RateLimit" : "Retry-After", text, sizeof text);
        assert_true(text[0] != '\0');
        free(exchange.body);
    }
    assert_int_equal(status, 429);
    assert_in_range(passed, 10, 30);
    back_to(fixture, own);
}

/* Where nothing is kept, a known target is taken apart after all. */
static void test_without_cache(void **state)
{
    struct api_fixture *fixture = *state;
    struct api_options options;
    fill(fixture);
    fixture_options(fixture, &options);
    options.http.cache_bytes_max = 0;
    struct api_server *own = serve(fixture, &options);
    for (int round = 0; round < 3; round++) {
        json_t *json = fixture_get(fixture, series, 200);
        assert_int_equal(json_array_size(json_object_get(json, "revisions")), 3);
        json_decref(json);
        struct exchange exchange;
        expect(fixture, "GET", series, "Accept: text/csv", 200, &exchange);
        assert_int_equal(strncmp(exchange.body, "step,revision,mean\r\n", 20), 0);
        free(exchange.body);
    }
    (void)fixture_measure(&fixture->store, "content 1", 0.7);
    json_t *json = fixture_get(fixture, series, 200);
    const json_t *row = json_array_get(json_object_get(json, "revisions"), 1);
    assert_true(json_real_value(json_object_get(row, "mean")) == 0.7);
    json_decref(json);
    back_to(fixture, own);
}

/* Each answer of a known target that may be looked up has an id of its own. */
static void test_ids(void **state)
{
    struct api_fixture *fixture = *state;
    struct exchange exchange;
    char ids[3][80];
    fill(fixture);
    for (int i = 0; i < 3; i++) { /* the fixture keeps an access log */
        expect(fixture, "GET", series, NULL, 200, &exchange);
        fixture_header(&exchange, "X-Request-Id", ids[i], sizeof ids[i]);
        assert_int_equal(strlen(ids[i]), 32);
        free(exchange.body);
    }
    assert_string_not_equal(ids[0], ids[1]);
    assert_string_not_equal(ids[1], ids[2]);
    expect(fixture, "GET", series, "X-Request-Id: mine", 200, &exchange);
    fixture_header(&exchange, "X-Request-Id", ids[0], sizeof ids[0]);
    assert_string_equal(ids[0], "mine");
    free(exchange.body);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, fixture_serve, fixture_unserve)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(test_forms),         SERVED(test_methods), SERVED(test_access),           SERVED(test_limits),
        SERVED(test_without_cache), SERVED(test_ids),     SERVED(test_another_database),
    };
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
