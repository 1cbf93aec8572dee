/*
 * For this folder only: running one statement. Parameters are bound and columns are read from left to right,
 * so that the order of the calls is the order in the SQL text.
 *
 *     struct query query;
 *     int code = query_open(&query, store, "SELECT id, name FROM models WHERE kind = ?", err);
 *     if (code)
 *         return code;
 *     query_bind_text(&query, "hub");
 *     while ((code = query_next(&query, err)) > 0) {
 *         id = query_int(&query);
 *         query_text(&query, name, sizeof name);
 *     }
 *     return query_close(&query, code);
 *
 * Within a transaction or a snapshot, on its connection: query_begin() and query_end(&query, code).
 * A failure to bind, or to read a text for lack of memory ("" then), is reported by the next query_next(),
 * query_end() or query_close(): before that, nothing that was read may be trusted.
 */
#ifndef BIFURCATED_STORE_QUERY_H
#define BIFURCATED_STORE_QUERY_H

#include "daemon/base/buf.h"
#include "store/connection.h"

struct query {
    struct connection *connection;
    struct store *store; /* of query_open() and query_open_write() */
    struct err *err;
    sqlite3_stmt *statement;
    int parameter; /* bound so far */
    int column;    /* read so far in this row */
    int result;    /* first failure of a binding or a text */
};

/* A single read (`sql` is a string constant): takes a connection from the store's pool for it. On failure
 * nothing is held; otherwise query_close() must follow, which ends the query, gives the connection back, and
 * returns `code` where that is an error, else 0. */
int query_open(struct query *query, struct store *store, const char *sql, struct err *err);
int query_close(struct query *query, int code);

/* A single write, in a transaction of its own. On failure nothing is held; otherwise query_commit() must
 * follow, which runs the statement (it returns no rows) and commits. */
int query_open_write(struct query *query, struct store *store, enum connection_durability durability,
                     const char *sql, struct err *err);
int query_commit(struct query *query, struct err *err);
/* The same for what no read shows: the version stays, nobody is woken. */
int query_commit_quietly(struct query *query, struct err *err);

/* `sql` is a string constant. On failure query_end() is not needed, but allowed. */
int query_begin(struct query *query, struct connection *connection, const char *sql, struct err *err);

void query_bind_int(struct query *query, int64_t value);
void query_bind_real(struct query *query, double value);     /* NaN becomes NULL */
void query_bind_text(struct query *query, const char *text); /* borrowed until query_end; NULL becomes NULL */
void query_bind_blob(struct query *query, const void *data, size_t size); /* borrowed until query_end */
void query_bind_null(struct query *query);
void query_bind_id(struct query *query, int64_t id); /* 0 becomes NULL */

/* The next row: 1, no more: 0, or a negative code. */
int query_next(struct query *query, struct err *err);

int64_t query_int(struct query *query); /* NULL becomes 0 */
double query_real(struct query *query); /* NULL becomes NaN */
int query_is_null(struct query *query); /* of the next column, without moving on */
void query_skip(struct query *query, int columns);
/* Copies text of the next column into buffer[size], cut if too long; NULL becomes "". */
void query_text(struct query *query, char *buffer, size_t size);
/* Text of the next column as it is, valid until the next query_next or query_end. "" for NULL. */
const char *query_text_whole(struct query *query);
/* The next column, valid until the next query_next or query_end. "" and size 0 for NULL. */
const void *query_blob(struct query *query, size_t *ret_size);
/* Appends the bytes of the next column. */
int query_append(struct query *query, struct buf *buf, const char *what, struct err *err);

/* Resets the statement; the query may not be used afterwards. Returns the failure of a binding or a text if
 * there was one, whatever was made of it meanwhile, else `code`. */
int query_end(struct query *query, int code) __attribute__((warn_unused_result));

/* Runs a bound statement that returns no rows, and ends it. */
int query_run(struct query *query, struct err *err);

/* Runs a bound statement that returns at most one row of one integer, and ends it: 1 and *ret_value set, 0
 * for no row, or a negative code. */
int query_run_int(struct query *query, int64_t *ret_value, struct err *err);

#endif
