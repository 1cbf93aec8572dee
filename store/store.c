#include "store/store.h"

#include "daemon/base/clock.h"
#include "daemon/base/condition.h"
#include "store/checkpointer.h"
#include "store/connection.h"
#include "store/lock.h"
#include "store/place.h"
#include "store/query.h"
#include "store/readers.h"
#include "store/restore.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_TOLD_MS 60000 /* a daemon with nothing to write does not see that it has ended */
#define LOCK_TRY_MS 2000   /* the daemon's own transactions are shorter */

struct store {
    char *path;
    dev_t device; /* with the next, the file that was opened there */
    ino_t inode;
    int lock_fd;
    char instance[STORE_INSTANCE_SIZE];

    pthread_mutex_t writer_mutex; /* held from store_write_begin to store_write_end */
    struct connection *writer;
    struct checkpointer *checkpointer; /* NULL beside a daemon, which has one */

    struct readers readers;

    /* Monotonic: when a write last found another program's lock; 0: the last did not. Under the writer's
     * mutex: since when writes do. */
    _Atomic int64_t locked_ms;
    int64_t locked_since_ms;

    pthread_mutex_t mutex; /* guards everything below */
    pthread_cond_t changed;
    _Atomic uint64_t version; /* written under the mutex */
    uint64_t wakes;           /* calls of store_wake */
};

/* -- Open and close -------------------------------------------------------------------------------------- */

static int read_identity(struct store *store, struct err *err)
{
    struct query query;
    int code = query_begin(&query, store->writer, "SELECT instance, version FROM store WHERE id = 1", err);
    if (!code && (code = query_next(&query, err)) > 0) {
        query_text(&query, store->instance, sizeof store->instance);
        store->version = (uint64_t)query_int(&query);
    } else if (!code) {
        code = err_set(err, ERR_DATABASE, "database %s: its row of table store is missing", store->path);
    }
    code = query_end(&query, code);
    return code < 0 ? code : 0;
}

static int note_place(struct store *store, struct err *err)
{
    struct stat info;
    if (stat(store->path, &info))
        return err_set_errno(err, errno, "database %s", store->path);
    store->device = info.st_dev;
    store->inode = info.st_ino;
    return 0;
}

/* The daemon that has it open has migrated it to its own schema. */
static int check_version(struct connection *connection, struct err *err)
{
    int64_t version = 0;
    int code = migrate_check(connection, &version, err);
    if (!code && version != store_schema_version())
        code = err_set(err, ERR_UNSUPPORTED,
                       "database %s: the daemon that has it open is of another version: restart it",
                       sqlite3_db_filename(connection->db, "main"));
    return code;
}

/* Called before an upgrade. */
struct upgrade_hook {
    int (*on_upgrade)(void *context, int64_t from, int64_t to, struct err *err);
    void *context;
};

static int upgrade(struct connection *connection, const struct upgrade_hook *hook, struct err *err)
{
    int64_t version = 0;
    int code = migrate_check(connection, &version, err);
    if (!code && version > 0 && version < store_schema_version() && hook->on_upgrade)
        code = hook->on_upgrade(hook->context, version, store_schema_version(), err);
    return code ? code : migrate(connection, err);
}

static int open_store(const char *path, int is_beside, struct upgrade_hook hook, struct store **ret_store,
                      struct err *err)
{
    int code;
    struct store *store = calloc(1, sizeof *store);
    if (!store)
        return err_set(err, ERR_NO_MEMORY, "store: out of memory");
    store->lock_fd = -1;
    (void)pthread_mutex_init(&store->writer_mutex, NULL);
    (void)pthread_mutex_init(&store->mutex, NULL);
    (void)pthread_cond_init(&store->changed, NULL);
    store->path = strdup(path);
    readers_init(&store->readers, store->path);
    if (!store->path) {
        code = err_set(err, ERR_NO_MEMORY, "store: out of memory");
        goto out;
    }
    if ((code = place_check(path, err)) ||
        (code = is_beside ? lock_take_shared(path, &store->lock_fd, err)
                          : lock_take(path, &store->lock_fd, err)) ||
        /* nothing is made where a restore is to be finished */
        (code = is_beside ? restore_check_pending(path, err) : restore_finish(path, err)) ||
        (code = connection_open(path, 1, &store->writer, err)) || (code = note_place(store, err)) ||
        (code = is_beside ? check_version(store->writer, err) : upgrade(store->writer, &hook, err)))
        goto out;
    if (!(code = read_identity(store, err)) && !is_beside)
        code = checkpointer_start(path, store->writer, &store->checkpointer, err);
    if (!code && !is_beside)
        lock_share(store->lock_fd);
out:
    if (code)
        store_close(store);
    else
        *ret_store = store;
    return code;
}

int store_open(const char *path, struct store **ret_store, struct err *err)
{
    return store_open_hooked(path, NULL, NULL, ret_store, err);
}

int store_open_hooked(const char *path,
                      int (*on_upgrade)(void *context, int64_t from, int64_t to, struct err *err),
                      void *context, struct store **ret_store, struct err *err)
{
    return open_store(path, 0, (struct upgrade_hook){on_upgrade, context}, ret_store, err);
}

int store_open_shared(const char *path, struct store **ret_store, struct err *err)
{
    return open_store(path, 1, (struct upgrade_hook){0}, ret_store, err);
}

void store_close(struct store *store)
{
    if (!store)
        return;
    checkpointer_stop(store->checkpointer);
    readers_close(&store->readers);
    connection_close(store->writer);
    if (store->lock_fd >= 0)
        (void)close(store->lock_fd);
    (void)pthread_cond_destroy(&store->changed);
    (void)pthread_mutex_destroy(&store->mutex);
    (void)pthread_mutex_destroy(&store->writer_mutex);
    free(store->path);
    free(store);
}

/* -- Reads ----------------------------------------------------------------------------------------------- */

int store_read_begin(struct store *store, struct connection **ret_connection, struct err *err)
{
    return readers_take(&store->readers, ret_connection, err);
}

int store_snapshot_begin(struct store *store, struct connection **ret_connection, struct err *err)
{
    struct connection *connection = NULL;
    int code = store_read_begin(store, &connection, err);
    if (code)
        return code;
    struct query query;
    code = query_begin(&query, connection, "BEGIN", err);
    if (!code)
        code = query_run(&query, err);
    if (code)
        store_read_end(store, connection);
    else
        *ret_connection = connection;
    return code;
}

void store_read_end(struct store *store, struct connection *connection)
{
    if (connection)
        readers_give(&store->readers, connection);
}

/* -- Writes ---------------------------------------------------------------------------------------------- */

/* What became of a transaction's beginning, which was asked for at `asked_ms`. While another program had the
 * lock no holder of a lease could report, as if the machine had slept: see queue_lengthen_leases. */
static void note_lock(struct store *store, int code, int64_t asked_ms)
{
    if (code && code != ERR_TIMEOUT)
        return;
    const int64_t now_ms = clock_monotonic_ms();
    atomic_store(&store->locked_ms, code ? now_ms : 0);
    if (code && !store->locked_since_ms) {
        store->locked_since_ms = asked_ms;
    } else if (!code && store->locked_since_ms) {
        if (store->writer->boot_ms)
            store->writer->boot_ms -= now_ms - store->locked_since_ms;
        store->locked_since_ms = 0;
    }
}

int store_write_begin(struct store *store, enum connection_durability durability,
                      struct connection **ret_connection, struct err *err)
{
    int code = 0;
    struct query query;
    if ((code = store_check_place(store, err)))
        return code;
    (void)pthread_mutex_lock(&store->writer_mutex);
    struct connection *writer = store->writer;
    if (writer->durability != durability) {
        code = connection_exec(writer,
                               durability == CONNECTION_DURABILITY_FULL ? "PRAGMA synchronous = FULL"
                                                                        : "PRAGMA synchronous = NORMAL",
                               err);
        if (!code)
            writer->durability = durability;
    }
    const int64_t asked_ms = clock_monotonic_ms();
    if (!code)
        code = query_begin(&query, writer, "BEGIN IMMEDIATE", err);
    if (!code)
        code = query_run(&query, err);
    note_lock(store, code, asked_ms);
    if (code) {
        (void)pthread_mutex_unlock(&store->writer_mutex);
        return code;
    }
    writer->changes = sqlite3_total_changes64(writer->db);
    writer->boot_before_ms = writer->boot_ms;
    *ret_connection = writer;
    return 0;
}

void store_write_keep_version(struct connection *connection)
{
    connection->changes = sqlite3_total_changes64(connection->db);
}

static int commit(struct connection *writer, int64_t *ret_version, struct err *err)
{
    struct query query;
    int code = 0;
    if (sqlite3_total_changes64(writer->db) != writer->changes) {
        code = query_begin(&query, writer,
                           "UPDATE store SET version = version + 1 WHERE id = 1 RETURNING version", err);
        if (!code)
            code = query_run_int(&query, ret_version, err);
    }
    if (code >= 0)
        code = query_begin(&query, writer, "COMMIT", err);
    if (!code)
        code = query_run(&query, err);
    return code;
}

int store_write_end(struct store *store, int result, struct err *err)
{
    struct connection *writer = store->writer;
    int64_t version = 0;
    if (!result)
        result = commit(writer, &version, err);
    /* SQLite has rolled back by itself after some errors, such as a full disk. */
    if (result && !sqlite3_get_autocommit(writer->db))
        (void)sqlite3_exec(writer->db, "ROLLBACK", NULL, NULL, NULL);
    if (result)
        writer->boot_ms = writer->boot_before_ms;
    if (!result && version) {
        (void)pthread_mutex_lock(&store->mutex);
        atomic_store(&store->version, (uint64_t)version);
        (void)pthread_cond_broadcast(&store->changed);
        (void)pthread_mutex_unlock(&store->mutex);
    }
    (void)pthread_mutex_unlock(&store->writer_mutex);
    return result;
}

/* -- Versions -------------------------------------------------------------------------------------------- */

const char *store_instance(const struct store *store)
{
    return store->instance;
}

uint64_t store_version(struct store *store)
{
    return atomic_load(&store->version);
}

uint64_t store_wait_change(struct store *store, uint64_t since, int64_t timeout_ms,
                           const atomic_bool *is_ending)
{
    const int64_t until_ms = clock_monotonic_ms() + (timeout_ms > 0 ? timeout_ms : 0);
    (void)pthread_mutex_lock(&store->mutex);
    uint64_t wakes = store->wakes;
    while (store->version == since && store->wakes == wakes && !(is_ending && atomic_load(is_ending))) {
        if (condition_wait_until(&store->changed, &store->mutex, until_ms))
            break;
    }
    uint64_t version = store->version;
    (void)pthread_mutex_unlock(&store->mutex);
    return version;
}

void store_wake(struct store *store)
{
    (void)pthread_mutex_lock(&store->mutex);
    store->wakes++;
    (void)pthread_cond_broadcast(&store->changed);
    (void)pthread_mutex_unlock(&store->mutex);
}

/* -- Care ------------------------------------------------------------------------------------------------ */

int store_check_place(const struct store *store, struct err *err)
{
    struct stat info;
    int is_there = !stat(store->path, &info);
    if (is_there ? info.st_dev == store->device && info.st_ino == store->inode
                 : errno != ENOENT && errno != ENOTDIR)
        return 0; /* another error says nothing of where the file is */
    return err_set(
        err, ERR_IO,
        "database %s was moved or deleted while it is open, so nothing more is recorded: put it back, "
        "or stop the daemon and start it with state where the database is now, or restore a backup",
        store->path);
}

int store_check_lock(const struct store *store, struct err *err)
{
    const int64_t locked_ms = atomic_load(&store->locked_ms);
    if (!locked_ms || clock_monotonic_ms() - locked_ms > LOCK_TOLD_MS)
        return 0;
    return err_set(err, ERR_TIMEOUT,
                   "another program keeps the database %s locked, so nothing is recorded: end it (fuser -v "
                   "names it); work then goes on by itself",
                   store->path);
}

int store_try_lock(const char *path, struct err *err)
{
    struct connection *connection = NULL;
    int code = connection_open_plain(path, &connection, err);
    if (!code)
        (void)sqlite3_busy_timeout(connection->db, LOCK_TRY_MS);
    if (!code)
        code = connection_exec(connection, "BEGIN IMMEDIATE; ROLLBACK", err);
    connection_close(connection);
    return code == ERR_TIMEOUT ? code : 0;
}

int store_size(struct store *store, uint64_t *ret_size_bytes, struct err *err)
{
    struct stat info;
    if (stat(store->path, &info))
        return err_set_errno(err, errno, "database %s", store->path);
    *ret_size_bytes = (uint64_t)info.st_size + store_log_size(store);
    return 0;
}

uint64_t store_log_size(const struct store *store)
{
    char name[4200];
    struct stat info;
    (void)snprintf(name, sizeof name, "%s-wal", store->path);
    return stat(name, &info) || info.st_size < 0 ? 0 : (uint64_t)info.st_size;
}

int store_vacuum(struct store *store, struct err *err)
{
    (void)pthread_mutex_lock(&store->writer_mutex);
    int code = connection_exec(store->writer, "VACUUM", err);
    (void)pthread_mutex_unlock(&store->writer_mutex);
    return code ? code : store_checkpoint(store, err);
}

int store_checkpoint(struct store *store, struct err *err)
{
    (void)pthread_mutex_lock(&store->writer_mutex);
    checkpointer_hold(store->checkpointer);
    int result = sqlite3_wal_checkpoint_v2(store->writer->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    int code = result == SQLITE_OK ? 0 : connection_fail(store->writer, result, err);
    checkpointer_release(store->checkpointer);
    (void)pthread_mutex_unlock(&store->writer_mutex);
    return code;
}

int store_log_is_behind(struct store *store)
{
    if (checkpointer_is_behind(store->checkpointer))
        return 1;
    (void)pthread_mutex_lock(&store->writer_mutex);
    checkpointer_restart(store->checkpointer);
    (void)pthread_mutex_unlock(&store->writer_mutex);
    return 0;
}
