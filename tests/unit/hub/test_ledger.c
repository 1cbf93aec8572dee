/* An entry in the ledger is made whatever failed before. */
#include "daemon/hub/ledger.h"

#include "daemon/base/file.h"
#include "tests/unit/base/fixture.h"

#include <stdio.h>

/* The caller's error has words of a search that found nothing; without a budget and with one. */
static void test_an_earlier_failure_is_no_failure(void **state)
{
    const char *folder = *state;
    char entry[512];
    struct cache cache = {0};
    struct err err = ERR_INIT;
    assert_int_equal(cache_init(&cache, folder, REPOSITORY_KIND_MODEL, "garden/rose", &err), 0);
    (void)snprintf(entry, sizeof entry, "%s/fetched/models--garden--rose@a", folder);
    for (uint64_t budget_bytes = 0; budget_bytes <= 100; budget_bytes += 100) {
        (void)err_set(&err, ERR_NOT_FOUND, "no file was seen before");
        assert_int_equal(ledger_reserve(folder, &cache, "a", 10, budget_bytes, &err), 0);
        assert_true(file_exists(entry));
        (void)err_set(&err, ERR_NOT_FOUND, "no file was seen before");
        assert_int_equal(ledger_reserve(folder, &cache, "a", 10, budget_bytes, &err), 0);
        ledger_remove(folder, &cache, "a");
        assert_false(file_exists(entry));
    }
    assert_int_equal(ledger_reserve(folder, &cache, "b", 101, 100, &err), ERR_LIMIT);
    cache_free(&cache);
}

/* What is being written has so much of the budget that nothing that could go would make the room: it stays.
 */
static void test_nothing_goes_in_vain(void **state)
{
    const char *folder = *state;
    char old[512], written[512];
    struct cache cache = {0};
    struct err err = ERR_INIT;
    int lock_fd = -1;
    assert_int_equal(cache_init(&cache, folder, REPOSITORY_KIND_MODEL, "garden/rose", &err), 0);
    (void)snprintf(old, sizeof old, "%s/fetched/models--garden--rose@old", folder);
    (void)snprintf(written, sizeof written, "%s/fetched/models--garden--rose@written", folder);
    assert_int_equal(cache_make_folders(&cache, &err), 0);
    assert_int_equal(ledger_reserve(folder, &cache, "old", 30, 100, &err), 0);
    assert_int_equal(ledger_reserve(folder, &cache, "written", 60, 100, &err), 0);
    assert_int_equal(cache_lock(&cache, "written", &lock_fd, &err), 0);
    assert_int_equal(ledger_reserve(folder, &cache, "new", 50, 100, &err), 1);
    assert_true(file_exists(old));
    assert_int_equal(ledger_reserve(folder, &cache, "new", 40, 100, &err), 0); /* beside what is written */
    assert_false(file_exists(old));
    cache_unlock(lock_fd);
    assert_int_equal(ledger_reserve(folder, &cache, "new", 50, 100, &err), 0); /* and in its place */
    assert_false(file_exists(written));
    cache_free(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_earlier_failure_is_no_failure, fixture_make_folder,
                                        fixture_remove_folder),
        cmocka_unit_test_setup_teardown(test_nothing_goes_in_vain, fixture_make_folder,
                                        fixture_remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
