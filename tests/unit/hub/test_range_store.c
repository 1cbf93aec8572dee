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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_least_recently_used_goes, fixture_make_folder,
                                        fixture_remove_folder),
        cmocka_unit_test_setup_teardown(test_more_than_are_counted, fixture_make_folder,
                                        fixture_remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
