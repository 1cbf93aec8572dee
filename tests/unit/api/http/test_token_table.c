/* The tokens in memory: states, what changes beside them, and that no use is lost. */
#include "tests/unit/store/fixture.h"

#include "api/http/token_table.h"

#define TOKENS 150 /* more than are written at once */
#define DAY_MS INT64_C(86400000)

struct used {
    int count;
    int64_t at_ms;
};

static int count_used(void *context, const struct token_row *row)
{
    struct used *used = context;
    used->count += row->last_used_ms == used->at_ms;
    return 0;
}

static int uses_at(struct store *store, int64_t at_ms)
{
    struct used used = {.at_ms = at_ms};
    OK(tokens_list(store, 0, 1000, count_used, &used, &err));
    return used.count;
}

static int64_t make(struct store *store, int number, int64_t expires_ms, char text[TOKEN_TEXT_SIZE])
{
    char name[32];
    struct token_row row;
    (void)snprintf(name, sizeof name, "token-%d", number);
    struct token_request request = {.name = name, .scopes = TOKEN_SCOPE_READ, .expires_ms = expires_ms};
    OK(tokens_create(store, &request, text, &row, &err));
    return row.id;
}

static void test_no_use_is_lost(void **state)
{
    struct fixture *fixture = *state;
    struct api_token_table *table = NULL;
    struct api_identity identity;
    static char texts[TOKENS][TOKEN_TEXT_SIZE];
    char another[TOKEN_TEXT_SIZE];
    int64_t now_ms = clock_wall_ms();
    for (int i = 0; i < TOKENS; i++)
        (void)make(fixture->store, i, 0, texts[i]);
    OK(api_token_table_new(fixture->store, NULL, &table, &err));
    OK(api_token_table_replace_file_token(table, "there was no file", &err));
    assert_int_equal(api_token_table_find(table, "there was no file", now_ms, &identity), API_TOKEN_UNKNOWN);
    for (int i = 0; i < TOKENS; i++)
        assert_int_equal(api_token_table_find(table, texts[i], now_ms, &identity), API_TOKEN_VALID);
    assert_int_equal(uses_at(fixture->store, now_ms), 0);
    /* A new token makes the table read all of them again. */
    (void)make(fixture->store, TOKENS, 0, another);
    assert_int_equal(api_token_table_find(table, another, now_ms, &identity), API_TOKEN_VALID);
    assert_int_equal(uses_at(fixture->store, now_ms), TOKENS);
    api_token_table_save_uses(table);
    assert_int_equal(uses_at(fixture->store, now_ms), TOKENS + 1);
    /* Within a minute nothing is news; after that, and when the table goes, it is. */
    for (int i = 0; i < TOKENS; i++)
        (void)api_token_table_find(table, texts[i], now_ms + 59000, &identity);
    api_token_table_save_uses(table);
    assert_int_equal(uses_at(fixture->store, now_ms), TOKENS + 1);
    for (int i = 0; i < TOKENS; i++)
        (void)api_token_table_find(table, texts[i], now_ms + 60000, &identity);
    api_token_table_free(table);
    assert_int_equal(uses_at(fixture->store, now_ms + 60000), TOKENS);
}

static void test_states(void **state)
{
    struct fixture *fixture = *state;
    struct api_token_table *table = NULL;
    struct api_identity identity;
    char text[TOKEN_TEXT_SIZE], short_lived[TOKEN_TEXT_SIZE], wrong[TOKEN_TEXT_SIZE];
    int64_t now_ms = clock_wall_ms();
    int64_t id = make(fixture->store, 1, 0, text);
    (void)make(fixture->store, 2, now_ms + DAY_MS, short_lived);
    OK(api_token_table_new(fixture->store, "of the file", &table, &err));
    assert_int_equal(api_token_table_count(table, now_ms), 3);
    assert_int_equal(api_token_table_count(table, now_ms + 2 * DAY_MS), 2);
    assert_int_equal(api_token_table_find(table, text, now_ms, &identity), API_TOKEN_VALID);
    assert_string_equal(identity.name, "token-1");
    assert_int_equal(identity.scopes, TOKEN_SCOPE_READ);
    assert_int_equal(api_token_table_find(table, "of the file", now_ms, &identity), API_TOKEN_VALID);
    assert_int_equal(identity.scopes, TOKEN_SCOPE_ADMIN);
    assert_int_equal(api_token_table_find(table, "of the files", now_ms, &identity), API_TOKEN_UNKNOWN);
    assert_string_equal(identity.name, "");
    assert_int_equal(api_token_table_find(table, "", now_ms, &identity), API_TOKEN_UNKNOWN);
    OK(api_token_table_replace_file_token(table, "of the file", &err));
    struct err fault = ERR_INIT;
    assert_int_equal(api_token_table_replace_file_token(table, "another", &fault), 1);
    assert_int_equal(api_token_table_find(table, "of the file", now_ms, &identity), API_TOKEN_UNKNOWN);
    assert_int_equal(api_token_table_find(table, "another", now_ms, &identity), API_TOKEN_VALID);
    assert_int_equal(api_token_table_count(table, now_ms), 3);
    assert_int_equal(api_token_table_find(table, short_lived, now_ms + DAY_MS, &identity), API_TOKEN_EXPIRED);
    /* That of the file allows everything, also one that was made for less and is over. */
    assert_int_equal(api_token_table_replace_file_token(table, short_lived, &fault), 1);
    assert_int_equal(api_token_table_find(table, short_lived, now_ms + DAY_MS, &identity), API_TOKEN_VALID);
    assert_int_equal(identity.scopes, TOKEN_SCOPE_ADMIN);
    assert_int_equal(api_token_table_replace_file_token(table, "another", &fault), 1);
    memcpy(wrong, text, sizeof wrong);
    wrong[10] = wrong[10] == 'a' ? 'b' : 'a';
    assert_int_equal(api_token_table_find(table, wrong, now_ms, &identity), API_TOKEN_MISTYPED);
    OK(tokens_revoke(fixture->store, id, NULL, &err));
    struct err err = ERR_INIT;
    assert_int_equal(api_token_table_refresh(table, &err), 1);
    assert_int_equal(api_token_table_refresh(table, &err), 0);
    assert_int_equal(api_token_table_find(table, text, now_ms, &identity), API_TOKEN_UNKNOWN);
    api_token_table_free(table);
    api_token_table_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_use_is_lost, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_states, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
