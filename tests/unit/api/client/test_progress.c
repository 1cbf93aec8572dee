/* Several sweeps as one line. */
#include "tests/unit/store/fixture.h"

#include "api/client/progress.h"

#include <math.h>
#include <string.h>

static struct client_progress part_of(const char *state, int64_t total, int64_t done, int64_t fetched,
                                      int64_t expected, double rate, double left)
{
    struct client_progress part = {.total = total,
                                   .done = done,
                                   .bytes_fetched = fetched,
                                   .bytes_expected = expected,
                                   .rate_bytes_per_s = rate,
                                   .seconds_left = left,
                                   .wait_seconds = NAN};
    (void)snprintf(part.state, sizeof part.state, "%s", state);
    return part;
}

static void check(const struct client_progress *parts, size_t count, size_t width, int has_bar,
                  const char *expected)
{
    struct client_progress_sum sum = {0};
    char text[512];
    for (size_t i = 0; i < count; i++)
        client_progress_add(&sum, &parts[i]);
    client_progress_format_sum(&sum, width, has_bar, text, sizeof text);
    assert_string_equal(text, expected);
}

static void test_sum(void **state)
{
    struct client_progress parts[] = {
        part_of("done", 10, 10, 1000000, 2000000, 5e5, 0.0),
        part_of("running", 10, 5, 500000, 1000000, 1e4, 50.0),    /* 500 kB at 10 kB/s */
        part_of("running", 20, 2, 1000000, 10000000, 9e4, 100.0), /* 9 MB at 90 kB/s */
        part_of("planning", 0, 0, 0, 0, NAN, NAN),
    };
    (void)state;
    check(parts, 1, 200, 0, "1 of 1 sweeps ended; 10/10 revisions, 1.0 MB of 1.0 MB");
    check(parts, 2, 200, 0, "1 of 2 sweeps ended; 15/20 revisions, 1.5 MB of 2.0 MB, 10.0 kB/s, 50 s left");
    /* together 9.5 MB at 100 kB/s: neither the larger of both times nor their sum */
    check(parts + 1, 2, 200, 0,
          "0 of 2 sweeps ended; 7/30 revisions, 1.5 MB of 11.0 MB, 100 kB/s, 1:35 min left");
    check(parts, 4, 200, 0,
          "1 of 4 sweeps ended, 1 being planned; 17/40 revisions, 2.5 MB of 12.0 MB, 100 kB/s, 1:35 min "
          "left");
    parts[3] = part_of("running", 10, 5, 500000, 75500000, 1e4, 7500.0);
    check(parts + 3, 1, 200, 0,
          "0 of 1 sweeps ended; 5/10 revisions, 500 kB of 75.5 MB, 10.0 kB/s, 2:05 h left");
    check(parts, 1, 64, 1, "1 of 1 sweeps ended; [#######] 10/10 revisions, 1.0 MB of 1.0 MB");
    check(parts, 4, 10, 1, "1 of 4 swe");
    /* where there is less room, how fast goes first, then how much: how long it takes stays */
    check(parts + 1, 1, 78, 1, "0 of 1 sweeps ended; 5/10 revisions, 500 kB of 1.0 MB, 10.0 kB/s, 50 s left");
    check(parts + 1, 1, 74, 1, "0 of 1 sweeps ended; [###....] 5/10 revisions, 500 kB of 1.0 MB, 50 s left");
    check(parts + 1, 1, 50, 1, "0 of 1 sweeps ended; 5/10 revisions, 50 s left");
    parts[0].failed = 3;
    parts[0].done = 7;
    check(parts, 1, 200, 0, "1 of 1 sweeps ended; 10/10 revisions, 1.0 MB of 1.0 MB, 3 failed");
    parts[0].done = 2;
    parts[0].cancelled = 5; /* which nobody measured */
    check(parts, 1, 200, 0, "1 of 1 sweeps ended; 5/10 revisions, 1.0 MB of 1.0 MB, 3 failed, 5 cancelled");
}

/* One whose queue has not come to it yet has no time of its own: the others' speed is all there is. */
static void test_one_stands_still(void **state)
{
    struct client_progress parts[] = {
        part_of("running", 10, 5, 500000, 1000000, 1e4, 50.0),
        part_of("running", 10, 0, 0, 1000000, 0.0, NAN),
    };
    (void)state;
    check(parts, 2, 200, 0,
          "0 of 2 sweeps ended; 5/20 revisions, 500 kB of 2.0 MB, 10.0 kB/s, 2:30 min left");
    (void)snprintf(parts[1].wait_reason, sizeof parts[1].wait_reason, "request budget");
    parts[1].wait_seconds = 30.0;
    check(parts, 2, 200, 0,
          "0 of 2 sweeps ended; 5/20 revisions, 500 kB of 2.0 MB, waits for the hub: 30 s, request budget");
    (void)snprintf(parts[1].wait_reason, sizeof parts[1].wait_reason, "no space");
    (void)snprintf(parts[1].wait_detail, sizeof parts[1].wait_detail, "the disk is full");
    check(parts, 2, 200, 0, "0 of 2 sweeps ended; 5/20 revisions, 500 kB of 2.0 MB, waits: the disk is full");
}

/* What a daemon cannot mean. */
static void test_large_numbers(void **state)
{
    struct client_progress parts[] = {
        part_of("running", 1000000000000, 1000000000000, INT64_MAX, INT64_MAX, INFINITY, 1e300),
        part_of("running", 1000000000000, 0, -9, INT64_MAX, -1.0, -1.0),
    };
    struct client_progress_sum sum = {0};
    char text[512];
    (void)state;
    client_progress_add(&sum, &parts[0]);
    client_progress_add(&sum, &parts[1]);
    client_progress_format_sum(&sum, sizeof text - 1, 1, text, sizeof text);
    assert_non_null(strstr(text, "0 of 2 sweeps ended; "));
    assert_non_null(strstr(text, "1000000000000/1000000000000 revisions, "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sum),
        cmocka_unit_test(test_one_stands_still),
        cmocka_unit_test(test_large_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
