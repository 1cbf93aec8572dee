/* The server over real sockets: every route, the errors, conditional reads, paging, codings. */
#include "tests/unit/api/fixture.h"

#include "api/http/access.h"
#include "api/http/state.h"

#include <zstd.h>

static struct fixture *store_of(void **state)
{
    return *state;
}

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text ? text : "";
}

static int64_t integer_of(const json_t *json, const char *key)
{
    return json_integer_value(json_object_get(json, key));
}

/* Three revisions and main; the first two are measured. */
static int64_t fill(void **state)
{
    int64_t ids[4];
    fixture_add_revisions(store_of(state), 3, ids);
    int64_t sweep = fixture_sweep(store_of(state), ids, 3, 0);
    (void)fixture_measure(store_of(state), "content 0", 0.1);
    (void)fixture_measure(store_of(state), "content 1", 0.25);
    return sweep;
}

static void test_service(void **state)
{
    struct api_fixture *fixture = *state;
    json_t *json = fixture_get(fixture, "/healthz", 200);
    assert_string_equal(text_of(json, "status"), "ok");
    json_decref(json);
    json_decref(fixture_get(fixture, "/readyz", 200));
    atomic_store(&fixture->is_ready, 0);
    json = fixture_get(fixture, "/readyz", 503);
    assert_non_null(strstr(text_of(json, "detail"), "no worker yet"));
    json_decref(json);
    json = fixture_get(fixture, "/v1/devices", 200);
    assert_int_equal(json_array_size(json_object_get(json, "devices")), 1);
    json_decref(json);
    json = fixture_get(fixture, "/openapi.json", 200);
    assert_string_equal(text_of(json, "openapi"), "3.1.0");
    json_decref(json);
    json = fixture_get(fixture, "/v1/status", 200);
    assert_string_equal(text_of(json, "version"), "test");
    json_decref(json);
    assert_null(fixture_get(fixture, "/metrics", 200));
}

static void test_models(void **state)
{
    struct api_fixture *fixture = *state;
    int64_t id = 0;
    fill(state);
    OK(models_ensure(fixture->store.store, "file:/data/run 1", MODEL_KIND_FOLDER, &id, &err));
    json_t *json = fixture_get(fixture, "/v1/models", 200);
    /* a name of which no revision is known is not listed, but can be asked for */
    assert_int_equal(json_array_size(json_object_get(json, "models")), 1);
    json_decref(json);
    json = fixture_get(fixture, "/v1/models/garden/neox-tiny", 200);
    assert_int_equal(integer_of(json, "revision_count"), 3);
    assert_int_equal(integer_of(json, "measured_count"), 2);
    json_decref(json);
    json = fixture_get(fixture, "/v1/models/file/%2Fdata%2Frun%201", 200);
    assert_string_equal(text_of(json, "name"), "file:/data/run 1");
    json_decref(json);
    json_decref(fixture_get(fixture, "/v1/models/garden/absent", 404));
    json_decref(fixture_get(fixture, "/v1/models/a%2Fb/c", 404));
}

static void test_series(void **state)
{
    struct api_fixture *fixture = *state;
    fill(state);
    json_t *json = fixture_get(fixture, "/v1/models/garden/neox-tiny/revisions", 200);
    json_t *rows = json_object_get(json, "revisions");
    assert_int_equal(json_array_size(rows), 3);
    assert_int_equal(integer_of(json, "total"), 3);
    const json_t *row = json_array_get(rows, 1);
    assert_string_equal(text_of(row, "revision"), "step1");
    assert_string_equal(text_of(row, "state"), "measured");
    assert_true(json_real_value(json_object_get(row, "mean")) == 0.25);
    assert_true(json_real_value(json_object_get(row, "tokens_centred_mean")) == 3.25);
    assert_true(json_is_null(json_object_get(row, "skewness")));
    assert_string_equal(text_of(json_array_get(rows, 2), "state"), "pending");
    json_decref(json);
    json = fixture_get(
        fixture, "/v1/models/garden/neox-tiny/revisions?stepless=true&from=1&fields=step,revision", 200);
    rows = json_object_get(json, "revisions");
    assert_int_equal(json_array_size(rows), 3);
    assert_int_equal(json_object_size(json_array_get(rows, 0)), 2);
    assert_true(json_is_null(json_object_get(json_array_get(rows, 2), "step")));
    json_decref(json);
    json = fixture_get(fixture, "/v1/models/garden/neox-tiny/revisions/step0", 200);
    assert_true(json_real_value(json_object_get(json, "mean")) == 0.1);
    json_decref(json);
    json_decref(fixture_get(fixture, "/v1/models/garden/neox-tiny/revisions/step9", 404));
}

static void test_csv(void **state)
{
    struct api_fixture *fixture = *state;
    struct exchange exchange;
    fill(state);
    fixture_request(fixture, "GET",
                    "/v1/models/garden/neox-tiny/revisions?format=csv&fields=revision,step,mean,skewness",
                    NULL, NULL, &exchange);
    assert_string_equal(exchange.body, "revision,step,mean,skewness\r\nstep0,0,0.1,\r\nstep1,1,0.25,\r\n"
                                       "step2,2,,\r\n");
    char type[64];
    fixture_header(&exchange, "Content-Type", type, sizeof type);
    assert_string_equal(type, "text/csv; charset=utf-8");
    free(exchange.body);
    fixture_request(fixture, "GET", "/v1/models", NULL, (const char *[]){"Accept: text/csv", NULL},
                    &exchange);
    assert_int_equal(strncmp(exchange.body, "name,kind,", 10), 0);
    free(exchange.body);
}

/* A reader of CSV does not look for a next page: all come that one may have; JSON has a page of 1,000. */
static void test_csv_is_whole(void **state)
{
    enum { COUNT = LIMIT_API_PAGE_ROWS };
    struct api_fixture *fixture = *state;
    struct exchange exchange;
    static int64_t ids[COUNT + 1];
    char next[512];
    size_t lines = 0;
    fixture_add_revisions(store_of(state), COUNT, ids);
    fixture_request(fixture, "GET", "/v1/models/garden/neox-tiny/revisions?format=csv&fields=revision", NULL,
                    NULL, &exchange);
    for (const char *at = exchange.body; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        lines++;
    assert_int_equal(lines, 1 + COUNT);
    fixture_header(&exchange, "Link", next, sizeof next);
    assert_string_equal(next, "");
    free(exchange.body);
    json_t *json = fixture_get(fixture, "/v1/models/garden/neox-tiny/revisions?fields=revision", 200);
    assert_int_equal(integer_of(json, "count"), 1000);
    assert_int_equal(integer_of(json, "total"), COUNT);
    json_decref(json);
}

/* Each page continues where the one before ended, whichever part of the order tells two rows apart. */
static void check_pages(const struct api_fixture *fixture, const char *list, const char *key,
                        const char *name, const char *const *expected, int count)
{
    char target[1024];
    (void)snprintf(target, sizeof target, "%s", list);
    for (int page = 0; page < count; page++) {
        json_t *json = fixture_get(fixture, target, 200);
        const json_t *rows = json_object_get(json, key);
        assert_int_equal(json_array_size(rows), 1);
        assert_string_equal(text_of(json_array_get(rows, 0), name), expected[page]);
        const char *cursor = text_of(json, "next_cursor");
        assert_int_equal(cursor[0] != '\0', page + 1 < count);
        (void)snprintf(target, sizeof target, "%s&cursor=%s", list, cursor);
        json_decref(json);
    }
}

static void test_pages_by_each_part_of_the_order(void **state)
{
    static const char *const names[] = {
        "stage1-step5", "stage2-step5-tokens1", "stage2-step5-tokens2", "stage2-ingredient1-a", "branch",
        "main"};
    static const char *const models[] = {"garden/neox-tiny", "garden/staged"};
    struct api_fixture *fixture = *state;
    struct revision_row rows[6];
    int64_t id = 0;
    fill(state);
    for (int i = 0; i < 6; i++) {
        fixture_revision(&rows[i], i < 4 ? 5 : REVISIONS_STEP_NONE, names[i]);
        (void)snprintf(rows[i].name, sizeof rows[i].name, "%s", names[i]);
        rows[i].stage = i < 4 ? 1 + (i > 0) : 0;
        rows[i].tokens = i == 1 || i == 2 ? i : 0;
        rows[i].ingredient = i == 3;
    }
    OK(models_ensure(fixture->store.store, models[1], MODEL_KIND_HUB, &id, &err));
    OK(revisions_update(fixture->store.store, id, rows, 6, 1, NULL, &err));
    check_pages(fixture, "/v1/models/garden/staged/revisions?stepless=true&limit=1&fields=revision",
                "revisions", "revision", names, 6);
    check_pages(fixture, "/v1/models?limit=1", "models", "name", models, 2);
}

/* Follows next_cursor with pages of one and must see every revision once. */
static void test_paging(void **state)
{
    struct api_fixture *fixture = *state;
    char target[1024] = "/v1/models/garden/neox-tiny/revisions?limit=1&fields=revision";
    fill(state);
    for (int page = 0; page < 3; page++) {
        char name[16];
        json_t *json = fixture_get(fixture, target, 200);
        (void)snprintf(name, sizeof name, "step%d", page);
        const json_t *rows = json_object_get(json, "revisions");
        assert_int_equal(json_array_size(rows), 1);
        assert_string_equal(text_of(json_array_get(rows, 0), "revision"), name);
        const char *cursor = text_of(json, "next_cursor");
        assert_int_equal(cursor[0] != '\0', page < 2);
        (void)snprintf(target, sizeof target,
                       "/v1/models/garden/neox-tiny/revisions?limit=1&fields=revision&cursor=%s", cursor);
        json_decref(json);
    }
    struct exchange exchange;
    char link[1024];
    fixture_request(fixture, "GET", "/v1/models/garden/neox-tiny/revisions?limit=2&format=csv", NULL, NULL,
                    &exchange);
    fixture_header(&exchange, "Link", link, sizeof link);
    assert_non_null(strstr(link, "</v1/models/garden/neox-tiny/revisions?limit=2&format=csv&cursor="));
    assert_non_null(strstr(link, "rel=\"next\""));
    free(exchange.body);
    json_decref(fixture_get(fixture, "/v1/models?cursor=zz", 400));
}

static void test_conditional(void **state)
{
    struct api_fixture *fixture = *state;
    static const char target[] = "/v1/models/garden/neox-tiny/revisions";
    struct exchange exchange;
    char etag[64];
    char line[128];
    fill(state);
    fixture_request(fixture, "GET", target, NULL, NULL, &exchange);
    fixture_header(&exchange, "ETag", etag, sizeof etag);
    assert_int_equal(etag[0], '"');
    char *first = exchange.body;
    (void)snprintf(line, sizeof line, "If-None-Match: %s", etag);
    const char *headers[] = {line, NULL};
    fixture_request(fixture, "GET", target, NULL, headers, &exchange);
    assert_int_equal(exchange.status, 304);
    assert_int_equal(exchange.size, 0);
    fixture_request(fixture, "HEAD", target, NULL, NULL, &exchange);
    assert_int_equal(exchange.status, 200);
    assert_int_equal(exchange.size, 0);
    fixture_request(fixture, "GET", target, NULL, NULL, &exchange);
    assert_string_equal(exchange.body, first);
    free(exchange.body);
    (void)fixture_measure(store_of(state), "content 2", 0.5);
    fixture_request(fixture, "GET", target, NULL, headers, &exchange);
    assert_int_equal(exchange.status, 200);
    assert_string_not_equal(exchange.body, first);
    free(exchange.body);
    free(first);
}

static void test_codings(void **state)
{
    struct api_fixture *fixture = *state;
    static const char target[] = "/v1/models/garden/neox-tiny/revisions";
    struct exchange plain, coded;
    char etag[64];
    fill(state);
    fixture_request(fixture, "GET", target, NULL, NULL, &plain);
    for (int round = 0; round < 2; round++) { /* made, then from the cache */
        fixture_request(fixture, "GET", target, NULL, (const char *[]){"Accept-Encoding: gzip, zstd", NULL},
                        &coded);
        char *text = calloc(1, plain.size + 1);
        assert_int_equal(ZSTD_decompress(text, plain.size, coded.body, coded.size), plain.size);
        assert_string_equal(text, plain.body);
        fixture_header(&coded, "ETag", etag, sizeof etag);
        assert_non_null(strstr(etag, "-zstd\""));
        free(text);
        free(coded.body);
    }
    free(plain.body);
}

static void test_sweeps(void **state)
{
    struct api_fixture *fixture = *state;
    struct exchange exchange;
    char location[64];
    const char *headers[] = {"Content-Type: application/json", "Idempotency-Key: night-1", NULL};
    static const char body[] = "{\"model\": \"garden/neox-tiny\", \"reference\": null, \"priority\": 3}";
    fixture_request(fixture, "POST", "/v1/sweeps", body, headers, &exchange);
    assert_int_equal(exchange.status, 201);
    fixture_header(&exchange, "Location", location, sizeof location);
    free(exchange.body);
    assert_int_equal(atomic_load(&fixture->wakes), 1);
    fixture_request(fixture, "POST", "/v1/sweeps", body, headers, &exchange);
    assert_int_equal(exchange.status, 200);
    free(exchange.body);
    fixture_request(fixture, "POST", "/v1/sweeps", "{\"model\": \"garden/other\"}", headers, &exchange);
    assert_int_equal(exchange.status, 409);
    free(exchange.body);
    json_t *json = fixture_get(fixture, location, 200);
    assert_string_equal(text_of(json, "state"), "planning");
    assert_int_equal(integer_of(json, "priority"), 3);
    assert_string_equal(text_of(json_object_get(json, "request"), "model"), "garden/neox-tiny");
    assert_null(json_object_get(json_object_get(json, "request"), "reference"));
    json_decref(json);
    json = fixture_get(fixture, "/v1/sweeps?model=garden/neox-tiny&state=planning", 200);
    assert_int_equal(json_array_size(json_object_get(json, "sweeps")), 1);
    json_decref(json);
    fixture_request(fixture, "DELETE", location, NULL, NULL, &exchange);
    assert_int_equal(exchange.status, 200);
    free(exchange.body);
    json = fixture_get(fixture, location, 200);
    assert_string_equal(text_of(json, "state"), "cancelled");
    json_decref(json);
    json_decref(fixture_get(fixture, "/v1/sweeps/999", 404));
    json_decref(fixture_get(fixture, "/v1/sweeps/1x", 404));
}

static void test_progress(void **state)
{
    struct api_fixture *fixture = *state;
    char target[64];
    struct task_row task;
    struct task_lease lease;
    int64_t sweep = fill(state);
    fixture_claim(store_of(state), "local/1", &task);
    task_lease_of(&task, &lease);
    struct err reason = ERR_INIT;
    err_set(&reason, ERR_FORMAT, "model.safetensors: header: truncated");
    OK(tasks_fail(fixture->store.store, &lease, &reason, NULL, NULL, &err));
    (void)snprintf(target, sizeof target, "/v1/sweeps/%d", (int)sweep);
    json_t *json = fixture_get(fixture, target, 200);
    const json_t *progress = json_object_get(json, "progress");
    assert_string_equal(text_of(json, "state"), "failed");
    assert_int_equal(integer_of(progress, "revisions_total"), 3);
    assert_int_equal(integer_of(progress, "done"), 2);
    assert_int_equal(integer_of(progress, "failed"), 1);
    const json_t *fault = json_array_get(json_object_get(json, "errors"), 0);
    assert_string_equal(text_of(fault, "revision"), "step2");
    assert_string_equal(text_of(fault, "code"), "format");
    json_decref(json);
    (void)snprintf(target, sizeof target, "/v1/sweeps/%d/tasks?state=failed", (int)sweep);
    json = fixture_get(fixture, target, 200);
    assert_int_equal(json_array_size(json_object_get(json, "tasks")), 1);
    json_decref(json);
}

static void expect_problem(struct api_fixture *fixture, const char *method, const char *target,
                           const char *body, const char *const *headers, long status, const char *field)
{
    struct exchange exchange;
    char type[64];
    fixture_request(fixture, method, target, body, headers, &exchange);
    if (exchange.status != status)
        fail_msg("%s %s: %ld instead of %ld: %s", method, target, exchange.status, status, exchange.body);
    fixture_header(&exchange, "Content-Type", type, sizeof type);
    assert_string_equal(type, "application/problem+json");
    json_t *json = json_loads(exchange.body, 0, NULL);
    assert_int_equal(integer_of(json, "status"), status);
    assert_true(text_of(json, "detail")[0] != '\0');
    if (field && strcmp(text_of(json, "field"), field) != 0)
        fail_msg("%s %s: field %s instead of %s", method, target, text_of(json, "field"), field);
    json_decref(json);
    free(exchange.body);
}

static void test_problems(void **state)
{
    struct api_fixture *fixture = *state;
    const char *headers[] = {"Content-Type: application/json", NULL};
    expect_problem(fixture, "GET", "/nothing", NULL, NULL, 404, NULL);
    expect_problem(fixture, "GET", "/v1/models/", NULL, NULL, 404, NULL);
    expect_problem(fixture, "GET", "/v1//models", NULL, NULL, 400, NULL);
    expect_problem(fixture, "GET", "/v1/models/a/../b", NULL, NULL, 400, NULL);
    expect_problem(fixture, "GET", "/v1/models/a/%2e%2E", NULL, NULL, 400, NULL);
    expect_problem(fixture, "GET", "/v1/models/a/b%00c", NULL, NULL, 400, NULL);
    expect_problem(fixture, "GET", "/v1/models/a/b%zz", NULL, NULL, 400, NULL);
    expect_problem(fixture, "GET", "/v1/models/a/%ff", NULL, NULL, 400, NULL);
    expect_problem(fixture, "GET", "/v1/models?limit=0", NULL, NULL, 400, "limit");
    expect_problem(fixture, "GET", "/v1/models?limit=5&limit=6", NULL, NULL, 400, NULL);
    expect_problem(fixture, "GET", "/v1/models?limits=5", NULL, NULL, 400, "limits");
    expect_problem(fixture, "GET", "/v1/models?mit=5", NULL, NULL, 400, "mit");
    expect_problem(fixture, "GET", "/v1/models?format=xml", NULL, NULL, 400, "format");
    expect_problem(fixture, "GET", "/v1/models/garden/neox-tiny/revisions?fields=mean,what", NULL, NULL, 400,
                   "fields");
    expect_problem(fixture, "PUT", "/v1/sweeps", "{}", headers, 405, NULL);
    expect_problem(fixture, "BREW", "/v1/sweeps", NULL, NULL, 405, NULL);
    expect_problem(fixture, "POST", "/v1/sweeps", "{}", headers, 400, "/model");
    expect_problem(fixture, "POST", "/v1/sweeps", "{\"model\": \"a/b\", \"colour\": 1}", headers, 400,
                   "/colour");
    expect_problem(fixture, "POST", "/v1/sweeps", "{\"model\": \"a/b\"", headers, 400, "");
    expect_problem(fixture, "POST", "/v1/sweeps", "{\"model\": \"a/b\"}",
                   (const char *[]){"Content-Type: text/plain", NULL}, 415, "Content-Type");
    expect_problem(fixture, "POST", "/v1/sweeps", "{\"model\": \"a/b\"}",
                   (const char *[]){"Content-Type: application/json", "Host: evil.example", NULL}, 403,
                   "Host");
}

static void test_bounds(void **state)
{
    struct api_fixture *fixture = *state;
    size_t size = 2 * MIB;
    char *body = malloc(size + 1);
    memset(body, ' ', size);
    body[size] = '\0';
    expect_problem(fixture, "POST", "/v1/sweeps", body,
                   (const char *[]){"Content-Type: application/json", "Expect:", NULL}, 413, NULL);
    expect_problem(
        fixture, "POST", "/v1/sweeps", body,
        (const char *[]){"Content-Type: application/json", "Transfer-Encoding: chunked", "Expect:", NULL},
        413, NULL);
    free(body);
    /* Headers without end, a body that never comes, garbage: an answer or a closed connection, no crash. */
    char *head = malloc(100000);
    memset(head, 'a', 100000);
    memcpy(head, "GET / HTTP/1.1\r\nX: ", 19);
    char *answer = fixture_raw(fixture, head, 100000);
    assert_non_null(strstr(answer, " 431 "));
    free(answer);
    free(head);
    static const char *const rubbish[] = {
        "\r\n\r\n\r\n",
        "GET\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01",
        "POST /v1/sweeps HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{",
        "POST /v1/sweeps HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n{}",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nno colon here\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof rubbish / sizeof rubbish[0]; i++)
        free(fixture_raw(fixture, rubbish[i], strlen(rubbish[i])));
    json_decref(fixture_get(fixture, "/healthz", 200));
}

static void test_pipelined(void **state)
{
    struct api_fixture *fixture = *state;
    static const char bytes[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
                                "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"
                                "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    char *answer = fixture_raw(fixture, bytes, sizeof bytes - 1);
    const char *first = strstr(answer, "HTTP/1.1 200");
    assert_non_null(first);
    const char *second = strstr(first + 1, "HTTP/1.1 404");
    assert_non_null(second);
    assert_non_null(strstr(second + 1, "HTTP/1.1 200"));
    free(answer);
}

static void test_options(void **state)
{
    struct api_fixture *fixture = *state;
    struct exchange exchange;
    char allow[64];
    fixture_request(fixture, "OPTIONS", "/v1/sweeps", NULL, NULL, &exchange);
    assert_int_equal(exchange.status, 204);
    fixture_header(&exchange, "Allow", allow, sizeof allow);
    assert_string_equal(allow, "GET, HEAD, POST, OPTIONS");
    free(exchange.body);
    static const char *const json[] = {"Content-Type: application/json", NULL};
    fixture_request(fixture, "POST", "/v1/sweeps", "{\"model\": \"a/b\"}", json, &exchange);
    assert_int_equal(exchange.status, 201);
    fixture_header(&exchange, "Allow", allow, sizeof allow);
    assert_string_equal(allow, ""); /* it would deny what was just done */
    free(exchange.body);
}

static void test_request_id(void **state)
{
    struct api_fixture *fixture = *state;
    struct exchange exchange;
    char id[80];
    fixture_request(fixture, "GET", "/healthz", NULL, (const char *[]){"X-Request-Id: night-7", NULL},
                    &exchange);
    fixture_header(&exchange, "X-Request-Id", id, sizeof id);
    assert_string_equal(id, "night-7");
    free(exchange.body);
    fixture_request(fixture, "GET", "/healthz", NULL, (const char *[]){"X-Request-Id: a b\"c", NULL},
                    &exchange);
    fixture_header(&exchange, "X-Request-Id", id, sizeof id);
    assert_int_equal(strlen(id), 32);
    assert_int_equal(strspn(id, "0123456789abcdef"), 32);
    free(exchange.body);
    char other[80];
    fixture_request(fixture, "GET", "/healthz", NULL, (const char *[]){NULL}, &exchange);
    fixture_header(&exchange, "X-Request-Id", other, sizeof other);
    assert_string_not_equal(id, other);
    free(exchange.body);
}

/* Who has no token may write on loopback alone, and there unless the daemon has a token of a file, too. */
static void test_what_is_open_without_a_token(void **state)
{
    static const struct {
        int is_loopback;
        const char *token;
        int may_write;
    } cases[] = {{1, NULL, 1}, {1, "sesame", 0}, {0, NULL, 0}, {0, "sesame", 0}};
    static const enum api_right writes[] = {API_RIGHT_SWEEP, API_RIGHT_WORKER, API_RIGHT_REMOVE};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct api_http http = {.is_loopback = cases[i].is_loopback, .options.token = cases[i].token};
        for (size_t k = 0; k < sizeof writes / sizeof writes[0]; k++)
            assert_int_equal(api_access_is_open(&http, writes[k]), cases[i].may_write);
        assert_true(api_access_is_open(&http, API_RIGHT_READ));
        assert_false(api_access_is_open(&http, API_RIGHT_ADMIN));
        http.options.reads_need_token = 1;
        assert_false(api_access_is_open(&http, API_RIGHT_READ));
        assert_true(api_access_is_open(&http, API_RIGHT_PUBLIC));
    }
}

/* A daemon that others can reach wants a token for writes and refuses to start without one. */
static void test_token(void **state)
{
    struct api_fixture *fixture = *state;
    struct api_options options;
    struct api_server *server = NULL;
    struct api_server *own = fixture->server;
    fixture_options(fixture, &options);
    options.http.address = "0.0.0.0";
    FAILS(ERR_INVALID, api_server_start(&options, &server, &err));
    options.http.address = "here";
    FAILS(ERR_INVALID, api_server_start(&options, &server, &err));
    options.http.address = "127.0.0.1";
    options.http.port = api_server_port(own);
    FAILS(ERR_CONFLICT, api_server_start(&options, &server, &err));
    options.http.port = 0;
    options.http.token = "sesame";
    OK(api_server_start(&options, &server, &err));
    fixture->server = server;
    const char *body = "{\"model\": \"a/b\"}";
    const char *headers[] = {"Content-Type: application/json", NULL, NULL};
    expect_problem(fixture, "POST", "/v1/sweeps", body, headers, 401, "Authorization");
    headers[1] = "Authorization: Bearer sesam";
    expect_problem(fixture, "POST", "/v1/sweeps", body, headers, 401, "Authorization");
    headers[1] = "Authorization: Bearer sesame";
    struct exchange exchange;
    fixture_request(fixture, "POST", "/v1/sweeps", body, headers, &exchange);
    assert_int_equal(exchange.status, 201);
    free(exchange.body);
    json_decref(fixture_get(fixture, "/v1/models", 200));
    api_server_stop(server, 1000);
    fixture->server = own;
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, fixture_serve, fixture_unserve)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(test_service),
        SERVED(test_models),
        SERVED(test_series),
        SERVED(test_csv),
        SERVED(test_csv_is_whole),
        SERVED(test_paging),
        SERVED(test_pages_by_each_part_of_the_order),
        SERVED(test_conditional),
        SERVED(test_codings),
        SERVED(test_sweeps),
        SERVED(test_progress),
        SERVED(test_problems),
        SERVED(test_bounds),
        SERVED(test_pipelined),
        SERVED(test_options),
        SERVED(test_request_id),
        SERVED(test_token),
        cmocka_unit_test(test_what_is_open_without_a_token),
    };
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
