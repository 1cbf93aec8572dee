#include "store/query.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

int query_begin(struct query *query, struct connection *connection, const char *sql, struct err *err)
{
    *query = (struct query){.connection = connection, .err = err};
    return connection_prepare(connection, sql, &query->statement, err);
}

int query_open(struct query *query, struct store *store, const char *sql, struct err *err)
{
    struct connection *connection = NULL;
    int code = store_read_begin(store, &connection, err);
    if (code)
        return code;
    code = query_begin(query, connection, sql, err);
    query->store = store;
    return code ? query_close(query, code) : 0;
}

int query_close(struct query *query, int code)
{
    code = query_end(query, code);
    store_read_end(query->store, query->connection);
    return code < 0 ? code : 0;
}

int query_open_write(struct query *query, struct store *store, enum connection_durability durability,
                     const char *sql, struct err *err)
{
    struct connection *connection = NULL;
    int code = store_write_begin(store, durability, &connection, err);
    if (code)
        return code;
    code = query_begin(query, connection, sql, err);
    query->store = store;
    return code ? store_write_end(store, code, err) : 0;
}

int query_commit(struct query *query, struct err *err)
{
    return store_write_end(query->store, query_run(query, err), err);
}

int query_commit_quietly(struct query *query, struct err *err)
{
    int code = query_run(query, err);
    store_write_keep_version(query->connection);
    return store_write_end(query->store, code, err);
}

static void note(struct query *query, int result)
{
    if (result != SQLITE_OK && query->result == SQLITE_OK)
        query->result = result;
}

void query_bind_int(struct query *query, int64_t value)
{
    note(query, sqlite3_bind_int64(query->statement, ++query->parameter, value));
}

void query_bind_real(struct query *query, double value)
{
    note(query, isnan(value) ? sqlite3_bind_null(query->statement, ++query->parameter)
                             : sqlite3_bind_double(query->statement, ++query->parameter, value));
}

void query_bind_text(struct query *query, const char *text)
{
    note(query, sqlite3_bind_text(query->statement, ++query->parameter, text, -1, SQLITE_STATIC));
}

void query_bind_blob(struct query *query, const void *data, size_t size)
{
    note(query, sqlite3_bind_blob64(query->statement, ++query->parameter, data, size, SQLITE_STATIC));
}

void query_bind_null(struct query *query)
{
    note(query, sqlite3_bind_null(query->statement, ++query->parameter));
}

void query_bind_id(struct query *query, int64_t id)
{
    if (id)
        query_bind_int(query, id);
    else
        query_bind_null(query);
}

int query_next(struct query *query, struct err *err)
{
    if (query->result != SQLITE_OK)
        return connection_fail(query->connection, query->result, err);
    query->column = 0;
    errno = 0; /* for connection_fail() */
    int result = sqlite3_step(query->statement);
    if (result == SQLITE_ROW)
        return 1;
    if (result == SQLITE_DONE)
        return 0;
    return connection_fail(query->connection, result, err);
}

int64_t query_int(struct query *query)
{
    return sqlite3_column_int64(query->statement, query->column++);
}

double query_real(struct query *query)
{
    int column = query->column++;
    if (sqlite3_column_type(query->statement, column) == SQLITE_NULL)
        return (double)NAN;
    return sqlite3_column_double(query->statement, column);
}

int query_is_null(struct query *query)
{
    return sqlite3_column_type(query->statement, query->column) == SQLITE_NULL;
}

void query_skip(struct query *query, int columns)
{
    query->column += columns;
}

/* NULL is either the column's value or out of memory, which is noted. */
static void note_lack(struct query *query)
{
    if ((sqlite3_errcode(query->connection->db) & 0xff) == SQLITE_NOMEM)
        note(query, SQLITE_NOMEM);
}

static const char *read_text(struct query *query)
{
    const char *text = (const char *)sqlite3_column_text(query->statement, query->column++);
    if (!text)
        note_lack(query);
    return text;
}

void query_text(struct query *query, char *buffer, size_t size)
{
    const char *text = read_text(query);
    size_t length = text ? strlen(text) : 0;
    if (text && length >= size) {
        length = size - 1;
        while (length && ((unsigned char)text[length] & 0xc0) == 0x80) /* not within a UTF-8 sequence */
            length--;
    }
    if (length)
        memcpy(buffer, text, length);
    buffer[length] = 0;
}

const char *query_text_whole(struct query *query)
{
    const char *text = read_text(query);
    return text ? text : "";
}

const void *query_blob(struct query *query, size_t *ret_size)
{
    int column = query->column++;
    const void *data = sqlite3_column_blob(query->statement, column);
    if (!data)
        note_lack(query);
    *ret_size = data ? (size_t)sqlite3_column_bytes(query->statement, column) : 0;
    return data ? data : "";
}

int query_append(struct query *query, struct buf *buf, const char *what, struct err *err)
{
    size_t size = 0;
    const void *data = query_blob(query, &size);
    (void)buf_append(buf, data, size);
    return buf_check(buf, what, err);
}

int query_end(struct query *query, int code)
{
    if (query->result != SQLITE_OK)
        code = connection_fail_text(sqlite3_db_filename(query->connection->db, "main"), query->result,
                                    sqlite3_errstr(query->result), query->err);
    if (query->statement)
        (void)sqlite3_reset(query->statement);
    query->statement = NULL;
    return code;
}

int query_run(struct query *query, struct err *err)
{
    int code = query_end(query, query_next(query, err));
    return code < 0 ? code : 0;
}

int query_run_int(struct query *query, int64_t *ret_value, struct err *err)
{
    int code = query_next(query, err);
    if (code > 0)
        *ret_value = query_int(query);
    return query_end(query, code);
}
