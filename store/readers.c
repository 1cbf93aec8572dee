#include "store/readers.h"

#include "store/query.h"

#include <assert.h>

#define READERS_MAX 8

void readers_init(struct readers *readers, const char *path)
{
    *readers = (struct readers){.path = path};
    (void)pthread_mutex_init(&readers->mutex, NULL);
    (void)pthread_cond_init(&readers->returned, NULL);
}

void readers_close(struct readers *readers)
{
    while (readers->idle) {
        struct connection *reader = readers->idle;
        readers->idle = reader->next;
        connection_close(reader);
        readers->count--;
    }
    assert(readers->count == 0);
    (void)pthread_cond_destroy(&readers->returned);
    (void)pthread_mutex_destroy(&readers->mutex);
}

int readers_take(struct readers *readers, struct connection **ret_connection, struct err *err)
{
    struct connection *connection = NULL;
    (void)pthread_mutex_lock(&readers->mutex);
    while (!readers->idle && readers->count == READERS_MAX)
        (void)pthread_cond_wait(&readers->returned, &readers->mutex);
    if (readers->idle) {
        connection = readers->idle;
        readers->idle = connection->next;
        connection->next = NULL;
    } else {
        readers->count++; /* opened below, outside of the mutex */
    }
    (void)pthread_mutex_unlock(&readers->mutex);
    if (!connection) {
        int code = connection_open(readers->path, 0, &connection, err);
        if (code) {
            (void)pthread_mutex_lock(&readers->mutex);
            readers->count--;
            (void)pthread_cond_signal(&readers->returned);
            (void)pthread_mutex_unlock(&readers->mutex);
            return code;
        }
    }
    *ret_connection = connection;
    return 0;
}

void readers_give(struct readers *readers, struct connection *connection)
{
    if (!sqlite3_get_autocommit(connection->db)) {
        struct query query;
        struct err err = ERR_INIT;
        if (!query_begin(&query, connection, "COMMIT", &err))
            (void)query_run(&query, &err);
        if (!sqlite3_get_autocommit(connection->db))
            (void)sqlite3_exec(connection->db, "ROLLBACK", NULL, NULL, NULL);
    }
    /* A statement that was not ended would keep the log from ever beginning anew. */
    assert(sqlite3_txn_state(connection->db, NULL) == SQLITE_TXN_NONE);
    (void)pthread_mutex_lock(&readers->mutex);
    connection->next = readers->idle;
    readers->idle = connection;
    (void)pthread_cond_signal(&readers->returned);
    (void)pthread_mutex_unlock(&readers->mutex);
}
