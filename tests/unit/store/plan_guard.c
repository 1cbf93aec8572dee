#include "tests/unit/store/plan_guard.h"

#include <dlfcn.h>
#include <fnmatch.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int prepare_call(sqlite3 *db, const char *sql, int size, unsigned flags, sqlite3_stmt **ret_statement,
                         const char **tail);

/* Patterns of fnmatch. All other tables grow with revisions, tasks or time. */
static const struct {
    const char *step, *sql;
} allowed[] = {
    /* No table, or one row. */
    {"SCAN CONSTANT ROW", "*"},
    {"SCAN pragma_*", "*"},
    {"SCAN store", "*"},
    {"SCAN totals", "*"},
    /* What an inner SELECT has found, whose own steps are looked at. */
    {"SCAN (subquery-[0-9]*)", "*"},
    {"SCAN r", "*FROM (SELECT [*] FROM revisions r WHERE *"},
    {"SCAN k", "WITH RECURSIVE known *"},
    {"SCAN mine", "WITH mine(id) AS *"},
    {"SCAN gone", "WITH mine(id) AS *"},
    /* What people make by hand: models, one watch of each, tokens. */
    {"SCAN models*", "*"},
    {"SCAN w", "*FROM watches w *"},
    {"SCAN tokens*", "*"},
    /* Partial indexes of what is at work now. */
    {"SCAN * INDEX deliveries_pending", "*"},
    {"SCAN * INDEX jobs_live", "*"},
    {"SCAN * INDEX sweeps_queue", "*"},
    {"SCAN * INDEX tasks_claimed", "*"},
    {"SCAN * INDEX tasks_lease", "*"},
    /* Counts of all, within an index: for the database's state, and for metrics. */
    {"SCAN * USING COVERING INDEX *", "SELECT (SELECT user_version FROM pragma_user_version)*"},
    {"SCAN deliveries USING COVERING INDEX deliveries_state", "SELECT state, count([*]) FROM deliveries *"},
    {"SCAN sweeps USING COVERING INDEX sweeps_state", "SELECT state, count([*]) FROM sweeps GROUP BY state"},
};

static void refuse(const char *sql, const char *step)
{
    (void)fprintf(stderr,
                  "a statement reads a whole table: %s\n  %s\n"
                  "give it an index, or list it in tests/unit/store/plan_guard.c with the reason\n",
                  step, sql);
    abort();
}

void (*plan_guard_tell)(const char *sql, const char *step);
void (*plan_guard_refuse)(const char *sql, const char *step) = refuse;

/* An automatic index is made of all rows, each time. */
static int reads_all(const char *sql, const char *step)
{
    if (strstr(step, "AUTOMATIC"))
        return 1;
    if (strncmp(step, "SCAN ", 5) != 0)
        return 0;
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        if (fnmatch(allowed[i].step, step, 0) == 0 && fnmatch(allowed[i].sql, sql, 0) == 0)
            return 0;
    return 1;
}

/* Statements are told apart by their addresses, as store/connection.c does. */
static const char *seen[1024];
static size_t seen_count;
static pthread_mutex_t seen_lock = PTHREAD_MUTEX_INITIALIZER;

static int was_seen(const char *sql)
{
    size_t i = 0;
    (void)pthread_mutex_lock(&seen_lock);
    while (i < seen_count && seen[i] != sql)
        i++;
    int is_found = i < seen_count;
    (void)pthread_mutex_unlock(&seen_lock);
    return is_found;
}

static void note_seen(const char *sql)
{
    (void)pthread_mutex_lock(&seen_lock);
    if (seen_count < sizeof seen / sizeof seen[0])
        seen[seen_count++] = sql;
    (void)pthread_mutex_unlock(&seen_lock);
}

/* What fails here, for lack of memory made on purpose, is looked at the next time. */
static void check(sqlite3 *db, const char *sql, prepare_call *prepare)
{
    sqlite3_stmt *plan = NULL;
    char *text = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql);
    int result = text ? prepare(db, text, -1, 0, &plan, NULL) : SQLITE_NOMEM;
    while (result == SQLITE_OK && sqlite3_step(plan) == SQLITE_ROW) {
        const char *step = (const char *)sqlite3_column_text(plan, 3);
        if (step && plan_guard_tell)
            plan_guard_tell(sql, step);
        if (step && reads_all(sql, step))
            plan_guard_refuse(sql, step);
    }
    if (sqlite3_finalize(plan) == SQLITE_OK && result == SQLITE_OK)
        note_seen(sql);
    sqlite3_free(text);
}

int sqlite3_prepare_v3(sqlite3 *db, const char *sql, int size, unsigned flags, sqlite3_stmt **ret_statement,
                       const char **tail)
{
    prepare_call *real;
    *(void **)&real = dlsym(RTLD_NEXT, "sqlite3_prepare_v3");
    if (plan_guard_tell || !was_seen(sql))
        check(db, sql, real);
    return real(db, sql, size, flags, ret_statement, tail);
}
