/* What each migration makes of the rows of an older database. */
#include "tests/unit/store/fixture.h"

#include "daemon/base/embedded.h"
#include "store/connection.h"
#include "tests/unit/store/sql.h"

/* A database of an older version with these rows, upgraded. */
static struct connection *upgrade(struct fixture *fixture, size_t version, const char *rows)
{
    struct connection *connection = NULL;
    OK(connection_open(fixture->path, 1, &connection, &err));
    OK(migrate_with(connection, migrations_embedded, version, &err));
    OK(connection_exec(connection, rows, &err));
    OK(migrate(connection, &err));
    return connection;
}

/* The outbox of an older database: its rows, their numbers, and what refers to them. */
static void test_outbox_with_bodies_behind(void **state)
{
    struct connection *connection = upgrade(
        *state, 4,
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
        "DELETE FROM deliveries WHERE id = 9");
    assert_int_equal(sql_read(connection->db, "SELECT count(*) FROM deliveries"), 2);
    assert_int_equal(sql_read(connection->db,
                              "SELECT count(*) FROM deliveries WHERE (id, watch_id, name, event, "
                              "sweep_id, length(body), state, next_ms, created_ms, status, error) "
                              "= (1, 3, 'one', 'sweep.finished', 7, 200000, 'failed', 11, 12, "
                              "503, 'no')"),
                     1);
    assert_int_equal(sql_read(connection->db, "SELECT tasks_ended * 100 + jobs_submitted FROM totals"), 701);
    /* Nobody waits for the ends of sweeps that ended before they were counted. */
    assert_int_equal(
        sql_read(connection->db, "SELECT sweeps_ended + (SELECT count(end_number) FROM sweeps) FROM totals"),
        0);
    OK(connection_exec(connection,
                       "INSERT INTO deliveries (watch_id, name, event, body, next_ms, created_ms) VALUES "
                       "(3, 'ten', 'onset.found', '', 1, 1)",
                       &err));
    assert_int_equal(sql_read(connection->db, "SELECT max(id) FROM deliveries"), 10); /* 9 was used */
    OK(connection_exec(connection, "DELETE FROM watches", &err));
    assert_int_equal(sql_read(connection->db, "SELECT count(*) FROM deliveries"), 0);
    connection_close(connection);
}

/* Of tasks that wait for another attempt, what the last one failed of is known. */
static void test_suspects_of_waiting_tasks(void **state)
{
    struct connection *connection =
        upgrade(*state, 11,
                "INSERT INTO models (id, name, kind, created_ms, updated_ms) VALUES (1, 'a/b', 'hub', 1, 1);"
                "INSERT INTO revisions (id, model_id, name, commit_sha, step, first_seen_ms) VALUES "
                "(1, 1, 'step0', '0', 0, 1), (2, 1, 'step1', '1', 1, 1), (3, 1, 'step2', '2', 2, 1);"
                "INSERT INTO sweeps (id, model_id, state, request, priority, created_ms) VALUES "
                "(1, 1, 'running', '{}', 0, 1);"
                "INSERT INTO tasks (sweep_id, revision_id, ordinal, state, failures, error_code) VALUES "
                "(1, 1, 0, 'queued', 1, 'device_lost'), (1, 2, 1, 'queued', 1, 'network'), "
                "(1, 3, 2, 'queued', 0, '')");
    assert_int_equal(sql_read(connection->db, "SELECT count(*) FROM tasks WHERE suspect <> ''"), 1);
    assert_int_equal(sql_read(connection->db, "SELECT revision_id FROM tasks WHERE suspect = 'device_lost'"),
                     1);
    connection_close(connection);
}

/* The rule for names is that of the newest sweep that was planned with one. */
static void test_rules_of_sweeps(void **state)
{
    struct connection *connection =
        upgrade(*state, 12,
                "INSERT INTO models (id, name, kind, created_ms, updated_ms) VALUES (1, 'a/b', 'hub', 1, 1), "
                "(2, 'a/c', 'hub', 1, 1);"
                "INSERT INTO sweeps (id, model_id, state, request, priority, created_ms, started_ms) VALUES "
                "(1, 1, 'done', '{\"revisions\":{\"rule\":\"old-{step}\"}}', 0, 1, 1), "
                "(2, 1, 'done', '{\"revisions\":{\"rule\":\"run-{step}\"}}', 0, 1, 1), "
                "(3, 1, 'failed', '{\"revisions\":{\"rule\":\"mistyped-{step}\"}}', 0, 1, NULL), "
                "(4, 1, 'done', '{\"revisions\":{}}', 0, 1, 1), (5, 2, 'done', 'damaged', 0, 1, 1)");
    assert_int_equal(sql_read(connection->db, "SELECT count(*) FROM models WHERE (id, rule) IN (VALUES "
                                              "(1, 'run-{step}'), (2, ''))"),
                     2);
    connection_close(connection);
}

/* Sweeps of a watch since its request changed count on; those before it do not. */
static void test_requests_of_watches(void **state)
{
    struct connection *connection = upgrade(
        *state, 16,
        "INSERT INTO models (id, name, kind, created_ms, updated_ms) VALUES (1, 'a/b', 'hub', 1, 1);"
        "INSERT INTO watches (id, model_id, at_minute, request, priority, created_ms, changed_ms, since_ms) "
        "VALUES (3, 1, 5, '{}', 0, 1, 20, 1);"
        "INSERT INTO sweeps (id, model_id, state, request, priority, created_ms, watch_id) VALUES "
        "(1, 1, 'done', '{}', 0, 19, 3), (2, 1, 'done', '{}', 0, 20, 3), (4, 1, 'done', '{}', 0, 30, NULL)");
    assert_int_equal(sql_read(connection->db, "SELECT s.id FROM sweeps s JOIN watches w ON w.id = s.watch_id "
                                              "AND w.request_number = s.watch_request"),
                     2);
    assert_int_equal(sql_read(connection->db, "SELECT count(*) FROM sweeps WHERE watch_request IS NULL"), 1);
    connection_close(connection);
}

/* What names say of an older database's revisions follows from what is there. */
static void test_what_names_say(void **state)
{
    struct connection *connection = upgrade(
        *state, 7,
        "INSERT INTO models (id, name, kind, created_ms, updated_ms) VALUES (1, 'a/tokens', 'hub', 1, "
        "1), (2, 'a/none', 'hub', 1, 1);"
        "INSERT INTO revisions (model_id, name, commit_sha, step, stage, ingredient, tokens, "
        "first_seen_ms) VALUES (1, 'step0', 'a', 0, 0, 0, 0, 1), (1, 'step1', 'b', 1, 0, 0, 2097152, 1), "
        "(1, 'main', 'c', NULL, 0, 0, 0, 1), (2, 'step0', 'a', 0, 0, 0, 0, 1), "
        "(2, 'stage2-ingredient1-step7', 'b', 7, 2, 1, 0, 1)");
    assert_int_equal(sql_read(connection->db,
                              "SELECT group_concat(stated, '') FROM (SELECT stated FROM revisions "
                              "ORDER BY id)"),
                     44003);
    connection_close(connection);
}

/* What the steps of an older database count follows from its names, rules and numbers. */
static void test_units_of_steps(void **state)
{
    struct connection *connection = upgrade(
        *state, 19,
        "INSERT INTO models (id, name, kind, rule, created_ms, updated_ms) VALUES "
        "(1, 'a/steps', 'hub', '', 1, 1), (2, 'a/tokens', 'hub', '', 1, 1), (3, 'a/words', 'hub', '', 1, 1), "
        "(4, 'a/epochs', 'hub', '', 1, 1), (5, 'a/own', 'hub', 'x/Epoch_{step}', 1, 1), "
        "(6, 'a/none', 'hub', '', 1, 1), (7, 'a/other', 'hub', 'chck_{step}', 1, 1), "
        "(8, 'a/old', 'hub', '', 1, 1), (9, 'LLM360/Amber', 'hub', '', 1, 1), (10, 'IFM/K2', 'hub', "
        "'ckpt_{step}', 1, 1), (11, 'LLM360/K2', 'hub', 'main:x-{step}', 1, 1), "
        "(12, 'a/Amber', 'hub', '', 1, 1);"
        "INSERT INTO revisions (model_id, name, commit_sha, step, tokens, stated, is_current, first_seen_ms) "
        "VALUES (1, 'step0', 'a', 0, 0, 4, 1, 1), (1, 'step1', 'b', 1, 2097152, 4, 1, 1), "
        "(2, '0b_tokens', 'a', 0, 0, 4, 1, 1), (2, '240b_tokens', 'a', 240000000000, 240000000000, 4, 1, 1), "
        "(3, 'hf://a/x-chck_1M', 'a', 1000000, 0, 0, 1, 1), "
        "(4, 'main^Training in progress, epoch 3', 'a', 3, 0, 0, 1, 1), (5, 'x/Epoch_3', 'a', 3, 0, 0, 1, "
        "1), "
        "(6, 'main', 'a', NULL, 0, 0, 1, 1), (7, 'chck_5', 'a', 5, 0, 0, 1, 1), "
        "(8, '240b_tokens', 'a', 240000000000, 240000000000, 4, 0, 1), (8, 'step5', 'b', 5, 0, 0, 1, 1)");
    assert_int_equal(sql_read(connection->db,
                              "SELECT group_concat(step_unit, '') FROM (SELECT step_unit FROM models "
                              "ORDER BY id)"),
                     12330004400); /* 012330004400 */
    assert_int_equal(sql_read(connection->db, "SELECT step_unit FROM models WHERE id = 1"), 0);
    connection_close(connection);
}

/* Sampled entries of an older database belong to the number of token rows that its statistics name. */
static void test_samples_know_their_rows(void **state)
{
    struct connection *connection = upgrade(
        *state, 9,
        "INSERT INTO contents (id, digest, dtype, rows, columns, size_bytes) VALUES (1, 'a', 'float16', 60, "
        "4, 480), (2, 'b', 'float16', 60, 4, 480);"
        "INSERT INTO statistics (content_id, definition, backend, row_set, token_rows, is_centred, elements, "
        "nan_count, positive_inf_count, negative_inf_count, zero_count) VALUES "
        "(1, 1, 'cpu', 'all', 0, 0, 240, 0, 0, 0, 0), (1, 1, 'cpu', 'tokens', 50, 0, 200, 0, 0, 0, 0), "
        "(1, 2, 'cpu', 'tokens', 50, 1, 200, 0, 0, 0, 0), (2, 1, 'cpu', 'tokens', 50, 0, 200, 0, 0, 0, 0), "
        "(2, 1, 'cpu', 'tokens', 60, 0, 240, 0, 0, 0, 0);"
        "INSERT INTO samples (content_id, definition, seed, count, encoding, size_raw, data) VALUES "
        "(1, 1, 9, 16, 1, 64, x'0102'), (2, 1, 9, 16, 1, 64, x'03')");
    assert_int_equal(sql_read(connection->db, "SELECT count(*) FROM statistics WHERE modes IS NULL"), 5);
    assert_int_equal(sql_read(connection->db, "SELECT count(*) FROM samples"),
                     1); /* nobody knows of the other */
    assert_int_equal(sql_read(connection->db, "SELECT count(*) FROM samples WHERE (content_id, token_rows, "
                                              "definition, seed, count, encoding, size_raw, data) = "
                                              "(1, 50, 1, 9, 16, 1, 64, x'0102')"),
                     1);
    OK(connection_exec(connection, "DELETE FROM contents", &err));
    assert_int_equal(sql_read(connection->db, "SELECT count(*) FROM samples"), 0);
    connection_close(connection);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_folder, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_outbox_with_bodies_behind),
        CASE(test_suspects_of_waiting_tasks),
        CASE(test_rules_of_sweeps),
        CASE(test_requests_of_watches),
        CASE(test_what_names_say),
        CASE(test_units_of_steps),
        CASE(test_samples_know_their_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
