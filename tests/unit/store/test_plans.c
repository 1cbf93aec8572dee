/* Plans: what runs often, or over everything, walks its index in order and sorts nothing. */
#include "tests/unit/store/fixture.h"

#include "store/connection.h"
#include "store/deliveries.h"
#include "store/distributions.h"

#include <dlfcn.h>

static char sorted[4096]; /* the statements that sort, since the last look */

static void note_plan(sqlite3 *db, const char *sql,
                      int (*prepare)(sqlite3 *, const char *, int, unsigned, sqlite3_stmt **, const char **))
{
    char text[8192];
    sqlite3_stmt *plan = NULL;
    (void)snprintf(text, sizeof text, "EXPLAIN QUERY PLAN %s", sql);
    if (prepare(db, text, -1, 0, &plan, NULL) == SQLITE_OK) {
        while (sqlite3_step(plan) == SQLITE_ROW) {
            if (strstr((const char *)sqlite3_column_text(plan, 3), "TEMP B-TREE"))
                (void)snprintf(sorted + strlen(sorted), sizeof sorted - strlen(sorted), "%s; ", sql);
        }
    }
    (void)sqlite3_finalize(plan);
}

int sqlite3_prepare_v3(sqlite3 *db, const char *sql, int size, unsigned flags, sqlite3_stmt **ret_statement,
                       const char **tail)
{
    static int (*real)(sqlite3 *, const char *, int, unsigned, sqlite3_stmt **, const char **);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "sqlite3_prepare_v3");
    note_plan(db, sql, real);
    return real(db, sql, size, flags, ret_statement, tail);
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
    struct delivery_row delivery;
    struct watch_row watch;
    int64_t ids[3], wait_ms = 0, after = 0, count = 0;
    fixture_add_revisions(fixture, 2, ids);
    (void)fixture_sweep(fixture, ids, 2, 0);
    sorted[0] = 0;
    fixture_claim(fixture, "local/1", &task);
    FAILS(ERR_NOT_FOUND,
          deliveries_next(fixture->store, clock_wall_ms(), nobody, NULL, &delivery, &watch, &wait_ms, &err));
    OK(distributions_prune(fixture->store, &after, 100, &count, &err));
    assert_string_equal(sorted, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_is_sorted, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
