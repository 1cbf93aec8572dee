/* Which hub has answered, and of what: kept in a folder, and of one address alone. */
#include "daemon/hub/reached.h"

#include "tests/unit/base/fixture.h"

#include <stdio.h>

#define HUB "https://hub.example/hf"

static char taken[1000];

static void take(void *context, const char *url)
{
    size_t length = strlen(taken);
    (void)snprintf(taken + length, sizeof taken - length, "<%s>", url);
    assert_ptr_equal(context, taken);
}

static int reads(const char *folder, const char *endpoint)
{
    taken[0] = '\0';
    return reached_read(folder, endpoint, take, taken);
}

static void test_reached(void **state)
{
    const char *folder = *state;
    assert_false(reads(folder, HUB));
    reached_write(folder, HUB, "");
    assert_true(reads(folder, HUB));
    assert_string_equal(taken, "");
    assert_false(reads(folder, HUB "2"));
    assert_false(reads(folder, "https://hub.example/h"));
    assert_false(reads(folder, ""));
    reached_write(folder, "http://other", "http://cdn/a\nhttp://other/b\n");
    assert_false(reads(folder, HUB));
    assert_string_equal(taken, "");
    assert_true(reads(folder, "http://other"));
    assert_string_equal(taken, "<http://cdn/a><http://other/b>");
    char path[300];
    (void)snprintf(path, sizeof path, "%s/none", folder);
    reached_write(path, HUB, "");
    assert_false(reads(path, HUB));
}

/* What was cut off, or is of somebody else, knows none. */
static void test_spoilt(void **state)
{
    static const char *const texts[] = {"", "\n", "http://other", "http://other\r\n", "x\nhttp://other\n"};
    char path[300];
    (void)snprintf(path, sizeof path, "%s/hub-reached", (const char *)*state);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        (void)fputs(texts[i], file);
        assert_int_equal(fclose(file), 0);
        assert_false(reads(*state, "http://other"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reached, fixture_make_folder, fixture_remove_folder),
        cmocka_unit_test_setup_teardown(test_spoilt, fixture_make_folder, fixture_remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
