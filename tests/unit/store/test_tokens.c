/* Tokens: their text, what is kept of them, scopes, and a second process beside the daemon. */
#include "tests/unit/store/fixture.h"

#include "daemon/base/limits.h"
#include "store/connection.h"
#include "store/tokens.h"

#include <sys/wait.h>

static int64_t create(struct fixture *fixture, const char *name, unsigned scopes, char *text)
{
    struct token_row row;
    struct token_request request = {.name = name, .scopes = scopes};
    OK(tokens_create(fixture->store, &request, text, &row, &err));
    return row.id;
}

static void test_text(void **state)
{
    (void)state;
    char one[TOKEN_TEXT_SIZE], other[TOKEN_TEXT_SIZE];
    OK(token_text_make(one, &err));
    OK(token_text_make(other, &err));
    assert_string_not_equal(one, other);
    assert_int_equal(strlen(one), 76);
    assert_true(token_text_is_whole(one));
    /* The checksum of a known token, as printf 'bif_%064d' 0 | sha256sum gives it. */
    assert_true(
        token_text_is_whole("bif_0000000000000000000000000000000000000000000000000000000000000000226f56f0"));
    for (size_t i = 0; i < strlen(one); i++) { /* every mistyped digit is noticed */
        char wrong[TOKEN_TEXT_SIZE];
        memcpy(wrong, one, sizeof wrong);
        wrong[i] = wrong[i] == '7' ? '8' : '7';
        assert_false(token_text_is_whole(wrong));
    }
    one[75] = 0;
    assert_false(token_text_is_whole(one));
    assert_false(token_text_is_whole(""));
    assert_true(token_text_has_prefix("bif_"));
    assert_false(token_text_has_prefix("bif"));
}

static void test_scopes(void **state)
{
    (void)state;
    char text[TOKEN_SCOPES_SIZE];
    assert_int_equal(token_scopes_parse("read"), TOKEN_SCOPE_READ);
    assert_int_equal(token_scopes_parse(" sweep , read"), TOKEN_SCOPE_READ | TOKEN_SCOPE_SWEEP);
    assert_int_equal(token_scopes_parse("read,sweep,worker,admin"), 15);
    static const char *const wrong[] = {"", ",", "read,", "reads", "Read", "read;sweep", "read sweep", " "};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(token_scopes_parse(wrong[i]), 0);
    token_scopes_format(15, text);
    assert_string_equal(text, "read,sweep,worker,admin");
    assert_true(token_scopes_allow(TOKEN_SCOPE_SWEEP, TOKEN_SCOPE_SWEEP));
    assert_false(token_scopes_allow(TOKEN_SCOPE_SWEEP, TOKEN_SCOPE_READ));
    assert_false(
        token_scopes_allow(TOKEN_SCOPE_READ | TOKEN_SCOPE_SWEEP | TOKEN_SCOPE_WORKER, TOKEN_SCOPE_ADMIN));
    assert_true(token_scopes_allow(TOKEN_SCOPE_ADMIN, TOKEN_SCOPE_WORKER));
}

static void test_life(void **state)
{
    struct fixture *fixture = *state;
    char text[TOKEN_TEXT_SIZE], digest[DIGEST_SHA256_HEX_SIZE], kept[DIGEST_SHA256_HEX_SIZE];
    struct token_row row;
    int64_t before = 0, after = 0;
    uint64_t version = store_version(fixture->store);
    OK(tokens_version(fixture->store, &before, &err));
    int64_t id = create(fixture, "ci", TOKEN_SCOPE_READ | TOKEN_SCOPE_SWEEP, text);
    OK(tokens_version(fixture->store, &after, &err));
    assert_int_equal(after, before + 1);
    OK(tokens_get(fixture->store, id, &row, &err));
    assert_string_equal(row.name, "ci");
    assert_int_equal(row.scopes, 3);
    assert_int_equal(row.expires_ms, 0);
    assert_int_equal(row.last_used_ms, 0);
    OK(digest_sha256_hex(text, strlen(text), digest, &err));
    digest_to_hex(row.digest, sizeof row.digest, kept);
    assert_string_equal(kept, digest);
    OK(tokens_touch(fixture->store, id, 1234, &err));
    OK(tokens_touch(fixture->store, id, 1000, &err)); /* does not go back */
    OK(tokens_find(fixture->store, "ci", &row, &err));
    assert_int_equal(row.last_used_ms, 1234);
    OK(tokens_revoke(fixture->store, id, NULL, &err));
    FAILS(ERR_CONFLICT, tokens_revoke(fixture->store, id, NULL, &err));
    FAILS(ERR_NOT_FOUND, tokens_revoke(fixture->store, id + 7, NULL, &err));
    FAILS(ERR_NOT_FOUND, tokens_find(fixture->store, "ci", &row, &err));
    char number[24];
    (void)snprintf(number, sizeof number, "%d", (int)id);
    OK(tokens_find(fixture->store, number, &row, &err));
    assert_true(row.revoked_ms > 0);
    OK(tokens_touch(fixture->store, id, 2000, &err)); /* it was used before, and is noted now */
    OK(tokens_get(fixture->store, id, &row, &err));
    assert_int_equal(row.last_used_ms, 2000);
    OK(tokens_version(fixture->store, &after, &err));
    assert_int_equal(after, before + 2);
    /* No read shows tokens, so no client's copy of a read became old. */
    assert_int_equal(store_version(fixture->store), version);
    /* A name is free again, a number never is. */
    assert_true(create(fixture, "ci", TOKEN_SCOPE_READ, text) > id);
}

static void test_refused(void **state)
{
    struct fixture *fixture = *state;
    char text[TOKEN_TEXT_SIZE];
    static const char *const names[] = {"",
                                        "a b",
                                        "12",
                                        "-",
                                        "caf\xc3\xa9",
                                        "a/b",
                                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct token_request request = {.name = names[i], .scopes = 1};
        FAILS(ERR_INVALID, tokens_create(fixture->store, &request, text, NULL, &err));
    }
    struct token_request none = {.name = "a"};
    FAILS(ERR_INVALID, tokens_create(fixture->store, &none, text, NULL, &err));
    struct token_request late = {.name = "a", .scopes = 1, .expires_ms = 1000};
    FAILS(ERR_INVALID, tokens_create(fixture->store, &late, text, NULL, &err));
    (void)create(fixture, "a", 1, text);
    struct token_request again = {.name = "a", .scopes = 1};
    FAILS(ERR_CONFLICT, tokens_create(fixture->store, &again, text, NULL, &err));
}

static int count_row(void *context, const struct token_row *row)
{
    assert_true(row->id > 0);
    ++*(int *)context;
    return 0;
}

static void test_bound(void **state)
{
    struct fixture *fixture = *state;
    char text[TOKEN_TEXT_SIZE];
    struct connection *connection = NULL;
    int count = 0;
    (void)create(fixture, "first", 1, text);
    OK(store_write_begin(fixture->store, CONNECTION_DURABILITY_CRASH, &connection, &err));
    OK(connection_exec(connection,
                       "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999) "
                       "INSERT INTO tokens (name, digest, scopes, created_ms) "
                       "SELECT 'n' || i, printf('%064x', i), 'read', 1 FROM n",
                       &err));
    OK(store_write_end(fixture->store, 0, &err));
    struct token_request more = {.name = "more", .scopes = 1};
    FAILS(ERR_LIMIT, tokens_create(fixture->store, &more, text, NULL, &err));
    OK(tokens_list(fixture->store, 0, 100, count_row, &count, &err));
    assert_int_equal(count, 100);
    count = 0;
    OK(tokens_revoke(fixture->store, 1, NULL, &err));
    OK(tokens_list_live(fixture->store, count_row, &count, &err));
    assert_int_equal(count, LIMIT_TOKENS - 1);
    OK(tokens_create(fixture->store, &more, text, NULL, &err));
}

/* Another process makes a token while this one has the store open and writes. */
static void test_beside(void **state)
{
    struct fixture *fixture = *state;
    char text[TOKEN_TEXT_SIZE];
    struct token_row row;
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        struct store *beside = NULL;
        struct err err = ERR_INIT;
        struct token_request request = {.name = "beside", .scopes = 4};
        int failed = store_open(fixture->path, &beside, &err) != ERR_CONFLICT ||
                     store_open_shared(fixture->path, &beside, &err) ||
                     tokens_create(beside, &request, text, NULL, &err);
        store_close(beside);
        _exit(failed);
    }
    for (int i = 0; i < 20; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "own%d", i);
        (void)create(fixture, name, 1, text);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    OK(tokens_find(fixture->store, "beside", &row, &err));
    assert_int_equal(row.scopes, TOKEN_SCOPE_WORKER);
}

static void test_other_version(void **state)
{
    struct fixture *fixture = *state;
    struct store *beside = NULL;
    struct connection *connection = NULL;
    OK(store_write_begin(fixture->store, CONNECTION_DURABILITY_CRASH, &connection, &err));
    OK(connection_exec(connection, "PRAGMA user_version = 1", &err));
    OK(store_write_end(fixture->store, 0, &err));
    FAILS(ERR_UNSUPPORTED, store_open_shared(fixture->path, &beside, &err));
}

#define STORED(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text), cmocka_unit_test(test_scopes),
        STORED(test_life),           STORED(test_refused),
        STORED(test_bound),          STORED(test_beside),
        STORED(test_other_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
