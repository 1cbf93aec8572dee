#include "tests/unit/store/fixture.h"

#include "store/announcements.h"

#define SECRET "sixteen letters!"

static struct watch_row watch(struct fixture *fixture, const char *url)
{
    struct watch_row row;
    struct watch_setting setting = {.model_id = fixture->model_id,
                                    .timetable = {.every_minutes = 5},
                                    .request = "{}",
                                    .webhook_url = url,
                                    .webhook_secret = url[0] ? SECRET : NULL};
    OK(watches_put(fixture->store, &setting, NULL, &err));
    OK(watches_find(fixture->store, "garden/neox-tiny", &row, &err));
    return row;
}

static int64_t pending(struct fixture *fixture)
{
    int64_t counts[DELIVERY_STATE_COUNT];
    OK(deliveries_count(fixture->store, counts, &err));
    return counts[DELIVERY_STATE_PENDING];
}

static int nobody(void *context, int64_t id, const char *url)
{
    (void)context;
    (void)id;
    (void)url;
    return 0;
}

static void end_sweep(struct fixture *fixture)
{
    (void)fixture_sweep(fixture, NULL, 0, 0);
}

static void test_the_end_of_a_sweep_is_owed(void **state)
{
    struct fixture *fixture = *state;
    struct delivery_due due;
    struct buf body;
    int64_t wait = 0, id = 0;
    end_sweep(fixture); /* nobody watches */
    (void)watch(fixture, "");
    end_sweep(fixture); /* nobody is to be told */
    assert_int_equal(pending(fixture), 0);
    FAILS(ERR_NOT_FOUND, deliveries_next(fixture->store, INT64_MAX, nobody, NULL, &due, &wait, &err));
    assert_int_equal(wait, -1);

    struct watch_row made = watch(fixture, "http://127.0.0.1/hook");
    assert_int_equal(made.sweeps_ended, 1);
    end_sweep(fixture);
    struct sweep_request request = {.model_id = fixture->model_id, .request = "{}"};
    OK(sweeps_create(fixture->store, &request, &id, NULL, &err));
    OK(sweeps_cancel(fixture->store, id, &err));
    OK(sweeps_create(fixture->store, &request, &id, NULL, &err));
    struct err reason = {.code = ERR_NETWORK, .message = "no hub"};
    OK(sweeps_fail(fixture->store, id, &reason, &err));
    assert_int_equal(pending(fixture), 3);
    fixture_reopen(fixture);
    OK(deliveries_next(fixture->store, INT64_MAX, nobody, NULL, &due, &wait, &err));
    assert_int_equal(due.row.event, DELIVERY_EVENT_SWEEP_FINISHED);
    assert_int_equal(due.row.sweep_id, 3);
    assert_int_equal(strlen(due.row.name), DELIVERIES_NAME_SIZE - 1);
    assert_string_equal(due.watch.webhook_secret, SECRET);
    assert_string_equal(due.row.model, "garden/neox-tiny");
    buf_init(&body, 100);
    OK(deliveries_get_body(fixture->store, due.row.id, &body, &err));
    assert_int_equal(body.size, 0);
    OK(deliveries_set_body(fixture->store, due.row.id, "{\"a\":1}", &err));
    OK(deliveries_set_body(fixture->store, due.row.id, "{\"a\":2}", &err)); /* what was sent stays */
    OK(deliveries_get_body(fixture->store, due.row.id, &body, &err));
    assert_string_equal(buf_text(&body), "{\"a\":1}");
    buf_free(&body);
    (void)watch(fixture, ""); /* the webhook is gone, and so is what it was owed */
    assert_int_equal(pending(fixture), 0);
}

static void test_attempts(void **state)
{
    struct fixture *fixture = *state;
    struct delivery_due due;
    int64_t wait = 0;
    (void)watch(fixture, "http://127.0.0.1/hook");
    end_sweep(fixture);
    int64_t now = clock_wall_ms() + 1000;
    OK(deliveries_next(fixture->store, now, nobody, NULL, &due, &wait, &err));
    struct delivery_attempt failed = {.next_ms = now + 700, .status = 500, .error = "status 500"};
    OK(deliveries_record(fixture->store, due.row.id, &failed, &err));
    FAILS(ERR_NOT_FOUND, deliveries_next(fixture->store, now, nobody, NULL, &due, &wait, &err));
    assert_int_equal(wait, 700);
    OK(deliveries_next(fixture->store, now + 700, nobody, NULL, &due, &wait, &err));
    assert_int_equal(due.row.attempts, 1);
    assert_int_equal(due.row.status, 500);
    assert_string_equal(due.row.error, "status 500");
    struct delivery_attempt done = {.state = DELIVERY_STATE_DELIVERED, .status = 204, .error = ""};
    OK(deliveries_record(fixture->store, due.row.id, &done, &err));
    OK(deliveries_record(fixture->store, due.row.id, &failed, &err)); /* what has ended stays so */
    assert_int_equal(pending(fixture), 0);
    OK(deliveries_record(fixture->store, 9999, &failed, &err));
}

/* What was put off while the clock was wrong does not wait until the clock is there again. */
static void test_a_clock_that_was_set_back(void **state)
{
    struct fixture *fixture = *state;
    struct delivery_due due;
    int64_t wait = 0, now = clock_wall_ms() + 1000;
    (void)watch(fixture, "http://127.0.0.1/hook");
    end_sweep(fixture);
    OK(deliveries_next(fixture->store, now, nobody, NULL, &due, &wait, &err));
    struct delivery_attempt failed = {.next_ms = now + DELIVERIES_PAUSE_LONGEST_MS, .error = "refused"};
    OK(deliveries_record(fixture->store, due.row.id, &failed, &err));
    FAILS(ERR_NOT_FOUND, deliveries_next(fixture->store, now, nobody, NULL, &due, &wait, &err));
    assert_int_equal(wait, DELIVERIES_PAUSE_LONGEST_MS);
    OK(deliveries_next(fixture->store, now - 1, nobody, NULL, &due, &wait, &err));
    assert_int_equal(due.row.attempts, 1);
}

static int count(void *context, const struct delivery_row *row)
{
    (void)row;
    ++*(int *)context;
    return 0;
}

static void test_the_newest_are_kept(void **state)
{
    struct fixture *fixture = *state;
    struct delivery_due due;
    int64_t wait = 0;
    int kept = 0;
    struct watch_row made = watch(fixture, "http://127.0.0.1/hook");
    struct delivery_attempt done = {.state = DELIVERY_STATE_DELIVERED, .status = 200, .error = ""};
    for (int i = 0; i < DELIVERIES_KEPT + 7; i++) {
        end_sweep(fixture);
        OK(deliveries_next(fixture->store, INT64_MAX, nobody, NULL, &due, &wait, &err));
        OK(deliveries_record(fixture->store, due.row.id, &done, &err));
    }
    end_sweep(fixture);
    OK(deliveries_list(fixture->store, made.id, 0, 1000, count, &kept, &err));
    assert_int_equal(kept, DELIVERIES_KEPT + 1); /* and the pending one */
}

static int take(void *context, const char *text)
{
    char *all = context;
    (void)snprintf(all + strlen(all), 256 - strlen(all), "%s|", text);
    return 0;
}

static void test_announcements(void **state)
{
    static const char *const first[] = {"onset a", "stop 5"}, *const second[] = {"stop 5"};
    struct fixture *fixture = *state;
    struct watch_row row;
    char all[256] = "";
    (void)watch(fixture, "http://127.0.0.1/hook");
    FAILS(ERR_NOT_FOUND, announcements_next(fixture->store, 0, &row, &err));
    end_sweep(fixture);
    OK(announcements_next(fixture->store, 0, &row, &err));
    end_sweep(fixture); /* while the first is looked at */
    struct announcement_event event = {DELIVERY_EVENT_ONSET_FOUND, "{}"};
    OK(announcements_record(fixture->store, &row, first, 2, &event, 1, &err));
    assert_int_equal(pending(fixture), 3);
    OK(announcements_list(fixture->store, row.id, take, all, &err));
    assert_string_equal(all, "onset a|stop 5|");
    OK(announcements_next(fixture->store, 0, &row, &err)); /* the second is still to be looked at */
    OK(announcements_record(fixture->store, &row, second, 1, NULL, 0, &err));
    all[0] = 0;
    OK(announcements_list(fixture->store, row.id, take, all, &err));
    assert_string_equal(all, "stop 5|");
    FAILS(ERR_NOT_FOUND, announcements_next(fixture->store, 0, &row, &err));
    OK(watches_delete(fixture->store, "garden/neox-tiny", &err));
    OK(announcements_record(fixture->store, &row, first, 2, &event, 1, &err)); /* deleted meanwhile */
    assert_int_equal(pending(fixture), 0);
}

static int compare_whole(void *context, const char *text)
{
    assert_string_equal(text, context);
    return 0;
}

/* A finding that came back cut would be news again and again. */
static void test_a_long_finding_comes_back_whole(void **state)
{
    struct fixture *fixture = *state;
    struct watch_row row;
    static char text[100000];
    const char *const findings[] = {text};
    memset(text, 'x', sizeof text - 1);
    (void)watch(fixture, "http://127.0.0.1/hook");
    end_sweep(fixture);
    OK(announcements_next(fixture->store, 0, &row, &err));
    OK(announcements_record(fixture->store, &row, findings, 1, NULL, 0, &err));
    OK(announcements_list(fixture->store, row.id, compare_whole, text, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_end_of_a_sweep_is_owed, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_attempts, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_a_clock_that_was_set_back, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_the_newest_are_kept, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_announcements, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_a_long_finding_comes_back_whole, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
