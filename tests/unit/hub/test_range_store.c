/* The budget of kept ranges holds, though they are more than are counted at once. */
#define KEPT_MAX 8
#include "daemon/hub/range_store.c" // NOLINT(bugprone-suspicious-include): 100,000 files would take long

#include "tests/unit/base/fixture.h"

#include <inttypes.h>
#include <time.h>

#define RANGE_BYTES 100

static unsigned char data[RANGE_BYTES];

static void keep(const struct range_store *store, const char *blob, uint64_t begin)
{
    OK(range_store_write(store, blob, begin, begin + RANGE_BYTES, data, &err));
}

static int has(const struct range_store *store, const char *blob, uint64_t begin)
{
    unsigned char read[RANGE_BYTES];
    return range_store_read(store, blob, begin, begin + RANGE_BYTES, read);
}

/* Sets when it was used last, since a test makes all of them in one moment. */
static void age(const struct range_store *store, const char *blob, uint64_t begin, time_t used_s)
{
    const struct timespec times[2] = {{.tv_sec = used_s}, {.tv_sec = used_s}};
    char hex[DIGEST_SHA256_HEX_SIZE], path[512];
    OK(digest_sha256_hex(data, sizeof data, hex, &err));
    (void)snprintf(path, sizeof path, "%s/%s/%s/%" PRIu64 "-%" PRIu64 ".%s", store->state_folder,
                   store->shelf, blob, begin, begin + RANGE_BYTES, hex);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_the_least_recently_used_goes(void **state)
{
    const struct range_store store = {*state, "ranges", (uint64_t)3 * RANGE_BYTES};
    for (uint64_t i = 0; i < 3; i++) {
        keep(&store, "one", i * RANGE_BYTES);
        age(&store, "one", i * RANGE_BYTES, (time_t)(1000 + i));
    }
    assert_true(has(&store, "one", 0)); /* which is a use */
    keep(&store, "two", 0);
    assert_true(has(&store, "one", 0));
    assert_false(has(&store, "one", RANGE_BYTES));
    assert_true(has(&store, "two", 0));
    assert_int_equal(range_store_visit(&store, NULL, NULL), 3 * RANGE_BYTES);
}

/* They were kept without a budget; one is set now, into which as many fit as are counted. */
static void test_more_than_are_counted(void **state)
{
    const struct range_store unbounded = {*state, "ranges", 0};
    const struct range_store store = {*state, "ranges", (uint64_t)10 * RANGE_BYTES};
    struct err err = ERR_INIT;
    for (uint64_t i = 0; i < 40; i++)
        keep(&unbounded, i % 2 ? "odd" : "even", i * RANGE_BYTES);
    for (uint64_t i = 0; i < 14; i++)
        (void)range_store_write(&store, "new", i * RANGE_BYTES, (i + 1) * RANGE_BYTES, data, &err);
    assert_true(range_store_visit(&store, NULL, NULL) <= store.budget_bytes);
    assert_true(has(&store, "new", (uint64_t)13 * RANGE_BYTES));
}

/* Says when all were counted last. */
static void set_counted(const char *state_folder, uint64_t bytes, long long at_s)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/ranges/.lock", state_folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fprintf(file, "%" PRIu64 " %lld ", bytes, at_s) > 0);
    assert_int_equal(fclose(file), 0);
}

/* All are looked at when the budget may be exceeded, and once an hour; not for each that is kept. */
static void test_when_all_are_counted(void **state)
{
    const struct range_store unbounded = {*state, "ranges", 0};
    const struct range_store store = {*state, "ranges", (uint64_t)4 * RANGE_BYTES};
    const long long now = (long long)time(NULL);
    keep(&store, "one", 0);
    for (uint64_t i = 1; i < 6; i++) {
        keep(&unbounded, "others", i * RANGE_BYTES);
        age(&store, "others", i * RANGE_BYTES, (time_t)(1000 + i));
    }
    set_counted(*state, RANGE_BYTES, now); /* untold, as by a program that did not count */
    keep(&store, "one", RANGE_BYTES);
    assert_int_equal(range_store_visit(&store, NULL, NULL), 7 * RANGE_BYTES); /* they were not looked at */
    set_counted(*state, (uint64_t)3 * RANGE_BYTES, now - 4000);
    keep(&store, "one", (uint64_t)2 * RANGE_BYTES);
    assert_int_equal(range_store_visit(&store, NULL, NULL), 4 * RANGE_BYTES);
    assert_true(has(&store, "others", (uint64_t)5 * RANGE_BYTES));
    keep(&store, "one", (uint64_t)3 * RANGE_BYTES); /* seems to exceed it, and does */
    assert_int_equal(range_store_visit(&store, NULL, NULL), 4 * RANGE_BYTES);
    assert_false(has(&store, "one", 0)); /* the other one was used, just now */
    keep(&unbounded, "others", 0);
    keep(&store, "one", (uint64_t)4 * RANGE_BYTES); /* what was added without a budget is counted */
    assert_int_equal(range_store_visit(&store, NULL, NULL), 4 * RANGE_BYTES);
}

static void expect_known(const char *folder, const char *what, int is_known)
{
    struct tally tally;
    OK(tally_open(folder, what, &tally, &err));
    assert_int_equal(tally_has_room(&tally, 10, 50), is_known);
    tally_close(&tally);
}

static void test_tally(void **state)
{
    struct tally tally;
    OK(tally_open(*state, "/cache", &tally, &err));
    assert_false(tally_has_room(&tally, 0, UINT64_MAX));
    OK(tally_count(&tally, 30, 10, &err));
    tally_close(&tally);
    expect_known(*state, "/cache", 1);
    expect_known(*state, "/cach", 0);
    OK(tally_open(*state, "/cache", &tally, &err));
    assert_true(tally_has_room(&tally, 20, 60));
    assert_false(tally_has_room(&tally, 21, 60));
    assert_false(tally_has_room(&tally, UINT64_MAX, UINT64_MAX));
    FAILS(ERR_LIMIT, "can be counted", tally_add(&tally, UINT64_MAX, &err));
    OK(tally_count(&tally, 1, 2, &err));
    OK(tally_add(&tally, 7, &err));
    FAILS(ERR_IO, "cannot be emptied", tally_forget(&(struct tally){.fd = -1}, &err));
    tally_close(&tally);
    expect_known(*state, "/cache", 1);
    OK(tally_open(*state, "/cache", &tally, &err));
    OK(tally_forget(&tally, &err));
    tally_close(&tally);
    expect_known(*state, "/cache", 0);
}

static void write_text(const char *folder, const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/.lock", folder);
    OK(file_write_atomic(path, text, strlen(text), 0600, &err));
}

static void test_spoiled_tally(void **state)
{
    static const char *const texts[] = {"", "1", "x 1 ", "1 -9223372036854775808 ", "1 9223372036854775807 "};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        write_text(*state, texts[i]);
        expect_known(*state, "", 0);
    }
}

static void test_what_goes_at_once(void **state)
{
    (void)state;
    assert_int_equal(tally_spare(1000, 10, 1600), 0);
    assert_int_equal(tally_spare(1001, 10, 1600), 100);
    assert_int_equal(tally_spare(1001, 1550, 1600), 50);
    assert_int_equal(tally_spare(1001, 1600, 1600), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_least_recently_used_goes, fixture_make_folder,
                                        fixture_remove_folder),
        cmocka_unit_test_setup_teardown(test_more_than_are_counted, fixture_make_folder,
                                        fixture_remove_folder),
        cmocka_unit_test_setup_teardown(test_when_all_are_counted, fixture_make_folder,
                                        fixture_remove_folder),
        cmocka_unit_test_setup_teardown(test_tally, fixture_make_folder, fixture_remove_folder),
        cmocka_unit_test_setup_teardown(test_spoiled_tally, fixture_make_folder, fixture_remove_folder),
        cmocka_unit_test(test_what_goes_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
