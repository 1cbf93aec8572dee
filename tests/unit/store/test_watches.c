#include "tests/unit/store/fixture.h"
#include "tests/unit/store/sql.h"

#include "store/deliveries.h"
#include "store/sweeps.h"
#include "store/watches.h"

#define REQUEST "{\"model\":\"garden/neox-tiny\"}"
#define SECRET "sixteen letters!"

static struct watch_setting setting_of(const struct fixture *fixture)
{
    return (struct watch_setting){.model_id = fixture->model_id,
                                  .timetable = {.at_minute = 150},
                                  .request = REQUEST,
                                  .webhook_url = ""};
}

static struct watch_row find(struct fixture *fixture)
{
    struct watch_row row;
    OK(watches_find(fixture->store, "garden/neox-tiny", &row, &err));
    return row;
}

static struct watch_row put(struct fixture *fixture, const struct watch_setting *setting)
{
    OK(watches_put(fixture->store, setting, NULL, &err));
    return find(fixture);
}

static void test_put_find_delete(void **state)
{
    struct fixture *fixture = *state;
    struct watch_setting setting = setting_of(fixture);
    struct watch_row row;
    struct buf request, report;
    int is_new = 0;
    FAILS(ERR_NOT_FOUND, watches_find(fixture->store, "garden/neox-tiny", &row, &err));
    FAILS(ERR_NOT_FOUND, watches_ask(fixture->store, "garden/neox-tiny", &err));
    FAILS(ERR_NOT_FOUND, watches_delete(fixture->store, "garden/neox-tiny", &err));
    OK(watches_put(fixture->store, &setting, &is_new, &err));
    assert_int_equal(is_new, 1);
    row = find(fixture);
    assert_int_equal(row.timetable.at_minute, 150);
    assert_int_equal(row.timetable.every_minutes, 0);
    assert_int_equal(row.run_ms, 0);
    int64_t since = row.since_ms;

    fixture_reopen(fixture);
    setting.priority = -7;
    OK(watches_put(fixture->store, &setting, &is_new, &err));
    assert_int_equal(is_new, 0);
    row = find(fixture);
    assert_int_equal(row.priority, -7);
    assert_int_equal(row.since_ms, since); /* the time is the same: a missed run stays missed */

    setting.timetable = (struct timetable){.every_minutes = 15};
    row = put(fixture, &setting);
    assert_int_equal(row.timetable.every_minutes, 15);
    assert_true(watch_due(&row, row.since_ms) <= row.since_ms);

    buf_init(&request, 1000);
    buf_init(&report, 1000);
    OK(watches_get_texts(fixture->store, row.id, &request, &report, NULL, &err));
    assert_string_equal(buf_text(&request), REQUEST);
    assert_int_equal(report.size, 0);
    buf_free(&request);
    buf_free(&report);
    OK(watches_delete(fixture->store, "garden/neox-tiny", &err));
    FAILS(ERR_NOT_FOUND, watches_find(fixture->store, "garden/neox-tiny", &row, &err));
    int64_t old = row.id;
    assert_true(put(fixture, &setting).id > old);
}

static void test_webhooks_need_a_secret(void **state)
{
    struct fixture *fixture = *state;
    struct watch_setting setting = setting_of(fixture);
    struct watch_row row;
    setting.webhook_url = "https://hooks.example/a";
    FAILS(ERR_INVALID, watches_put(fixture->store, &setting, NULL, &err));
    FAILS(ERR_NOT_FOUND, watches_find(fixture->store, "garden/neox-tiny", &row, &err));
    setting.webhook_secret = "too short";
    FAILS(ERR_INVALID, watches_put(fixture->store, &setting, NULL, &err));
    setting.webhook_secret = SECRET;
    assert_string_equal(put(fixture, &setting).webhook_secret, SECRET);
    setting.webhook_secret = NULL; /* the same receiver: the secret stays */
    assert_string_equal(put(fixture, &setting).webhook_secret, SECRET);
    setting.webhook_url = "https://hooks.example/b"; /* another one does not get it */
    FAILS(ERR_INVALID, watches_put(fixture->store, &setting, NULL, &err));
    assert_string_equal(find(fixture).webhook_url, "https://hooks.example/a");
    setting.webhook_url = "";
    assert_string_equal(put(fixture, &setting).webhook_secret, "");
}

struct names {
    char text[256];
};

static int take_name(void *context, const struct revision_row *row, int refusals)
{
    struct names *names = context;
    size_t length = strlen(names->text);
    (void)snprintf(names->text + length, sizeof names->text - length, refusals ? "%s(%d) " : "%s ", row->name,
                   refusals);
    return 0;
}

static void check_due(struct fixture *fixture, const struct watch_query *query, const char *expected)
{
    struct watch_row watch = find(fixture);
    struct names names = {""};
    OK(watches_list_due_revisions(fixture->store, &watch, query, take_name, &names, &err));
    assert_string_equal(names.text, expected);
}

/* A sweep of the watch with one task, claimed. */
static int64_t sweep_one(struct fixture *fixture, int64_t revision_id, struct task_row *task)
{
    struct watch_row watch = find(fixture);
    struct watch_run run = {.started_ms = 1, .report = "{}", .sweep_request = REQUEST};
    struct task_plan plan = {.revision_id = revision_id};
    int64_t id = 0;
    OK(watches_record_run(fixture->store, &watch, &run, &id, &err));
    OK(tasks_plan(fixture->store, id, &plan, 1, &err));
    OK(sweeps_start(fixture->store, id, &err));
    OK(tasks_claim(fixture->store, BY("local/1", LEASE_MS, NULL), &(struct tasks_choice){.sweep_id = id},
                   task, NULL, &err));
    return id;
}

static void fail_one(struct fixture *fixture, int64_t revision_id, enum err_code code)
{
    struct task_row task;
    struct task_lease lease;
    struct tasks_policy policy = {.failures_max = 1, .interruptions_max = 1};
    struct err reason = ERR_INIT;
    (void)sweep_one(fixture, revision_id, &task);
    task_lease_of(&task, &lease);
    (void)err_set(&reason, code, "no luck");
    OK(tasks_fail(fixture->store, &lease, &reason, &policy, NULL, &err));
}

/* What a user resolves: terms that are accepted, a token that is renewed. */
static int is_refusal(enum err_code code)
{
    return code == ERR_GATED || code == ERR_UNAUTHORIZED;
}

static void test_due_revisions(void **state)
{
    struct fixture *fixture = *state;
    struct watch_setting setting = setting_of(fixture);
    struct watch_query measured = {.statistics = WATCH_WANT_MEASURED};
    struct watch_query special = {.statistics = WATCH_WANT_SWEPT};
    struct watch_query both = {.statistics = WATCH_WANT_MEASURED, .perplexity = WATCH_WANT_MEASURED};
    const struct err why = {.code = ERR_INVALID, .message = "slurm: no such partition"};
    struct task_row task;
    struct task_lease lease;
    int64_t ids[5];
    fixture_add_revisions(fixture, 4, ids);
    (void)put(fixture, &setting);
    check_due(fixture, &measured, "step0 step1 step2 step3 main ");
    (void)fixture_sweep(fixture, &ids[1], 1, 0); /* of somebody else, queued */
    check_due(fixture, &measured, "step0 step2 step3 main ");
    (void)fixture_measure(fixture, "one", 1);
    check_due(fixture, &measured, "step0 step2 step3 main ");
    check_due(fixture, &both, "step0 step1 step2 step3 main "); /* its perplexity is not known */
    check_due(fixture, &special, "step0 step1 step2 step3 main ");

    (void)sweep_one(fixture, ids[2], &task); /* of the watch, being measured */
    check_due(fixture, &measured, "step0 step3 main ");
    OK(sweeps_cancel(fixture->store, task.sweep_id, &err)); /* someone's decision: it stays */
    check_due(fixture, &measured, "step0 step3 main ");
    (void)sweep_one(fixture, ids[3], &task);
    task_lease_of(&task, &lease);
    OK(tasks_release(fixture->store, &lease, NULL, &err));
    check_due(fixture, &measured, "step0 main ");
    OK(sweeps_give_up(fixture->store, task.sweep_id, &why, &err)); /* nobody's: it was not tried */
    check_due(fixture, &measured, "step0 step3 main ");

    /* Every error either passes or not, as err_is_transient says; a refusal may. */
    static const enum err_code codes[] = {
#define X(symbol, value, name, meaning) symbol,
        ERR_CODES(X)
#undef X
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct revision_row row;
        char commit[32];
        (void)snprintf(commit, sizeof commit, "moved %zu", i);
        fixture_revision(&row, 3, commit);
        OK(revisions_update(fixture->store, fixture->model_id, &row, 1, 0, NULL, &err));
        check_due(fixture, &measured, "step0 step3 main ");
        fail_one(fixture, row.id, codes[i]);
        check_due(fixture, &measured,
                  is_refusal(codes[i])         ? "step0 step3(1) main "
                  : err_is_transient(codes[i]) ? "step0 step3 main "
                                               : "step0 main ");
        if (!is_refusal(codes[i]))
            continue;
        fail_one(fixture, row.id, ERR_NETWORK);
        fail_one(fixture, row.id, ERR_GATED);
        check_due(fixture, &measured, "step0 step3(2) main ");
        fail_one(fixture, row.id, ERR_FORMAT);
        check_due(fixture, &measured, "step0 main ");
    }
    /* With another request it is all open again. */
    setting.request = "{\"metrics\":[\"statistics\"],\"model\":\"garden/neox-tiny\"}";
    (void)put(fixture, &setting);
    check_due(fixture, &measured, "step0 step2 step3 main ");
}

static void test_runs_and_their_sweeps(void **state)
{
    struct fixture *fixture = *state;
    struct watch_setting setting = setting_of(fixture);
    struct watch_run run = {
        .started_ms = 5000, .report = "{\"outcome\":\"sweeping\"}", .sweep_request = REQUEST};
    struct sweep_row sweep;
    int64_t id = 0, unfinished = 0;
    setting.priority = 3;
    struct watch_row watch = put(fixture, &setting);
    OK(watches_ask(fixture->store, watch.model, &err));
    watch = find(fixture);
    assert_int_equal(watch_due(&watch, 7), 7);
    /* what is shown of it does not move with the clock, so that it has one ETag */
    const int64_t later = clock_wall_ms() + 1000;
    assert_true(watch_next(&watch, later) < later);
    assert_int_equal(watch_next(&watch, later), watch_next(&watch, later + 1));
    OK(watches_record_run(fixture->store, &watch, &run, &id, &err));
    OK(sweeps_get(fixture->store, id, &sweep, &err));
    assert_int_equal(sweep.watch_id, watch.id);
    assert_int_equal(sweep.priority, 3);
    assert_int_equal(sweep.state, SWEEP_STATE_PLANNING);
    watch = find(fixture);
    assert_int_equal(watch.is_asked, 0);
    assert_int_equal(watch.run_ms, 5000);
    assert_int_equal(watch.run_sweep_id, id);
    OK(watches_find_unfinished(fixture->store, watch.id, &unfinished, &err));
    assert_int_equal(unfinished, id);
    OK(sweeps_start(fixture->store, id, &err)); /* without tasks: done at once */
    OK(watches_find_unfinished(fixture->store, watch.id, &unfinished, &err));
    assert_int_equal(unfinished, 0);

    int64_t now = watch.since_ms;
    run = (struct watch_run){.started_ms = now, .report = "{}", .failures = 2, .retry_ms = now + 500};
    OK(watches_record_run(fixture->store, &watch, &run, &id, &err));
    assert_int_equal(id, 0);
    watch = find(fixture);
    assert_int_equal(watch.failures, 2);
    assert_int_equal(watch_due(&watch, now), now + 500);

    /* A watch that is gone starts nothing. */
    OK(watches_delete(fixture->store, watch.model, &err));
    run.sweep_request = REQUEST;
    FAILS(ERR_NOT_FOUND, watches_record_run(fixture->store, &watch, &run, &id, &err));
    FAILS(ERR_NOT_FOUND, sweeps_next_planning(fixture->store, 0, NULL, 0, &sweep, &err));
    OK(sweeps_get(fixture->store, 1, &sweep, &err));
    assert_int_equal(sweep.watch_id, 0);
}

/* Who asks while a run is looking may have something that it has not seen: one more run follows, and no more.
 */
static void test_asked_during_a_run(void **state)
{
    struct fixture *fixture = *state;
    struct watch_setting setting = setting_of(fixture);
    struct watch_run run = {.started_ms = 5000, .report = "{}"};
    int64_t id = 0;
    struct watch_row watch = put(fixture, &setting);
    OK(watches_ask(fixture->store, watch.model, &err));
    watch = find(fixture);
    OK(watches_ask(fixture->store, watch.model, &err)); /* meanwhile, twice */
    OK(watches_ask(fixture->store, watch.model, &err));
    OK(watches_record_run(fixture->store, &watch, &run, &id, &err));
    watch = find(fixture);
    assert_int_equal(watch.is_asked, 1);
    assert_int_equal(watch_due(&watch, 7), 7);
    /* what is shown of it does not move with the clock, so that it has one ETag */
    const int64_t later = clock_wall_ms() + 1000;
    assert_true(watch_next(&watch, later) < later);
    assert_int_equal(watch_next(&watch, later), watch_next(&watch, later + 1));
    OK(watches_record_run(fixture->store, &watch, &run, &id, &err));
    assert_int_equal(find(fixture).is_asked, 0);
}

/* A sweep of the old request would count as one of the new request: nothing would be measured as asked. */
static void test_run_of_another_request(void **state)
{
    struct fixture *fixture = *state;
    struct watch_setting setting = setting_of(fixture);
    struct watch_run run = {.started_ms = 5000, .report = "{}", .sweep_request = REQUEST};
    struct sweep_row sweep;
    int64_t id = 0;
    struct watch_row old = put(fixture, &setting);
    setting.request = "{\"metrics\":[\"statistics\"],\"model\":\"garden/neox-tiny\"}";
    struct watch_row watch = put(fixture, &setting); /* while the run looks at the hub */
    FAILS(ERR_NOT_FOUND, watches_record_run(fixture->store, &old, &run, &id, &err));
    FAILS(ERR_NOT_FOUND, sweeps_next_planning(fixture->store, 0, NULL, 0, &sweep, &err));
    assert_int_equal(find(fixture).run_ms, 0); /* it is still due */
    setting.priority = 7;
    (void)put(fixture, &setting); /* asks for the same */
    OK(watches_record_run(fixture->store, &watch, &run, &id, &err));
    assert_int_equal(find(fixture).run_sweep_id, id);
}

/* What was swept since a change is told by numbers. A clock that was years ahead, or is set back, hides no
 * revision from the new request and has none swept twice; nor do changes within one millisecond. */
static void test_changes_whatever_the_clock(void **state)
{
    struct fixture *fixture = *state;
    struct watch_setting setting = setting_of(fixture);
    struct watch_query measured = {.statistics = WATCH_WANT_MEASURED};
    struct task_row task;
    int64_t ids[2];
    fixture_add_revisions(fixture, 1, ids);
    struct watch_row first = put(fixture, &setting);
    fail_one(fixture, ids[0], ERR_FORMAT);
    check_due(fixture, &measured, "main ");

    (void)sql_run(fixture->path, "UPDATE sweeps SET created_ms = created_ms + 100000000000"); /* was ahead */
    setting.request = "{\"metrics\":[\"statistics\"],\"model\":\"garden/neox-tiny\"}";
    struct watch_row second = put(fixture, &setting);
    assert_true(second.request_number > first.request_number);
    check_due(fixture, &measured, "step0 main ");

    int64_t id = sweep_one(fixture, ids[0], &task);
    OK(sweeps_cancel(fixture->store, id, &err));
    (void)sql_run(fixture->path, "UPDATE sweeps SET created_ms = 0"); /* was set back */
    check_due(fixture, &measured, "main ");

    setting.request = REQUEST; /* there and back: two changes */
    (void)put(fixture, &setting);
    check_due(fixture, &measured, "step0 main ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_put_find_delete, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_webhooks_need_a_secret, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_due_revisions, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_runs_and_their_sweeps, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_asked_during_a_run, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_run_of_another_request, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_changes_whatever_the_clock, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
