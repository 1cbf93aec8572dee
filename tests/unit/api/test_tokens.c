/* Tokens over the API, where the store fails as soon as a change of a token was committed: the answer says
 * what was done. */
#include "tests/unit/api/fixture.h"

#include "store/tokens.h"

#include <dlfcn.h>
#include <sqlite3.h>

#define ADMIN "Authorization: Bearer sesame"

/* From a change of a token until its transaction is committed, then until the test ends it. */
static enum { SOUND, ARMED, CHANGED, BROKEN } state_of_store;
static sqlite3 *changed; /* the connection that did */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void set_state(int state)
{
    (void)pthread_mutex_lock(&lock);
    state_of_store = state;
    (void)pthread_mutex_unlock(&lock);
}

int sqlite3_step(sqlite3_stmt *statement)
{
    static int (*real)(sqlite3_stmt *);
    (void)pthread_mutex_lock(&lock);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "sqlite3_step");
    int is_broken = state_of_store == BROKEN;
    (void)pthread_mutex_unlock(&lock);
    int result = is_broken ? SQLITE_IOERR : real(statement);
    const char *sql = sqlite3_sql(statement) ? sqlite3_sql(statement) : ""; /* none: one of SQLite's own */
    (void)pthread_mutex_lock(&lock);
    if (state_of_store == ARMED &&
        (strncmp(sql, "INSERT INTO tokens", 18) == 0 || strstr(sql, "SET revoked_ms")))
        state_of_store = CHANGED, changed = sqlite3_db_handle(statement);
    else if (state_of_store == CHANGED && sqlite3_db_handle(statement) == changed &&
             strcmp(sql, "COMMIT") == 0)
        state_of_store = BROKEN;
    (void)pthread_mutex_unlock(&lock);
    return result;
}

static int serve_with_token(void **state)
{
    struct api_options options;
    struct err err = ERR_INIT;
    if (fixture_serve(state))
        return -1;
    struct api_fixture *fixture = *state;
    api_server_stop(fixture->server, 2000);
    fixture_options(fixture, &options);
    options.http.token = "sesame";
    options.http.reads_need_token = 1;
    return api_server_start(&options, &fixture->server, &err);
}

static json_t *ask(struct api_fixture *fixture, const char *method, const char *target, const char *body,
                   const char *token, long status)
{
    struct exchange exchange;
    const char *const headers[] = {token, "Content-Type: application/json", NULL};
    fixture_request(fixture, method, target, body, headers, &exchange);
    if (exchange.status != status)
        fail_msg("%s %s: %ld instead of %ld: %s", method, target, exchange.status, status, exchange.body);
    json_t *json = json_loads(exchange.body, 0, NULL);
    free(exchange.body);
    return json;
}

static void test_what_was_done_is_said(void **state)
{
    struct api_fixture *fixture = *state;
    char header[128], target[64];
    set_state(ARMED);
    json_t *made = ask(fixture, "POST", "/v1/tokens", "{\"name\":\"ci\",\"scopes\":[\"read\"]}", ADMIN, 201);
    assert_int_equal(state_of_store, BROKEN);
    set_state(SOUND);
    (void)snprintf(header, sizeof header, "Authorization: Bearer %s",
                   json_string_value(json_object_get(made, "token")));
    assert_string_equal(json_string_value(json_object_get(made, "name")), "ci");
    (void)snprintf(target, sizeof target, "/v1/tokens/%lld",
                   (long long)json_integer_value(json_object_get(made, "id")));
    json_decref(made);
    json_decref(ask(fixture, "GET", "/v1/models", NULL, header, 200));

    set_state(ARMED);
    json_t *revoked = ask(fixture, "DELETE", target, NULL, ADMIN, 200);
    assert_int_equal(state_of_store, BROKEN);
    assert_true(json_is_string(json_object_get(revoked, "revoked_at")));
    assert_string_equal(json_string_value(json_object_get(revoked, "name")), "ci");
    json_decref(revoked);
    json_decref(ask(fixture, "GET", "/v1/models", NULL, header, 401)); /* at once */
    set_state(SOUND);
    json_decref(ask(fixture, "DELETE", target, NULL, ADMIN, 409));
}

/* When a token was used is no change of what a revocation changes. */
static void test_use_is_no_change(void **state)
{
    struct api_fixture *fixture = *state;
    struct exchange exchange;
    char target[64], tag[80], later[80], header[128];
    json_t *made = ask(fixture, "POST", "/v1/tokens", "{\"name\":\"ci\",\"scopes\":[\"read\"]}", ADMIN, 201);
    const int64_t id = json_integer_value(json_object_get(made, "id"));
    json_decref(made);
    (void)snprintf(target, sizeof target, "/v1/tokens/%lld", (long long)id);
    for (int i = 0; i < 2; i++) {
        fixture_request(fixture, "GET", target, NULL, (const char *[]){ADMIN, NULL}, &exchange);
        fixture_header(&exchange, "ETag", i ? later : tag, sizeof tag);
        free(exchange.body);
        OK(tokens_touch(fixture->store.store, id, 1700000000000, &err));
    }
    assert_string_not_equal(tag, later); /* it shows */
    (void)snprintf(header, sizeof header, "If-Match: %s", tag);
    for (int i = 0; i < 2; i++) {
        fixture_request(fixture, "DELETE", target, NULL, (const char *[]){ADMIN, header, NULL}, &exchange);
        assert_int_equal(exchange.status, i ? 412 : 200);
        free(exchange.body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_was_done_is_said, serve_with_token, fixture_unserve),
        cmocka_unit_test_setup_teardown(test_use_is_no_change, serve_with_token, fixture_unserve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
