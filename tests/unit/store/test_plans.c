/* Plans: what runs often, or over everything, walks its index in order and sorts nothing. */
#include "tests/unit/store/fixture.h"

#include "store/connection.h"
#include "store/deliveries.h"
#include "store/distributions.h"
#include "store/jobs.h"
#include "tests/unit/store/plan_guard.h"

#include <fnmatch.h>

static char sorted[4096]; /* the statements that sort, since the last look */
static char plans[65536]; /* a line for each step of each statement: "SQL => step" */

static void note_step(const char *sql, const char *step)
{
    (void)snprintf(plans + strlen(plans), sizeof plans - strlen(plans), "%s => %s\n", sql, step);
    if (strstr(step, "TEMP B-TREE"))
        (void)snprintf(sorted + strlen(sorted), sizeof sorted - strlen(sorted), "%s; ", sql);
}

static int nobody(void *context, int64_t id, const char *url)
{
    (void)context;
    (void)id;
    (void)url;
    return 0;
}

static void test_nothing_is_sorted(void **state)
{
    struct fixture *fixture = *state;
    struct task_row task;
    struct delivery_due due;
    int64_t ids[3], wait_ms = 0, after = 0, count = 0;
    int is_over = 0;
    fixture_add_revisions(fixture, 2, ids);
    (void)fixture_sweep(fixture, ids, 2, 0);
    sorted[0] = 0;
    fixture_claim(fixture, "local/1", &task);
    FAILS(ERR_NOT_FOUND,
          deliveries_next(fixture->store, clock_wall_ms(), nobody, NULL, &due, &wait_ms, &err));
    OK(distributions_prune(fixture->store, &after, 100, &count, &is_over, &err));
    assert_string_equal(sorted, "");
}

/* Fails unless a statement that holds `part` has been prepared and has `step` in its plan. */
static void check_step(const char *part, const char *step)
{
    for (char *line = plans, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        int is_it = strstr(line, part) && strstr(line, step);
        *end = '\n';
        if (is_it)
            return;
    }
    fail_msg("no %s of %s in\n%s", step, part, plans);
}

static int no_job(void *context, const struct job_row *row)
{
    (void)context;
    (void)row;
    return 0;
}

/* Left to itself, SQLite takes an index that reads all tasks, or all revisions of the model, or all sweeps of
 * a watch. */
static void test_nothing_is_read_in_vain(void **state)
{
    struct fixture *fixture = *state;
    struct revision_row moved;
    int64_t id = 0, ids[2];
    fixture_add_revisions(fixture, 1, ids);
    (void)fixture_sweep(fixture, ids, 1, 0);
    (void)fixture_measure(fixture, "content", 0.5);
    plans[0] = 0;
    fixture_revision(&moved, 0, "another");
    OK(revisions_update(fixture->store, fixture->model_id, &moved, 1, 1, NULL, &err));
    check_step("SELECT r.id FROM revision_tensors", "SEARCH t USING COVERING INDEX revision_tensors_content");
    OK(tasks_requeue_of_worker(fixture->store, "w/", "", NULL, NULL, &err));
    check_step("substr(k.worker", "USING INDEX tasks_lease");
    OK(watches_find_unfinished(fixture->store, 1, &id, &err));
    check_step("watch_id = ?", "sweeps_state");
    OK(jobs_list_all(fixture->store, NULL, 7, 10, no_job, NULL, &err));
    check_step("FROM jobs", "SEARCH j USING INTEGER PRIMARY KEY (rowid<?)");
}

static char refused[4096]; /* the steps that the guard did not allow */

static void note_refused(const char *sql, const char *step)
{
    (void)sql;
    (void)snprintf(refused + strlen(refused), sizeof refused - strlen(refused), "%s; ", step);
}

/* Against the store's own schema: what the guard lets pass, and what it stops. */
static void test_whole_tables_are_refused(void **state)
{
    static const struct {
        const char *sql, *refused;
    } statements[] = {
        {"SELECT id FROM tasks WHERE id = 1", ""},
        {"SELECT id FROM tasks WHERE worker = 'w'", "SCAN tasks; "},
        {"SELECT k.worker FROM tasks k ORDER BY k.sweep_id, k.ordinal", "SCAN k USING INDEX tasks_order; "},
        {"SELECT count(*) FROM revisions", "SCAN revisions USING COVERING INDEX *; "},
        {"UPDATE sweeps SET priority = 1", "SCAN sweeps; "},
        {"DELETE FROM files WHERE size_bytes = 0", "SCAN files; "},
        {"SELECT count(*) FROM models", ""},
        {"SELECT w.commit_sha FROM revisions w WHERE w.tokens = 1", "SCAN w; "},
        {"SELECT 1 FROM models m CROSS JOIN tasks k ON k.worker = m.name", "*SEARCH k USING AUTOMATIC *; "},
    };
    struct fixture *fixture = *state;
    struct connection *connection = NULL;
    void (*refuse)(const char *, const char *) = plan_guard_refuse;
    plan_guard_refuse = note_refused;
    OK(store_read_begin(fixture->store, &connection, &err));
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        sqlite3_stmt *statement;
        refused[0] = 0;
        OK(connection_prepare(connection, statements[i].sql, &statement, &err));
        if (fnmatch(statements[i].refused, refused, 0) != 0)
            fail_msg("%s: \"%s\" instead of \"%s\"", statements[i].sql, refused, statements[i].refused);
    }
    store_read_end(fixture->store, connection);
    plan_guard_refuse = refuse;
}

int main(void)
{
    plan_guard_tell = note_step;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_is_read_in_vain, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_nothing_is_sorted, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_whole_tables_are_refused, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
