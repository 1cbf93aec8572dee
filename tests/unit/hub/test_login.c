/* When a browser's login ends, by what Python's client keeps of it. */
#include "daemon/hub/login.h"

#include "tests/unit/base/fixture.h"

static const struct {
    const char *text;
    int64_t expiry_ms;
} cases[] = {
    {"[oauth-me]\nhf_token = hf_one\nrefresh_token = r\nexpires_at = 1000000000\n\n", 1000000000000},
    {"[a]\nhf_token = hf_two\nexpires_at = 5\n[b]\nexpires_at: 7\r\n  hf_token=hf_one \t\r\n[c]\nexpires_at "
     "= 9\n",
     7000},
    {"[a]\nexpires_at = 5\n[b]\nhf_token = hf_one", 0}, /* made in the settings */
    {"[a]\nhf_token = hf_one1\nexpires_at = 5\n", 0},
    {"[a]\nhf_tokens = hf_one\nexpires_at = 5\n", 0},
    {"[a]\nhf_token = hf_one\nexpires_at = soon\n", 0},
    {"[a]\nhf_token = hf_one\nexpires_at = -5\n", 0},
    {"[a]\nhf_token = hf_one\nexpires_at = 99999999999999999999\n", 0},
    {"[a]\nhf_token = hf_one\nexpires_at = \n", 0},
    {"hf_token\nexpires_at\n=\n[", 0},
    {"", 0},
};

static void test_expiry(void **state)
{
    const char *token = fixture_path(*state, "token");
    char beside[300];
    (void)snprintf(beside, sizeof beside, "%s/stored_tokens", (const char *)*state);
    assert_int_equal(login_expiry_ms(token, "hf_one"), 0); /* no such file */
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        fixture_write_text(beside, cases[i].text);
        if (login_expiry_ms(token, "hf_one") != cases[i].expiry_ms)
            fail_msg("case %zu", i);
    }
    assert_int_equal(login_expiry_ms("no-such-folder/token", "hf_one"), 0);
    assert_int_equal(login_expiry_ms("no-folder-at-all", "hf_one"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_expiry, fixture_make_folder, fixture_remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
