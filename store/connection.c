#include "store/connection.h"

#include "store/query.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Set on every connection, outside of any transaction (inside, SQLite ignores or refuses them). */
static const char CONNECTION_SETTINGS[] = "PRAGMA foreign_keys = ON;"
                                          "PRAGMA trusted_schema = OFF;"
                                          "PRAGMA temp_store = MEMORY;"
                                          "PRAGMA cache_size = -16384;" /* KiB */
                                          "PRAGMA journal_size_limit = 67108864;";

struct failure {
    int result; /* primary result code of SQLite */
    enum err_code code;
    const char *advice;
};

static const struct failure FAILURES[] = {
    {SQLITE_FULL, ERR_NO_SPACE, ": free disk space"},
    {SQLITE_READONLY, ERR_IO, ": make the file and its folder writable"},
    {SQLITE_CANTOPEN, ERR_IO, ": check the folder and its permissions"},
    {SQLITE_PERM, ERR_IO, ""},
    {SQLITE_AUTH, ERR_IO, ""},
    {SQLITE_IOERR, ERR_IO, ": check the disk"},
    {SQLITE_NOMEM, ERR_NO_MEMORY, ""},
    {SQLITE_BUSY, ERR_TIMEOUT, ": another program holds the database: end it (fuser -v names it)"},
    {SQLITE_LOCKED, ERR_TIMEOUT, ": another program holds the database: end it (fuser -v names it)"},
    {SQLITE_CORRUPT, ERR_DATABASE, ": restore a backup, or move the file away to start anew"},
    {SQLITE_NOTADB, ERR_DATABASE, ": restore a backup, or move the file away to start anew"},
    {SQLITE_TOOBIG, ERR_LIMIT, ""},
    {SQLITE_INTERRUPT, ERR_CANCELLED, ""},
};

int connection_fail_text(const char *path, int result, const char *text, struct err *err)
{
    if (result == SQLITE_CONSTRAINT_FOREIGNKEY)
        return err_set(err, ERR_NOT_FOUND, "database: a row that is referred to does not exist (any more)");
    for (size_t i = 0; i < sizeof FAILURES / sizeof FAILURES[0]; i++) {
        if ((result & 0xff) == FAILURES[i].result)
            return err_set(err, FAILURES[i].code, "database %s: %s%s", path, text, FAILURES[i].advice);
    }
    return err_set(err, ERR_DATABASE, "database %s: %s", path, text);
}

int connection_fail(struct connection *connection, int result, struct err *err)
{
    const char *path = sqlite3_db_filename(connection->db, "main");
    /* SQLite does not report why a write failed, but errno still says it. */
    int reason = (result & 0xff) == SQLITE_IOERR ? errno : 0;
    if (reason == ENOSPC || reason == EDQUOT || reason == EFBIG)
        result = SQLITE_FULL; /* a quota, or a limit of the process on file sizes */
    return connection_fail_text(path ? path : "", result, sqlite3_errmsg(connection->db), err);
}

int connection_exec(struct connection *connection, const char *sql, struct err *err)
{
    errno = 0;
    int result = sqlite3_exec(connection->db, sql, NULL, NULL, NULL);
    return result == SQLITE_OK ? 0
                               : connection_fail(connection, sqlite3_extended_errcode(connection->db), err);
}

/* WAL lets reads go on beside a write. It is a property of the file, and fails where files cannot be mapped.
 */
static int set_wal(struct connection *connection, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(connection->db, "PRAGMA journal_mode = WAL", -1, &statement, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_step(statement);
    const char *mode = result == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    int code = 0;
    if (!mode)
        code = connection_fail(connection, result == SQLITE_ROW ? SQLITE_NOMEM : result, err);
    else if (strcmp(mode, "wal") != 0)
        code = err_set(err, ERR_IO,
                       "database %s: write-ahead logging is impossible here: use a local file system",
                       sqlite3_db_filename(connection->db, "main"));
    (void)sqlite3_finalize(statement);
    return code;
}

/* Opens the file and sets what every connection has. The caller closes it, also after an error. */
static int open_file(const char *path, int flags, struct connection **ret_connection, struct err *err)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        return err_set(err, ERR_NO_MEMORY, "database %s: out of memory", path);
    *ret_connection = connection;
    connection->durability = CONNECTION_DURABILITY_FULL;
    int result = sqlite3_open_v2(path, &connection->db, SQLITE_OPEN_NOMUTEX | flags, NULL);
    if (result != SQLITE_OK)
        return connection_fail_text(path, result,
                                    connection->db ? sqlite3_errmsg(connection->db) : "out of memory", err);
    (void)sqlite3_extended_result_codes(connection->db, 1);
    (void)sqlite3_busy_timeout(connection->db, CONNECTION_BUSY_MS);
    return 0;
}

/* A new file is its owner's alone, and so are the log and the index that SQLite puts beside it, which would
 * let the umask decide: there are secrets of webhooks in it. What cannot be made here, SQLite complains of.
 */
static void make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        (void)close(fd);
}

int connection_open(const char *path, int is_writer, struct connection **ret_connection, struct err *err)
{
    struct connection *connection = NULL;
    if (is_writer)
        make_file(path);
    int code = open_file(path, is_writer ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READWRITE,
                         &connection, err);
    if (code)
        goto out;
    if (is_writer && sqlite3_db_readonly(connection->db, "main") == 1) {
        code = err_set(err, ERR_IO, "database %s: is read-only: make the file and its folder writable", path);
        goto out;
    }
    if ((code = connection_exec(connection, CONNECTION_SETTINGS, err)))
        goto out;
    if (is_writer)
        code = set_wal(connection, err);
    if (!code)
        code = connection_exec(connection, is_writer ? "PRAGMA synchronous = FULL" : "PRAGMA query_only = ON",
                               err);
out:
    if (code)
        connection_close(connection);
    else
        *ret_connection = connection;
    return code;
}

int connection_open_plain(const char *path, struct connection **ret_connection, struct err *err)
{
    struct connection *connection = NULL;
    int code = open_file(path, SQLITE_OPEN_READWRITE, &connection, err);
    if (!code)
        code = connection_exec(connection, "PRAGMA trusted_schema = OFF; PRAGMA synchronous = FULL", err);
    if (code)
        connection_close(connection);
    else
        *ret_connection = connection;
    return code;
}

void connection_close(struct connection *connection)
{
    if (!connection)
        return;
    for (size_t i = 0; i < CONNECTION_STATEMENTS; i++)
        (void)sqlite3_finalize(connection->statements[i].statement);
    (void)sqlite3_close(connection->db);
    free(connection);
}

int connection_prepare(struct connection *connection, const char *sql, sqlite3_stmt **ret_statement,
                       struct err *err)
{
    size_t slot = ((uintptr_t)sql * UINT64_C(0x9e3779b97f4a7c15)) >> 56;
    struct connection_statement *entry = &connection->statements[slot % CONNECTION_STATEMENTS];
    while (entry->sql && entry->sql != sql) {
        slot++;
        entry = &connection->statements[slot % CONNECTION_STATEMENTS];
    }
    if (entry->sql) {
        if (sqlite3_stmt_busy(entry->statement))
            return err_set(err, ERR_INTERNAL, "database: a statement is used inside of itself");
        (void)sqlite3_clear_bindings(entry->statement);
        *ret_statement = entry->statement;
        return 0;
    }
    if (connection->statement_count == CONNECTION_STATEMENTS - 1)
        return err_set(err, ERR_INTERNAL, "database: too many statements");
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v3(connection->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
    if (result != SQLITE_OK)
        return connection_fail(connection, result, err);
    *entry = (struct connection_statement){.sql = sql, .statement = statement};
    connection->statement_count++;
    *ret_statement = statement;
    return 0;
}

int connection_check(struct connection *connection, struct err *err)
{
    struct query query;
    char text[256];
    const char *path = sqlite3_db_filename(connection->db, "main");
    int code = query_begin(&query, connection, "PRAGMA integrity_check(1)", err);
    if (!code && (code = query_next(&query, err)) > 0) {
        query_text(&query, text, sizeof text);
        code = strcmp(text, "ok") ? err_set(err, ERR_DATABASE, "database %s: damaged: %s", path, text) : 0;
    }
    code = query_end(&query, code);
    if (!code)
        code = query_begin(&query, connection, "PRAGMA foreign_key_check", err);
    if (!code && (code = query_next(&query, err)) > 0) {
        query_text(&query, text, sizeof text);
        code = err_set(err, ERR_DATABASE, "database %s: damaged: a row of table %s refers to nothing", path,
                       text);
    }
    return query_end(&query, code);
}
