/* SQL beside the store, on a connection of its own, as another process would run it. Errors fail the test. */
#ifndef BIFURCATED_TESTS_STORE_SQL_H
#define BIFURCATED_TESTS_STORE_SQL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>

#define SQL_BUSY_MS 60000 /* threads of the test may be writing */

static inline sqlite3 *sql_open(const char *path)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_busy_timeout(db, SQL_BUSY_MS), SQLITE_OK);
    return db;
}

/* Returns how many rows the last statement changed. */
static inline int sql_run(const char *path, const char *sql)
{
    sqlite3 *db = sql_open(path);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    int changes = sqlite3_changes(db);
    (void)sqlite3_close(db);
    return changes;
}

/* The one number that a statement gives. */
static inline int64_t sql_read(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return value;
}

/* The same, on a connection of its own. */
static inline int64_t sql_ask(const char *path, const char *sql)
{
    sqlite3 *db = sql_open(path);
    int64_t value = sql_read(db, sql);
    (void)sqlite3_close(db);
    return value;
}

#endif
