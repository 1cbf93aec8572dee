/* Migrations: one path for new and old databases, each whole or not at all. */
#include "tests/unit/store/fixture.h"

#include "daemon/base/embedded.h"
#include "store/connection.h"

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

static int64_t read_int(struct connection *connection, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(connection->db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return value;
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
        assert_int_equal(read_int(upgraded, "PRAGMA user_version"), count);
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
    assert_int_equal(read_int(upgraded, "SELECT added FROM models"), 7);
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
    assert_int_equal(read_int(fresh, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
    assert_int_equal(read_int(fresh, "PRAGMA user_version"), store_schema_version());
    free(left);
    free(right);
    connection_close(fresh);
    connection_close(upgraded);
}

/* The outbox of an older database: its rows, their numbers, and what refers to them. */
static void test_outbox_with_bodies_behind(void **state)
{
    struct fixture *fixture = *state;
    struct connection *connection = NULL;
    OK(connection_open(fixture->path, 1, &connection, &err));
    OK(migrate_with(connection, migrations_embedded, 4, &err));
    OK(connection_exec(
        connection,
        "INSERT INTO models (id, name, kind, created_ms, updated_ms) VALUES (1, 'a/b', 'hub', 1, 1);"
        "INSERT INTO sweeps (id, model_id, state, request, priority, created_ms, tasks_done, tasks_failed) "
        "VALUES (7, 1, 'done', '{}', 0, 1, 5, 2);"
        "INSERT INTO jobs (sweep_id, job_id, state, size, submitted_ms) VALUES (7, 4711, 'ended', 1, 1), "
        "(7, NULL, 'refused', 1, 1);"
        "INSERT INTO watches (id, model_id, at_minute, request, priority, created_ms, changed_ms, since_ms) "
        "VALUES (3, 1, 5, '{}', 0, 1, 1, 1);"
        "INSERT INTO deliveries (id, watch_id, name, event, sweep_id, body, state, next_ms, created_ms, "
        "status, error) "
        "VALUES (1, 3, 'one', 'sweep.finished', 7, hex(zeroblob(100000)), 'failed', 11, 12, 503, 'no'), "
        "(2, 3, 'two', 'onset.found', NULL, 'body', 'pending', 13, 14, NULL, ''), "
        "(9, 3, 'nine', 'onset.found', NULL, 'body', 'pending', 13, 14, NULL, '');"
        "DELETE FROM deliveries WHERE id = 9",
        &err));
    OK(migrate(connection, &err));
    assert_int_equal(read_int(connection, "SELECT count(*) FROM deliveries"), 2);
    assert_int_equal(read_int(connection,
                              "SELECT count(*) FROM deliveries WHERE (id, watch_id, name, event, "
                              "sweep_id, length(body), state, next_ms, created_ms, status, error) "
                              "= (1, 3, 'one', 'sweep.finished', 7, 200000, 'failed', 11, 12, "
                              "503, 'no')"),
                     1);
    assert_int_equal(read_int(connection, "SELECT tasks_ended * 100 + jobs_submitted FROM totals"), 701);
    /* Nobody waits for the ends of sweeps that ended before they were counted. */
    assert_int_equal(
        read_int(connection, "SELECT sweeps_ended + (SELECT count(end_number) FROM sweeps) FROM totals"), 0);
    OK(connection_exec(connection,
                       "INSERT INTO deliveries (watch_id, name, event, body, next_ms, created_ms) VALUES "
                       "(3, 'ten', 'onset.found', '', 1, 1)",
                       &err));
    assert_int_equal(read_int(connection, "SELECT max(id) FROM deliveries"), 10); /* 9 was used */
    OK(connection_exec(connection, "DELETE FROM watches", &err));
    assert_int_equal(read_int(connection, "SELECT count(*) FROM deliveries"), 0);
    connection_close(connection);
}

/* Of tasks that wait for another attempt, what the last one failed of is known. */
static void test_suspects_of_waiting_tasks(void **state)
{
    struct fixture *fixture = *state;
    struct connection *connection = NULL;
    OK(connection_open(fixture->path, 1, &connection, &err));
    OK(migrate_with(connection, migrations_embedded, 11, &err));
    OK(connection_exec(
        connection,
        "INSERT INTO models (id, name, kind, created_ms, updated_ms) VALUES (1, 'a/b', 'hub', 1, 1);"
        "INSERT INTO revisions (id, model_id, name, commit_sha, step, first_seen_ms) VALUES "
        "(1, 1, 'step0', '0', 0, 1), (2, 1, 'step1', '1', 1, 1), (3, 1, 'step2', '2', 2, 1);"
        "INSERT INTO sweeps (id, model_id, state, request, priority, created_ms) VALUES "
        "(1, 1, 'running', '{}', 0, 1);"
        "INSERT INTO tasks (sweep_id, revision_id, ordinal, state, failures, error_code) VALUES "
        "(1, 1, 0, 'queued', 1, 'device_lost'), (1, 2, 1, 'queued', 1, 'network'), "
        "(1, 3, 2, 'queued', 0, '')",
        &err));
    OK(migrate(connection, &err));
    assert_int_equal(read_int(connection, "SELECT count(*) FROM tasks WHERE suspect <> ''"), 1);
    assert_int_equal(read_int(connection, "SELECT revision_id FROM tasks WHERE suspect = 'device_lost'"), 1);
    connection_close(connection);
}

/* The rule for names is that of the newest sweep that was planned with one. */
static void test_rules_of_sweeps(void **state)
{
    struct fixture *fixture = *state;
    struct connection *connection = NULL;
    OK(connection_open(fixture->path, 1, &connection, &err));
    OK(migrate_with(connection, migrations_embedded, 12, &err));
    OK(connection_exec(
        connection,
        "INSERT INTO models (id, name, kind, created_ms, updated_ms) VALUES (1, 'a/b', 'hub', 1, 1), "
        "(2, 'a/c', 'hub', 1, 1);"
        "INSERT INTO sweeps (id, model_id, state, request, priority, created_ms, started_ms) VALUES "
        "(1, 1, 'done', '{\"revisions\":{\"rule\":\"old-{step}\"}}', 0, 1, 1), "
        "(2, 1, 'done', '{\"revisions\":{\"rule\":\"run-{step}\"}}', 0, 1, 1), "
        "(3, 1, 'failed', '{\"revisions\":{\"rule\":\"mistyped-{step}\"}}', 0, 1, NULL), "
        "(4, 1, 'done', '{\"revisions\":{}}', 0, 1, 1), (5, 2, 'done', 'damaged', 0, 1, 1)",
        &err));
    OK(migrate(connection, &err));
    assert_int_equal(read_int(connection, "SELECT count(*) FROM models WHERE (id, rule) IN (VALUES "
                                          "(1, 'run-{step}'), (2, ''))"),
                     2);
    connection_close(connection);
}

/* Sweeps of a watch since its request changed count on; those before it do not. */
static void test_requests_of_watches(void **state)
{
    struct fixture *fixture = *state;
    struct connection *connection = NULL;
    OK(connection_open(fixture->path, 1, &connection, &err));
    OK(migrate_with(connection, migrations_embedded, 16, &err));
    OK(connection_exec(
        connection,
        "INSERT INTO models (id, name, kind, created_ms, updated_ms) VALUES (1, 'a/b', 'hub', 1, 1);"
        "INSERT INTO watches (id, model_id, at_minute, request, priority, created_ms, changed_ms, since_ms) "
        "VALUES (3, 1, 5, '{}', 0, 1, 20, 1);"
        "INSERT INTO sweeps (id, model_id, state, request, priority, created_ms, watch_id) VALUES "
        "(1, 1, 'done', '{}', 0, 19, 3), (2, 1, 'done', '{}', 0, 20, 3), (4, 1, 'done', '{}', 0, 30, NULL)",
        &err));
    OK(migrate(connection, &err));
    assert_int_equal(read_int(connection, "SELECT s.id FROM sweeps s JOIN watches w ON w.id = s.watch_id "
                                          "AND w.request_number = s.watch_request"),
                     2);
    assert_int_equal(read_int(connection, "SELECT count(*) FROM sweeps WHERE watch_request IS NULL"), 1);
    connection_close(connection);
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
    assert_int_equal(read_int(connection,
                              "SELECT count(*) FROM pragma_table_list WHERE type = 'table' AND strict = 0 "
                              "AND name NOT LIKE 'sqlite_%'"),
                     0);
    assert_true(read_int(connection, "SELECT count(*) FROM pragma_table_list WHERE strict = 1") > 15);
    assert_true(read_int(connection,
                         "SELECT count(*) FROM pragma_table_list t, pragma_foreign_key_list(t.name) f") > 15);
    assert_int_equal(
        read_int(connection,
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
    assert_int_equal(read_int(connection, "SELECT sum(stated) FROM revisions"), 0);
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
    assert_int_equal(read_int(connection, "SELECT count(*) FROM added"), 15000);
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
        int64_t version = read_int(connection, "PRAGMA user_version");
        in_between += version > 0 && version < 3;
        OK(migrate_with(connection, later, 3, &err));
        char *found = describe(connection);
        assert_string_equal(found, expected);
        assert_int_equal(read_int(connection, "SELECT count(*) FROM added"), 15000);
        assert_int_equal(
            read_int(connection, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"),
            1);
        free(found);
        connection_close(connection);
    }
    print_message("killed in the long migration %d times of 8\n", in_between);
    free(expected);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_close)

/* What names say of an older database's revisions follows from what is there. */
static void test_what_names_say(void **state)
{
    struct fixture *fixture = *state;
    struct connection *connection = NULL;
    OK(connection_open(fixture->path, 1, &connection, &err));
    OK(migrate_with(connection, migrations_embedded, 7, &err));
    OK(connection_exec(
        connection,
        "INSERT INTO models (id, name, kind, created_ms, updated_ms) VALUES (1, 'a/tokens', 'hub', 1, "
        "1), (2, 'a/none', 'hub', 1, 1);"
        "INSERT INTO revisions (model_id, name, commit_sha, step, stage, ingredient, tokens, "
        "first_seen_ms) VALUES (1, 'step0', 'a', 0, 0, 0, 0, 1), (1, 'step1', 'b', 1, 0, 0, 2097152, 1), "
        "(1, 'main', 'c', NULL, 0, 0, 0, 1), (2, 'step0', 'a', 0, 0, 0, 0, 1), "
        "(2, 'stage2-ingredient1-step7', 'b', 7, 2, 1, 0, 1)",
        &err));
    OK(migrate(connection, &err));
    assert_int_equal(read_int(connection,
                              "SELECT group_concat(stated, '') FROM (SELECT stated FROM revisions "
                              "ORDER BY id)"),
                     44003);
    connection_close(connection);
}

/* What the steps of an older database count follows from its names, rules and numbers. */
static void test_units_of_steps(void **state)
{
    struct fixture *fixture = *state;
    struct connection *connection = NULL;
    OK(connection_open(fixture->path, 1, &connection, &err));
    OK(migrate_with(connection, migrations_embedded, 19, &err));
    OK(connection_exec(
        connection,
        "INSERT INTO models (id, name, kind, rule, created_ms, updated_ms) VALUES "
        "(1, 'a/steps', 'hub', '', 1, 1), (2, 'a/tokens', 'hub', '', 1, 1), (3, 'a/words', 'hub', '', 1, 1), "
        "(4, 'a/epochs', 'hub', '', 1, 1), (5, 'a/own', 'hub', 'x/Epoch_{step}', 1, 1), "
        "(6, 'a/none', 'hub', '', 1, 1), (7, 'a/other', 'hub', 'chck_{step}', 1, 1), "
        "(8, 'a/old', 'hub', '', 1, 1);"
        "INSERT INTO revisions (model_id, name, commit_sha, step, tokens, stated, is_current, first_seen_ms) "
        "VALUES (1, 'step0', 'a', 0, 0, 4, 1, 1), (1, 'step1', 'b', 1, 2097152, 4, 1, 1), "
        "(2, '0b_tokens', 'a', 0, 0, 4, 1, 1), (2, '240b_tokens', 'a', 240000000000, 240000000000, 4, 1, 1), "
        "(3, 'hf://a/x-chck_1M', 'a', 1000000, 0, 0, 1, 1), "
        "(4, 'main^Training in progress, epoch 3', 'a', 3, 0, 0, 1, 1), (5, 'x/Epoch_3', 'a', 3, 0, 0, 1, "
        "1), "
        "(6, 'main', 'a', NULL, 0, 0, 1, 1), (7, 'chck_5', 'a', 5, 0, 0, 1, 1), "
        "(8, '240b_tokens', 'a', 240000000000, 240000000000, 4, 0, 1), (8, 'step5', 'b', 5, 0, 0, 1, 1)",
        &err));
    OK(migrate(connection, &err));
    assert_int_equal(read_int(connection,
                              "SELECT group_concat(step_unit, '') FROM (SELECT step_unit FROM models "
                              "ORDER BY id)"),
                     1233000); /* 01233000 */
    assert_int_equal(read_int(connection, "SELECT step_unit FROM models WHERE id = 1"), 0);
    connection_close(connection);
}

/* Sampled entries of an older database belong to the number of token rows that its statistics name. */
static void test_samples_know_their_rows(void **state)
{
    struct fixture *fixture = *state;
    struct connection *connection = NULL;
    OK(connection_open(fixture->path, 1, &connection, &err));
    OK(migrate_with(connection, migrations_embedded, 9, &err));
    OK(connection_exec(
        connection,
        "INSERT INTO contents (id, digest, dtype, rows, columns, size_bytes) VALUES (1, 'a', 'float16', 60, "
        "4, 480), (2, 'b', 'float16', 60, 4, 480);"
        "INSERT INTO statistics (content_id, definition, backend, row_set, token_rows, is_centred, elements, "
        "nan_count, positive_inf_count, negative_inf_count, zero_count) VALUES "
        "(1, 1, 'cpu', 'all', 0, 0, 240, 0, 0, 0, 0), (1, 1, 'cpu', 'tokens', 50, 0, 200, 0, 0, 0, 0), "
        "(1, 2, 'cpu', 'tokens', 50, 1, 200, 0, 0, 0, 0), (2, 1, 'cpu', 'tokens', 50, 0, 200, 0, 0, 0, 0), "
        "(2, 1, 'cpu', 'tokens', 60, 0, 240, 0, 0, 0, 0);"
        "INSERT INTO samples (content_id, definition, seed, count, encoding, size_raw, data) VALUES "
        "(1, 1, 9, 16, 1, 64, x'0102'), (2, 1, 9, 16, 1, 64, x'03')",
        &err));
    OK(migrate(connection, &err));
    assert_int_equal(read_int(connection, "SELECT count(*) FROM statistics WHERE modes IS NULL"), 5);
    assert_int_equal(read_int(connection, "SELECT count(*) FROM samples"), 1); /* nobody knows of the other */
    assert_int_equal(read_int(connection, "SELECT count(*) FROM samples WHERE (content_id, token_rows, "
                                          "definition, seed, count, encoding, size_raw, data) = "
                                          "(1, 50, 1, 9, 16, 1, 64, x'0102')"),
                     1);
    OK(connection_exec(connection, "DELETE FROM contents", &err));
    assert_int_equal(read_int(connection, "SELECT count(*) FROM samples"), 0);
    connection_close(connection);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_fresh_equals_upgraded),
        CASE(test_released_migrations),
        CASE(test_outbox_with_bodies_behind),
        CASE(test_what_names_say),
        CASE(test_units_of_steps),
        CASE(test_suspects_of_waiting_tasks),
        CASE(test_counts_read_no_bodies),
        CASE(test_rules_of_sweeps),
        CASE(test_schema_rules),
        CASE(test_failed_migration),
        CASE(test_full_disk_in_migration),
        CASE(test_killed_in_migration),
        CASE(test_upgrade_of_a_long_series),
        CASE(test_samples_know_their_rows),
        CASE(test_requests_of_watches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
