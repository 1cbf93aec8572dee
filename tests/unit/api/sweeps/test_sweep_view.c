/* What a sweep's progress says: its rate and what is left, from bytes and from revisions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/sweeps/sweep_view.h"
#include "daemon/base/clock.h"
#include "daemon/base/json_text.h"

#include <math.h>

/* The numbers of a sweep that has run for ten seconds. */
struct numbers {
    double seconds, rate, left; /* NaN: null */
};

static double number_of(const json_t *progress, const char *name)
{
    const json_t *value = json_object_get(progress, name);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static struct numbers read_numbers(const struct sweep_row *row)
{
    struct buf body;
    struct api_json json;
    struct err err = ERR_INIT;
    struct numbers numbers;
    buf_init(&body, 65536);
    api_json_init(&json, &body);
    assert_int_equal(api_sweep_render(NULL, row, 0, NULL, &json, &err), 0);
    json_t *sweep = json_text_load(buf_text(&body), body.size, 0, NULL);
    const json_t *progress = json_object_get(sweep, "progress");
    assert_non_null(progress);
    numbers = (struct numbers){number_of(progress, "seconds"), number_of(progress, "rate_bytes_per_s"),
                               number_of(progress, "seconds_left")};
    json_decref(sweep);
    buf_free(&body);
    return numbers;
}

static void assert_near(double value, double expected)
{
    if (!(value >= expected * 0.999 && value <= expected * 1.5)) /* the machine may be slow */
        fail_msg("%g instead of %g", value, expected);
}

static void whichever_is_sooner(void **state)
{
    struct sweep_row row = {.id = 1,
                            .model = "garden/neox",
                            .state = SWEEP_STATE_RUNNING,
                            .metrics = "[\"statistics\"]",
                            .started_ms = clock_wall_ms() - 10000,
                            .bytes_fetched = 1000,
                            .bytes_expected = 11000};
    (void)state;
    row.tasks[TASK_STATE_DONE] = 2;
    row.tasks[TASK_STATE_FAILED] = 1;
    row.tasks[TASK_STATE_CANCELLED] = 2;
    row.tasks[TASK_STATE_CLAIMED] = 1;
    row.tasks[TASK_STATE_QUEUED] = 4;
    struct numbers numbers = read_numbers(&row);
    assert_near(numbers.seconds, 10);
    assert_true(numbers.rate <= 100 && numbers.rate > 60);
    assert_near(numbers.left, 10); /* five of ten have ended; the bytes would take a hundred seconds */
    row.bytes_fetched = 10000;
    assert_near(read_numbers(&row).left, 1);
    row.bytes_fetched = 0; /* of a folder */
    assert_near(read_numbers(&row).left, 10);
}

static void what_has_ended_stands_still(void **state)
{
    struct sweep_row row = {.id = 1,
                            .model = "garden/neox",
                            .state = SWEEP_STATE_CANCELLED,
                            .metrics = "[]",
                            .started_ms = 1000,
                            .finished_ms = 11000,
                            .bytes_fetched = 5000,
                            .bytes_expected = 9000};
    (void)state;
    struct numbers numbers = read_numbers(&row);
    assert_true(numbers.seconds == 10 && numbers.rate == 500 && numbers.left == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whichever_is_sooner),
        cmocka_unit_test(what_has_ended_stands_still),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
