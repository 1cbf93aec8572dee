/* Looks that are cut off between what they write into the revisions and their record: nothing is lost of what
 * is to be reported. */
#include "tests/unit/base/no_memory.h"
#include "tests/unit/service/fixture.h"

#include "daemon/base/clock.h"
#include "daemon/sweep/revision_list.h"
#include "daemon/watch/watch_changes.h"
#include "daemon/watch/watch_run.h"
#include "daemon/watch/watcher.h"
#include "tests/unit/store/sql.h"

#include <dlfcn.h>
#include <jansson.h>
#include <sqlite3.h>
#include <stdatomic.h>

#define WAIT_S 120 /* only a broken watcher lets a test wait for so long */

#define FAULT_PAUSE_MS 2000 /* the shortest, as daemon/watch/duty.c has it */

static int is_cut_off;                     /* no run can be recorded */
static atomic_int lost_runs, lost_watches; /* how many were not; whose, a bit for each */
static int is_busy;                        /* another program holds the database while a list is stored */

int sqlite3_step(sqlite3_stmt *statement)
{
    static int (*real)(sqlite3_stmt *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "sqlite3_step");
    const char *sql = sqlite3_sql(statement); /* NULL of SQLite's own */
    if (is_cut_off && sql && strncmp(sql, "UPDATE watches SET run_ms", 25) == 0) {
        char *whole = sqlite3_expanded_sql(statement);
        const char *id = strstr(whole, "WHERE id = ");
        atomic_fetch_or(&lost_watches, 1 << (id ? id[strlen("WHERE id = ")] - '0' : 0));
        atomic_fetch_add(&lost_runs, 1);
        sqlite3_free(whole);
        return SQLITE_IOERR;
    }
    if (is_busy && sql && strncmp(sql, "INSERT INTO revisions", 21) == 0)
        return SQLITE_BUSY;
    return real(statement);
}

static void put_watch_of(struct fixture *fixture, const char *model)
{
    char request[256];
    struct watch_setting setting = {.request = request, .timetable = {.every_minutes = 5}, .webhook_url = ""};
    (void)snprintf(request, sizeof request, "{\"model\":\"%s\",\"metrics\":[\"statistics\"]}", model);
    OK(models_ensure(fixture->store, model, MODEL_KIND_FOLDER, &setting.model_id, &err));
    OK(watches_put(fixture->store, &setting, NULL, &err));
}

static void put_watch(struct fixture *fixture)
{
    put_watch_of(fixture, fixture->name);
}

/* Looks once; sweeps that an earlier look has started end first. */
static enum watch_outcome look(struct fixture *fixture)
{
    struct watch_row watch;
    enum watch_outcome outcome = WATCH_OUTCOME_COUNT;
    OK(watches_find(fixture->store, fixture->name, &watch, &err));
    struct err err = ERR_INIT;
    if (watch.run_sweep_id)
        (void)sweeps_cancel(fixture->store, watch.run_sweep_id, &err);
    err = (struct err)ERR_INIT;
    int code = watch_run_once(fixture->store, fixture->hub, NULL, &watch, &fixture->cancel, &outcome, &err);
    assert_int_equal(code != 0, is_cut_off);
    return outcome;
}

static void look_in_vain(struct fixture *fixture)
{
    is_cut_off = 1;
    (void)look(fixture);
    is_cut_off = 0;
}

/* `expected`: how many and their names, in order. */
static void check(const json_t *report, const char *kind, int count, const char *expected)
{
    char names[256] = "";
    size_t i;
    const json_t *name, *found = json_object_get(report, kind);
    json_array_foreach(json_object_get(found, "names"), i, name)
    {
        (void)snprintf(names + strlen(names), sizeof names - strlen(names), "%s ", json_string_value(name));
    }
    assert_string_equal(names, expected);
    assert_int_equal(json_integer_value(json_object_get(found, "count")), count);
}

static json_t *read_report(struct fixture *fixture)
{
    struct buf request, report;
    struct watch_row watch;
    OK(watches_find(fixture->store, fixture->name, &watch, &err));
    buf_init(&request, MIB);
    buf_init(&report, MIB);
    OK(watches_get_texts(fixture->store, watch.id, &request, &report, NULL, &err));
    json_t *json = json_loads(buf_text(&report), 0, NULL);
    buf_free(&request);
    buf_free(&report);
    return json;
}

static void test_the_next_report_has_it(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned i = 0; i < 3; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "step%u", i);
        fixture_add_revision(fixture, name, i);
    }
    put_watch(fixture);
    look_in_vain(fixture);
    assert_int_equal(look(fixture), WATCH_OUTCOME_UNCHANGED); /* the checkpoints are too fresh to be swept */
    json_t *report = read_report(fixture);
    check(report, "new", 3, "step0 step1 step2 ");
    check(report, "moved", 0, "");
    check(report, "gone", 0, "");
    json_decref(report);
    (void)look(fixture); /* it was said */
    report = read_report(fixture);
    check(report, "new", 0, "");
    json_decref(report);
}

/* Two looks are cut off, one cannot look at all; what has changed twice is told once. */
static void test_several_in_vain(void **state)
{
    struct fixture *fixture = *state;
    char elsewhere[160];
    fixture_add_revision(fixture, "step0", 0);
    fixture_add_revision(fixture, "step1", 1);
    fixture_add_revision(fixture, "step2", 2);
    put_watch(fixture);
    (void)look(fixture);
    fixture_add_revision(fixture, "step1", 11);
    fixture_add_revision(fixture, "step3", 3);
    assert_int_equal(unlink(fixture_path(fixture->models, "step2/model.safetensors")), 0);
    assert_int_equal(unlink(fixture_path(fixture->models, "step2/config.json")), 0);
    assert_int_equal(rmdir(fixture_path(fixture->models, "step2")), 0);
    look_in_vain(fixture);
    fixture_add_revision(fixture, "step1", 21);
    fixture_add_revision(fixture, "step4", 4);
    look_in_vain(fixture);
    (void)snprintf(elsewhere, sizeof elsewhere, "%s.away", fixture->models);
    assert_int_equal(rename(fixture->models, elsewhere), 0);
    assert_int_equal(look(fixture), WATCH_OUTCOME_FAILED);
    assert_int_equal(rename(elsewhere, fixture->models), 0);
    (void)look(fixture);
    json_t *report = read_report(fixture);
    check(report, "new", 2, "step3 step4 ");
    check(report, "moved", 1, "step1 ");
    check(report, "gone", 1, "step2 ");
    json_decref(report);
}

/* A watch may be made before the trainer makes its folder, before that holds a checkpoint, and before one has
 * a step. */
static void test_a_model_that_is_to_come(void **state)
{
    struct fixture *fixture = *state;
    char elsewhere[160];
    (void)snprintf(elsewhere, sizeof elsewhere, "%s.away", fixture->models);
    put_watch(fixture);
    assert_int_equal(rename(fixture->models, elsewhere), 0);
    assert_int_equal(look(fixture), WATCH_OUTCOME_MISSING);
    json_t *missing = read_report(fixture);
    assert_string_equal(json_string_value(json_object_get(missing, "outcome")), "missing");
    json_decref(missing);
    assert_int_equal(rename(elsewhere, fixture->models), 0);
    assert_int_equal(look(fixture), WATCH_OUTCOME_WAITING);
    json_t *report = read_report(fixture);
    assert_string_equal(json_string_value(json_object_get(report, "outcome")), "waiting");
    assert_string_equal(json_string_value(json_object_get(json_object_get(report, "error"), "code")),
                        "not_found");
    json_decref(report);
    fixture_add_revision(fixture, "best", 0);
    assert_int_equal(look(fixture), WATCH_OUTCOME_WAITING);
    report = read_report(fixture);
    assert_non_null(strstr(json_string_value(json_object_get(json_object_get(report, "error"), "message")),
                           "none of its 1 revisions, such as \"best\", is named like a training step; "));
    json_decref(report);
    fixture_add_revision(fixture, "step0", 0);
    assert_int_equal(look(fixture), WATCH_OUTCOME_UNCHANGED);
}

/* A look that could not store what it found does not say it: the next one does. */
static void test_what_was_not_stored_is_said_once(void **state)
{
    struct fixture *fixture = *state;
    fixture_add_revision(fixture, "step0", 0);
    put_watch(fixture);
    is_busy = 1;
    assert_int_equal(look(fixture), WATCH_OUTCOME_FAILED);
    is_busy = 0;
    json_t *report = read_report(fixture);
    assert_non_null(json_object_get(report, "error"));
    assert_null(json_object_get(report, "new"));
    json_decref(report);
    (void)look(fixture);
    report = read_report(fixture);
    check(report, "new", 1, "step0 ");
    json_decref(report);
}

/* Changes are told whole, or the look fails and is made again: a name left out for lack of memory is lost. */
static void test_memory_that_is_short(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = {"step1", "step2", "step3"};
    struct revision_row rows[2] = {{.step = 1}, {.step = 2}};
    struct revision_listed listed[2] = {{.row = {.step = 1}}, {.row = {.step = 3}}};
    struct revision_list list = {.rows = listed, .count = 2};
    int64_t model_id = 0;
    unsigned call = 0, failures = 0;
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(rows[i].name, sizeof rows[i].name, "%s", names[i]);
        (void)snprintf(rows[i].commit, sizeof rows[i].commit, "%040zx", i + 1);
        (void)snprintf(listed[i].row.name, sizeof listed[i].row.name, "%s", names[2 * i]);
        (void)snprintf(listed[i].row.commit, sizeof listed[i].row.commit, "%040zx", i + 11);
    }
    OK(models_ensure(fixture->store, fixture->name, MODEL_KIND_FOLDER, &model_id, &err));
    OK(revisions_update(fixture->store, model_id, rows, 2, 1, NULL, &err));
    (void)let_memory_fail(NULL);
    do {
        struct err err = ERR_INIT;
        char *text = NULL;
        json_t *report = json_object();
        countdown = ++call;
        int code = watch_changes_report(fixture->store, model_id, &list, NULL, report, &err);
        if (!code)
            code = watch_changes_dump(report, &text, &err);
        failures += code != 0;
        if (code)
            assert_int_equal(code, ERR_NO_MEMORY);
        else
            assert_string_equal(text, "{\"new\":{\"count\":1,\"names\":[\"step3\"]},"
                                      "\"moved\":{\"count\":1,\"names\":[\"step1\"]},"
                                      "\"gone\":{\"count\":1,\"names\":[\"step2\"]}}");
        free(text);
        json_decref(report);
    } while (countdown == 0); /* the last time no call was left to fail */
    (void)restore_memory(NULL);
    assert_true(failures > 10);
}

/* Looks of which each allocation fails once: what is recorded is whole. Returns how many were not. */
static unsigned look_without_memory(struct fixture *fixture)
{
    static const char *const members[] = {"outcome", "revisions", "swept", "hub_requests",
                                          "hub_received_bytes"};
    unsigned call = 0, failures = 0;
    do {
        struct watch_row watch;
        enum watch_outcome outcome = WATCH_OUTCOME_COUNT;
        OK(watches_find(fixture->store, fixture->name, &watch, &err));
        struct err err = ERR_INIT;
        if (watch.run_sweep_id)
            (void)sweeps_cancel(fixture->store, watch.run_sweep_id, &err);
        err = (struct err)ERR_INIT;
        (void)let_memory_fail(NULL);
        countdown = ++call;
        int code =
            watch_run_once(fixture->store, fixture->hub, NULL, &watch, &fixture->cancel, &outcome, &err);
        const int is_over = countdown != 0; /* no call was left to fail */
        (void)restore_memory(NULL);
        failures += code != 0;
        if (code) {
            assert_int_equal(code, ERR_NO_MEMORY);
        } else {
            json_t *report = read_report(fixture);
            for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
                assert_non_null(json_object_get(report, members[i]));
            if (outcome == WATCH_OUTCOME_FAILED)
                assert_non_null(json_object_get(json_object_get(report, "error"), "message"));
            else
                assert_int_equal(json_array_size(json_object_get(report, "unfinished")),
                                 2); /* they are fresh */
            json_decref(report);
        }
        if (is_over)
            return failures;
    } while (1);
}

static void test_reports_without_memory(void **state)
{
    struct fixture *fixture = *state;
    char elsewhere[160];
    (void)snprintf(elsewhere, sizeof elsewhere, "%s.away", fixture->models);
    fixture_add_revision(fixture, "step0", 0);
    fixture_add_revision(fixture, "step1", 1);
    put_watch(fixture);
    assert_true(look_without_memory(fixture) > 10);
    assert_int_equal(rename(fixture->models, elsewhere), 0);
    assert_true(look_without_memory(fixture) > 5);
    assert_int_equal(rename(elsewhere, fixture->models), 0);
}

/* Offline the list is a part: what it changes is kept as well, and nothing else is gone. */
static void test_a_partial_list(void **state)
{
    struct fixture *fixture = *state;
    struct revision_listed listed = {
        .row = {.name = "step1", .commit = "0123456789abcdef0123456789abcdef01234567"}};
    struct revision_list list = {.rows = &listed, .count = 1, .is_partial = 1};
    struct watch_row watch;
    struct revision_row row;
    struct buf request, report, changes;
    fixture_add_revision(fixture, "step0", 0);
    put_watch(fixture);
    (void)look(fixture);
    OK(watches_find(fixture->store, fixture->name, &watch, &err));
    struct revisions_note note = {.watch_id = watch.id, .changes = "{\"new\":{}}"};
    OK(revision_list_store(&list, fixture->store, watch.model_id, &note, &err));
    buf_init(&request, MIB);
    buf_init(&report, MIB);
    buf_init(&changes, MIB);
    OK(watches_get_texts(fixture->store, watch.id, &request, &report, &changes, &err));
    assert_string_equal(buf_text(&changes), note.changes);
    OK(revisions_find(fixture->store, watch.model_id, "step0", &row, &err));
    assert_int_equal(row.is_current, 1);
    buf_free(&request);
    buf_free(&report);
    buf_free(&changes);
}

static int may_read(void *context, int64_t model_id, int we_may)
{
    (void)context;
    (void)model_id;
    return we_may;
}

/* The first cannot be noted; the second, which is due later, is looked at all the same. */
static void test_a_watch_that_cannot_be_noted_delays_no_other(void **state)
{
    struct fixture *fixture = *state;
    const struct watch_others others = {.may_read = may_read};
    struct watcher *watcher = NULL;
    struct watch_row watch = {.run_ms = 0};
    int64_t counts[WATCH_OUTCOME_COUNT];
    char other[192];
    (void)snprintf(other, sizeof other, "%s-other", fixture->name);
    OK(file_make_folders(other + strlen("file:"), 0700, &err));
    put_watch(fixture);
    put_watch_of(fixture, other);
    (void)sql_run(fixture_path(fixture->folder, "state/" STORE_FILE_NAME),
                  "CREATE TRIGGER lost BEFORE UPDATE OF run_ms ON watches WHEN old.id = 1 "
                  "BEGIN SELECT RAISE(ABORT, 'lost'); END");
    OK(watcher_start(fixture->store, fixture->hub, &others, &watcher, &err));
    const int64_t end_ms = clock_monotonic_ms() + WAIT_S * 1000;
    while (!watch.run_ms && clock_monotonic_ms() < end_ms) {
        clock_sleep_ms(5);
        OK(watches_find(fixture->store, other, &watch, &err));
    }
    watcher_stop(watcher);
    watcher_counts(watcher, counts);
    watcher_free(watcher);
    assert_int_not_equal(watch.run_ms, 0);
    assert_int_equal(counts[WATCH_OUTCOME_WAITING], 1);
    OK(watches_find(fixture->store, fixture->name, &watch, &err));
    assert_int_equal(watch.run_ms, 0);
}

/* A store that cannot be written is not all watches' repositories asked for nothing, again and again: a few
 * are, and after a pause the next. */
static void test_a_store_that_takes_no_run(void **state)
{
    struct fixture *fixture = *state;
    const struct watch_others others = {.may_read = may_read};
    struct watcher *watcher = NULL;
    char name[224];
    for (int i = 0; i < 6; i++) {
        (void)snprintf(name, sizeof name, "%s-%d", fixture->name, i);
        put_watch_of(fixture, name);
    }
    atomic_store(&lost_runs, 0);
    atomic_store(&lost_watches, 0);
    is_cut_off = 1;
    const int64_t begin_ms = clock_monotonic_ms();
    OK(watcher_start(fixture->store, fixture->hub, &others, &watcher, &err));
    while (atomic_load(&lost_watches) != 0x7e && clock_monotonic_ms() < begin_ms + WAIT_S * 1000)
        clock_sleep_ms(5);
    const int runs = atomic_load(&lost_runs);
    const int64_t pauses = (clock_monotonic_ms() - begin_ms) / FAULT_PAUSE_MS;
    watcher_stop(watcher);
    watcher_free(watcher);
    is_cut_off = 0;
    assert_int_equal(atomic_load(&lost_watches), 0x7e);
    assert_in_range(runs, 6, 4 * (1 + pauses));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_next_report_has_it, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_several_in_vain, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_a_model_that_is_to_come, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_what_was_not_stored_is_said_once, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(test_memory_that_is_short, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_reports_without_memory, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_a_partial_list, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_a_watch_that_cannot_be_noted_delays_no_other, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(test_a_store_that_takes_no_run, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
