/* Which hub has answered: kept in a folder, and of one address alone. */
#include "daemon/hub/reached.h"

#include "tests/unit/base/fixture.h"

#include <stdio.h>

#define HUB "https://hub.example/hf"

static void test_reached(void **state)
{
    const char *folder = *state;
    char path[300];
    assert_false(reached_read(folder, HUB));
    reached_write(folder, HUB);
    assert_true(reached_read(folder, HUB));
    assert_false(reached_read(folder, HUB "2"));
    assert_false(reached_read(folder, "https://hub.example/h"));
    assert_false(reached_read(folder, ""));
    reached_write(folder, "http://other");
    assert_false(reached_read(folder, HUB));
    assert_true(reached_read(folder, "http://other"));
    (void)snprintf(path, sizeof path, "%s/hub-reached", folder);
    FILE *file = fopen(path, "w"); /* what was cut off, or is of somebody else, knows none */
    assert_non_null(file);
    (void)fputs("http://other", file);
    assert_int_equal(fclose(file), 0);
    assert_false(reached_read(folder, "http://other"));
    (void)snprintf(path, sizeof path, "%s/none", folder);
    reached_write(path, HUB);
    assert_false(reached_read(path, HUB));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reached, fixture_make_folder, fixture_remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
