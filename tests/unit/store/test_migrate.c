/* Migrations: one path for new and old databases, each whole or not at all. */
#include "tests/unit/store/fixture.h"

#include "daemon/base/embedded.h"
#include "store/connection.h"
#include "tests/unit/store/sql.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define EMBEDDED(text)                                                                                       \
    {                                                                                                        \
        .name = "test", .begin = (const unsigned char *)(text),                                              \
        .end = (const unsigned char *)(text) + sizeof(text) - 1                                              \
    }

/* The real first migration and two more: one of them long enough to be killed in. */
static struct base_embedded later[3];

static const char ADD_TABLE[] = "CREATE TABLE added (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;"
                                "ALTER TABLE models ADD COLUMN added INTEGER NOT NULL DEFAULT 7;";
static const char FILL_TABLE[] =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 15000) "
    "INSERT INTO added SELECT i, hex(randomblob(40)) FROM n; CREATE INDEX added_text ON added (text);"
    "UPDATE added SET text = text || 'x';";

static int set_up(void **state)
{
    later[0] = migrations_embedded[0];
    later[1] = (struct base_embedded)EMBEDDED(ADD_TABLE);
    later[2] = (struct base_embedded)EMBEDDED(FILL_TABLE);
    return fixture_folder(state);
}

/* Everything that the schema says, and the version, as one text. The caller frees it. */
static char *describe(struct connection *connection)
{
    sqlite3_stmt *statement = NULL;
    assert_int_equal(
        sqlite3_prepare_v2(connection->db,
                           "SELECT group_concat(type || ':' || name || ':' || coalesce(sql, ''), char(10)) "
                           "|| (SELECT user_version FROM pragma_user_version) "
                           "|| ' ' || (SELECT application_id FROM pragma_application_id) "
                           "FROM (SELECT * FROM sqlite_schema ORDER BY type, name)",
                           -1, &statement, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    char *text = strdup((const char *)sqlite3_column_text(statement, 0));
    (void)sqlite3_finalize(statement);
    return text;
}

/* A database that went from step to step, with rows in between, ends as one that was made at once. */
static void test_fresh_equals_upgraded(void **state)
{
    struct fixture *fixture = *state;
    struct connection *fresh = NULL, *upgraded = NULL;
    char path[256];
    (void)snprintf(path, sizeof path, "%s/upgraded.db", fixture->folder);
    OK(connection_open(fixture->path, 1, &fresh, &err));
    OK(migrate_with(fresh, later, 3, &err));
    for (size_t count = 1; count <= 3; count++) {
        OK(connection_open(path, 1, &upgraded, &err));
        OK(migrate_with(upgraded, later, count, &err));
        assert_int_equal(sql_read(upgraded->db, "PRAGMA user_version"), count);
        if (count == 1)
            OK(connection_exec(
                upgraded,
                "INSERT INTO models (name, kind, created_ms, updated_ms) VALUES ('a/b', 'hub', 1, 1)", &err));
        if (count < 3)
            connection_close(upgraded);
    }
    char *left = describe(fresh), *right = describe(upgraded);
    assert_string_equal(left, right);
    assert_non_null(strstr(left, "table:tasks:CREATE TABLE tasks"));
    assert_int_equal(sql_read(upgraded->db, "SELECT added FROM models"), 7);
    OK(migrate_with(upgraded, later, 3, &err)); /* nothing left to do */
    FAILS(ERR_UNSUPPORTED, migrate_with(upgraded, later, 2, &err));
    free(left);
    free(right);
    connection_close(fresh);
    connection_close(upgraded);
}

/* The released migrations, applied one by one as versions came out, equal all at once. */
static void test_released_migrations(void **state)
{
    struct fixture *fixture = *state;
    struct connection *fresh = NULL, *upgraded = NULL;
    char path[256];
    (void)snprintf(path, sizeof path, "%s/upgraded.db", fixture->folder);
    OK(connection_open(fixture->path, 1, &fresh, &err));
    OK(migrate(fresh, &err));
    OK(connection_open(path, 1, &upgraded, &err));
    for (size_t count = 1; count <= migrations_embedded_count; count++)
        OK(migrate_with(upgraded, migrations_embedded, count, &err));
    char *left = describe(fresh), *right = describe(upgraded);
    assert_string_equal(left, right);
    assert_int_equal(sql_read(fresh->db, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
    assert_int_equal(sql_read(fresh->db, "PRAGMA user_version"), store_schema_version());
    free(left);
    free(right);
    connection_close(fresh);
    connection_close(upgraded);
}

/* Counting states reads an index alone, however large the bodies are. */
static void test_counts_read_no_bodies(void **state)
{
    struct fixture *fixture = *state;
    struct connection *connection = NULL;
    sqlite3_stmt *statement = NULL;
    OK(connection_open(fixture->path, 1, &connection, &err));
    OK(migrate(connection, &err));
    assert_int_equal(
        sqlite3_prepare_v2(connection->db,
                           "EXPLAIN QUERY PLAN SELECT state, count(*) FROM deliveries GROUP BY state", -1,
                           &statement, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_non_null(
        strstr((const char *)sqlite3_column_text(statement, 3), "COVERING INDEX deliveries_state"));
    (void)sqlite3_finalize(statement);
    connection_close(connection);
}

/* Tables are STRICT, and deleting a row finds what refers to it through an index. */
static void test_schema_rules(void **state)
{
    struct fixture *fixture = *state;
    struct connection *connection = NULL;
    OK(connection_open(fixture->path, 1, &connection, &err));
    OK(migrate(connection, &err));
    assert_int_equal(sql_read(connection->db,
                              "SELECT count(*) FROM pragma_table_list WHERE type = 'table' AND strict = 0 "
                              "AND name NOT LIKE 'sqlite_%'"),
                     0);
    assert_true(sql_read(connection->db, "SELECT count(*) FROM pragma_table_list WHERE strict = 1") > 15);
    assert_true(sql_read(connection->db,
                         "SELECT count(*) FROM pragma_table_list t, pragma_foreign_key_list(t.name) f") > 15);
    assert_int_equal(
        sql_read(connection->db,
                 "SELECT count(*) FROM pragma_table_list t, pragma_foreign_key_list(t.name) f "
                 "WHERE f.seq = 0 AND f.on_delete <> 'NO ACTION' AND NOT EXISTS (SELECT 1 FROM "
                 "pragma_index_list(t.name) i, "
                 "pragma_index_info(i.name) c WHERE c.seqno = 0 AND c.name = f.\"from\") "
                 "AND NOT EXISTS (SELECT 1 FROM pragma_table_info(t.name) c WHERE c.pk = 1 AND c.name = "
                 "f.\"from\")"),
        0);
    connection_close(connection);
}

static int count_step(void *context)
{
    *(int64_t *)context += 1;
    return 0;
}

/* The work of an upgrade grows with the revisions of a model, and not with their square. */
static void test_upgrade_of_a_long_series(void **state)
{
    enum { REVISIONS = 2000, EVERY = 1000 };
    struct fixture *fixture = *state;
    struct connection *connection = NULL;
    char sql[400];
    int64_t thousands = 0;
    OK(connection_open(fixture->path, 1, &connection, &err));
    OK(migrate_with(connection, migrations_embedded, 7, &err));
    (void)snprintf(
        sql, sizeof sql,
        "INSERT INTO models (id, name, kind, created_ms, updated_ms) VALUES (1, 'a/b', 'hub', 1, 1);"
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
        "INSERT INTO revisions (model_id, name, commit_sha, step, first_seen_ms) "
        "SELECT 1, 'step' || i, i, i, 1 FROM n",
        REVISIONS - 1);
    OK(connection_exec(connection, sql, &err));
    sqlite3_progress_handler(connection->db, EVERY, count_step, &thousands);
    OK(migrate(connection, &err));
    sqlite3_progress_handler(connection->db, 0, NULL, NULL);
    assert_int_equal(sql_read(connection->db, "SELECT sum(stated) FROM revisions"), 0);
    assert_in_range(thousands, 1, REVISIONS * 200 / EVERY);
    connection_close(connection);
}

/* A wrong migration leaves the database at the version before it. */
static void test_failed_migration(void **state)
{
    struct fixture *fixture = *state;
    struct connection *connection = NULL;
    OK(connection_open(fixture->path, 1, &connection, &err));
    OK(migrate_with(connection, later, 1, &err));
    char *before = describe(connection);
    static const char WRONG[] = "CREATE TABLE half (id); CREATE TABLE half (id);";
    struct base_embedded wrong[2] = {later[0], EMBEDDED(WRONG)};
    FAILS(ERR_DATABASE, migrate_with(connection, wrong, 2, &err));
    char *after = describe(connection);
    assert_string_equal(before, after);
    OK(migrate_with(connection, later, 2, &err));
    free(before);
    free(after);
    connection_close(connection);
}

/* A disk that is full in the middle of a migration: told as that, the database is as it was, and the next
 * start makes it from its beginning. */
static void test_full_disk_in_migration(void **state)
{
    struct fixture *fixture = *state;
    struct connection *connection = NULL;
    struct rlimit unlimited, small;
    OK(connection_open(fixture->path, 1, &connection, &err));
    OK(migrate_with(connection, later, 2, &err));
    char *before = describe(connection);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
    small = (struct rlimit){.rlim_cur = 1 << 20, .rlim_max = unlimited.rlim_max};
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct err reason = ERR_INIT;
    int code = migrate_with(connection, later, 3, &reason);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
    assert_int_equal(code, ERR_NO_SPACE);
    assert_non_null(strstr(reason.message, "migration test: "));
    assert_non_null(strstr(reason.message, "free disk space"));
    connection_close(connection);
    OK(connection_open(fixture->path, 1, &connection, &err));
    char *after = describe(connection);
    assert_string_equal(before, after);
    OK(migrate_with(connection, later, 3, &err));
    assert_int_equal(sql_read(connection->db, "SELECT count(*) FROM added"), 15000);
    OK(connection_check(connection, &err));
    free(before);
    free(after);
    connection_close(connection);
}

/* Killed at any moment of a long migration, it is made again from its beginning. */
static void test_killed_in_migration(void **state)
{
    struct fixture *fixture = *state;
    char path[256];
    struct connection *connection = NULL;
    (void)snprintf(path, sizeof path, "%s/fresh.db", fixture->folder);
    OK(connection_open(path, 1, &connection, &err));
    OK(migrate_with(connection, later, 3, &err));
    char *expected = describe(connection);
    connection_close(connection);
    int in_between = 0;
    for (int delay_ms = 0; delay_ms < 64; delay_ms += 8) {
        (void)unlink(fixture->path);
        char name[256];
        (void)snprintf(name, sizeof name, "%s-wal", fixture->path);
        (void)unlink(name);
        (void)snprintf(name, sizeof name, "%s-shm", fixture->path);
        (void)unlink(name);
        pid_t child = fork();
        if (child == 0) {
            struct err err = ERR_INIT;
            int code = connection_open(fixture->path, 1, &connection, &err);
            if (!code)
                code = migrate_with(connection, later, 3, &err);
            _exit(code ? 1 : 0);
        }
        clock_sleep_ms(delay_ms);
        (void)kill(child, SIGKILL);
        (void)waitpid(child, NULL, 0);
        OK(connection_open(fixture->path, 1, &connection, &err));
        int64_t version = sql_read(connection->db, "PRAGMA user_version");
        in_between += version > 0 && version < 3;
        OK(migrate_with(connection, later, 3, &err));
        char *found = describe(connection);
        assert_string_equal(found, expected);
        assert_int_equal(sql_read(connection->db, "SELECT count(*) FROM added"), 15000);
        assert_int_equal(sql_read(connection->db,
                                  "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"),
                         1);
        free(found);
        connection_close(connection);
    }
    print_message("killed in the long migration %d times of 8\n", in_between);
    free(expected);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_fresh_equals_upgraded), CASE(test_released_migrations),
        CASE(test_counts_read_no_bodies), CASE(test_schema_rules),
        CASE(test_failed_migration),      CASE(test_full_disk_in_migration),
        CASE(test_killed_in_migration),   CASE(test_upgrade_of_a_long_series),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
