#include "daemon/base/embedded.h"
#include "store/connection.h"
#include "store/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define APPLICATION_ID 1114203762 /* "Bifr"; set by the first migration */

/* A pragma or query of one integer; not cached, since the schema changes between calls. */
static int read_int(struct connection *connection, const char *sql, int64_t *ret_value, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(connection->db, sql, -1, &statement, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_step(statement);
    int code = 0;
    if (result == SQLITE_ROW)
        *ret_value = sqlite3_column_int64(statement, 0);
    else
        code = connection_fail(connection, result, err);
    (void)sqlite3_finalize(statement);
    return code;
}

/* Refuses what this program did not write, or what a newer one wrote; sets the version that is there. */
static int check_origin(struct connection *connection, size_t count, int64_t *ret_version, struct err *err)
{
    int code;
    int64_t version = 0, application = 0, objects = 0;
    const char *path = sqlite3_db_filename(connection->db, "main");
    if ((code = read_int(connection, "PRAGMA user_version", &version, err)) ||
        (code = read_int(connection, "PRAGMA application_id", &application, err)) ||
        (code = read_int(connection, "SELECT count(*) FROM sqlite_schema", &objects, err)))
        return code;
    int is_ours = application == APPLICATION_ID || (application == 0 && version == 0 && objects == 0);
    if (!is_ours || version < 0)
        return err_set(err, ERR_DATABASE,
                       "database %s: belongs to another program: name another state folder", path);
    if ((uint64_t)version > count)
        return err_set(err, ERR_UNSUPPORTED,
                       "database %s: was written by a newer version (schema %lld, this program knows %zu): "
                       "upgrade the program, or restore an earlier backup",
                       path, (long long)version, count);
    *ret_version = version;
    return 0;
}

/* One migration and the new version in one transaction. The version is read again inside, since another
 * process may have been quicker. */
static int apply(struct connection *connection, const struct base_embedded *migration, int64_t number,
                 struct err *err)
{
    int64_t version = 0;
    char bump[64];
    int code = connection_exec(connection, "BEGIN IMMEDIATE", err);
    if (code)
        return err_wrap(err, "migration %s", migration->name);
    if ((code = read_int(connection, "PRAGMA user_version", &version, err)))
        goto out;
    if (version >= number)
        goto out;
    /* The bytes are followed by a 0 (daemon/base/embedded.h). */
    if ((code = connection_exec(connection, (const char *)migration->begin, err)))
        goto out;
    (void)snprintf(bump, sizeof bump, "PRAGMA user_version = %lld", (long long)number);
    if ((code = connection_exec(connection, bump, err)))
        goto out;
    code = connection_exec(connection, "COMMIT", err);
out:
    if (!sqlite3_get_autocommit(connection->db))
        (void)sqlite3_exec(connection->db, "ROLLBACK", NULL, NULL, NULL);
    return code ? err_wrap(err, "migration %s", migration->name) : 0;
}

int migrate_with(struct connection *connection, const struct base_embedded *migrations, size_t count,
                 struct err *err)
{
    int64_t version = 0;
    int code = check_origin(connection, count, &version, err);
    for (size_t i = (size_t)version; !code && i < count; i++)
        code = apply(connection, &migrations[i], (int64_t)i + 1, err);
    return code;
}

int migrate_check(struct connection *connection, int64_t *ret_version, struct err *err)
{
    return check_origin(connection, migrations_embedded_count, ret_version, err);
}

int migrate(struct connection *connection, struct err *err)
{
    return migrate_with(connection, migrations_embedded, migrations_embedded_count, err);
}

int store_schema_version(void)
{
    return (int)migrations_embedded_count;
}
