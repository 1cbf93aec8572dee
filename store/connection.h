/*
 * For this folder only: connections to the database, and the two ways to use them.
 *
 * A read takes a connection from the pool (store_read_begin ... store_read_end; query_open ... query_close
 * for a single one). A write holds the one writing connection inside of a transaction (store_write_begin ...
 * store_write_end); writes of the process queue up on a mutex.
 */
#ifndef BIFURCATED_STORE_CONNECTION_H
#define BIFURCATED_STORE_CONNECTION_H

#include "store/store.h"

#include <sqlite3.h>

#define CONNECTION_BUSY_MS 10000  /* for another process's lock */
#define CONNECTION_STATEMENTS 256 /* slots; a power of two, more than there are statements in this folder */

enum connection_durability {
    CONNECTION_DURABILITY_FULL,  /* survives a power cut: for what is acknowledged */
    CONNECTION_DURABILITY_CRASH, /* survives the death of the process: for leases */
};

struct connection_statement {
    const char *sql; /* a string constant; its address is the key */
    sqlite3_stmt *statement;
};

struct connection {
    sqlite3 *db;
    enum connection_durability durability; /* as last set */
    sqlite3_int64 changes;                 /* sqlite3_total_changes64 when the transaction began */
    /* of the writer: see queue_lengthen_leases; 0 before its first call. A rollback takes it back, too. */
    int64_t boot_ms, boot_before_ms; /* the second: when the transaction began */
    size_t statement_count;
    struct connection_statement statements[CONNECTION_STATEMENTS];
    struct connection *next; /* in the pool */
};

/* Opens a connection; `is_writer` opens for writing and makes the file. The caller closes it. */
int connection_open(const char *path, int is_writer, struct connection **ret_connection, struct err *err);
/* Opens a file that is not the store's own (a backup) for writing, without touching its way of logging. */
int connection_open_plain(const char *path, struct connection **ret_connection, struct err *err);
void connection_close(struct connection *connection);

/* Checks pages, indexes and foreign keys of the whole file; ERR_DATABASE names the first fault. */
int connection_check(struct connection *connection, struct err *err);

/* Runs SQL text (may be several statements) that returns nothing of interest. */
int connection_exec(struct connection *connection, const char *sql, struct err *err);

/* The cached statement of a string constant, reset and without bindings. ERR_INTERNAL if it is running. */
int connection_prepare(struct connection *connection, const char *sql, sqlite3_stmt **ret_statement,
                       struct err *err);

/* Turns the result code of the last call on this connection into an error. errno must be as that call left
 * it. */
int connection_fail(struct connection *connection, int result, struct err *err);

/* The same before there is a connection object; `text` is SQLite's message. */
int connection_fail_text(const char *path, int result, const char *text, struct err *err);

/* Applies what the database lacks of migrations_embedded; checks whose database it is. */
int migrate(struct connection *connection, struct err *err);

/* Only checks whose database it is; *ret_version becomes its schema version, 0 for an empty file.
 * ERR_DATABASE, ERR_UNSUPPORTED. */
int migrate_check(struct connection *connection, int64_t *ret_version, struct err *err);

/* Applies migrations[0 .. count); for tests with other lists. */
struct base_embedded;
int migrate_with(struct connection *connection, const struct base_embedded *migrations, size_t count,
                 struct err *err);

/* Takes a read connection, waiting for one if all are in use. */
int store_read_begin(struct store *store, struct connection **ret_connection, struct err *err);

/* As store_read_begin, and everything that is read until store_read_end belongs to one state of the database.
 */
int store_snapshot_begin(struct store *store, struct connection **ret_connection, struct err *err);

/* Gives it back and ends the snapshot if there is one. NULL is allowed. */
void store_read_end(struct store *store, struct connection *connection);

/* Begins a writing transaction; on success store_write_end() must follow. */
int store_write_begin(struct store *store, enum connection_durability durability,
                      struct connection **ret_connection, struct err *err);

/* For a writer of much that is not in a hurry, between two of its transactions: nonzero while the log has
 * yet to be moved into the database; 0 once the writer may go on, with a log that begins anew, so that
 * nobody else's commit has to move it. */
int store_log_is_behind(struct store *store);

/* Call after the statements: no read shows what they have written, so the version stays, nobody is woken. */
void store_write_keep_version(struct connection *connection);

/* Commits if `result` is 0, counts the version up and wakes waiters if anything changed; rolls back
 * otherwise. Returns `result`, or the error of the commit. */
int store_write_end(struct store *store, int result, struct err *err);

#endif
