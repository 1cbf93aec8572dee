#include "store/checkpointer.h"

#include <pthread.h>
#include <stdlib.h>

/* For the reads that have begun: those of a poll end within it, a backup's snapshot does not. */
#define DRAIN_MS 100

struct checkpointer {
    struct connection *connection; /* the thread's */
    struct connection *writer;
    pthread_t thread;
    pthread_mutex_t running; /* held during a checkpoint of the thread */

    pthread_mutex_t mutex; /* guards everything below */
    pthread_cond_t asked;
    int pages; /* of the log when a checkpoint was last asked for; 0: not since it began anew */
    int is_asked, is_at_work, is_stopping;
    enum { SETTLED, UNSETTLED, SETTLING } settling; /* UNSETTLED once it was asked, SETTLING once more */
};

/* PASSIVE blocks nobody. What it cannot do now (an old reader, a full disk) the next one does; disk faults
 * show in the commits. */
static void checkpoint(struct connection *connection)
{
    (void)sqlite3_wal_checkpoint_v2(connection->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

/* The same, and the next commit begins the log anew: with polls that never pause, some read always holds on
 * to its end, and it would grow for ever. Waits for the reads that have begun; later ones need no log, since
 * all of it is in the database by then and nobody else writes. */
static void empty(struct connection *writer)
{
    (void)sqlite3_busy_timeout(writer->db, DRAIN_MS);
    (void)sqlite3_wal_checkpoint_v2(writer->db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
    (void)sqlite3_busy_timeout(writer->db, CONNECTION_BUSY_MS);
}

static void *run(void *context)
{
    struct checkpointer *checkpointer = context;
    (void)pthread_mutex_lock(&checkpointer->mutex);
    for (;;) {
        while (!checkpointer->is_asked && !checkpointer->is_stopping)
            (void)pthread_cond_wait(&checkpointer->asked, &checkpointer->mutex);
        if (checkpointer->is_stopping)
            break;
        checkpointer->is_asked = 0;
        checkpointer->is_at_work = 1;
        (void)pthread_mutex_unlock(&checkpointer->mutex);
        (void)pthread_mutex_lock(&checkpointer->running);
        checkpoint(checkpointer->connection);
        (void)pthread_mutex_unlock(&checkpointer->running);
        (void)pthread_mutex_lock(&checkpointer->mutex);
        checkpointer->is_at_work = 0;
    }
    (void)pthread_mutex_unlock(&checkpointer->mutex);
    return NULL;
}

/* After each commit: the log has so many pages now. */
static int on_commit(void *context, sqlite3 *db, const char *name, int pages)
{
    struct checkpointer *checkpointer = context;
    int is_too_long = 0;
    (void)db;
    (void)name;
    (void)pthread_mutex_lock(&checkpointer->mutex);
    if (pages < checkpointer->pages)
        checkpointer->pages = 0;
    int is_over = pages >= CHECKPOINTER_PAGES_MAX;
    if (pages - checkpointer->pages >= CHECKPOINTER_PAGES ||
        (is_over && checkpointer->pages < CHECKPOINTER_PAGES_MAX)) {
        checkpointer->pages = pages;
        is_too_long = is_over;
        checkpointer->is_asked = !is_too_long;
        checkpointer->settling = is_too_long ? SETTLED : UNSETTLED;
        (void)pthread_cond_signal(&checkpointer->asked);
    }
    (void)pthread_mutex_unlock(&checkpointer->mutex);
    if (is_too_long)
        empty(checkpointer->writer);
    return SQLITE_OK;
}

int checkpointer_start(const char *path, struct connection *writer, struct checkpointer **ret_checkpointer,
                       struct err *err)
{
    struct checkpointer *checkpointer = calloc(1, sizeof *checkpointer);
    if (!checkpointer)
        return err_set(err, ERR_NO_MEMORY, "database %s: out of memory", path);
    checkpointer->writer = writer;
    (void)pthread_mutex_init(&checkpointer->running, NULL);
    (void)pthread_mutex_init(&checkpointer->mutex, NULL);
    (void)pthread_cond_init(&checkpointer->asked, NULL);
    int code = connection_open(path, 0, &checkpointer->connection, err);
    if (!code) /* a connection knows of the log once it has read */
        code = connection_exec(checkpointer->connection, "SELECT count(*) FROM sqlite_schema", err);
    if (!code) {
        int failed = pthread_create(&checkpointer->thread, NULL, run, checkpointer);
        if (failed)
            code = err_set_errno(err, failed, "database %s: cannot start a thread", path);
    }
    if (code) {
        connection_close(checkpointer->connection);
        (void)pthread_cond_destroy(&checkpointer->asked);
        (void)pthread_mutex_destroy(&checkpointer->mutex);
        (void)pthread_mutex_destroy(&checkpointer->running);
        free(checkpointer);
        return code;
    }
    (void)sqlite3_wal_hook(writer->db, on_commit, checkpointer);
    *ret_checkpointer = checkpointer;
    return 0;
}

int checkpointer_is_behind(struct checkpointer *checkpointer)
{
    if (!checkpointer)
        return 0;
    (void)pthread_mutex_lock(&checkpointer->mutex);
    int is_behind = checkpointer->is_asked || checkpointer->is_at_work;
    if (!is_behind && checkpointer->settling == UNSETTLED) { /* once more: for what came meanwhile */
        checkpointer->is_asked = is_behind = 1;
        checkpointer->settling = SETTLING;
        (void)pthread_cond_signal(&checkpointer->asked);
    }
    (void)pthread_mutex_unlock(&checkpointer->mutex);
    return is_behind;
}

void checkpointer_restart(struct checkpointer *checkpointer)
{
    if (!checkpointer)
        return;
    (void)pthread_mutex_lock(&checkpointer->mutex);
    int is_due = checkpointer->settling == SETTLING;
    checkpointer->settling = SETTLED; /* whatever comes of it: not again before the log is longer */
    (void)pthread_mutex_unlock(&checkpointer->mutex);
    if (!is_due)
        return;
    checkpointer_hold(checkpointer);
    empty(checkpointer->writer);
    checkpointer_release(checkpointer);
}

void checkpointer_hold(struct checkpointer *checkpointer)
{
    if (checkpointer)
        (void)pthread_mutex_lock(&checkpointer->running);
}

void checkpointer_release(struct checkpointer *checkpointer)
{
    if (checkpointer)
        (void)pthread_mutex_unlock(&checkpointer->running);
}

void checkpointer_stop(struct checkpointer *checkpointer)
{
    if (!checkpointer)
        return;
    (void)sqlite3_wal_hook(checkpointer->writer->db, NULL, NULL);
    (void)pthread_mutex_lock(&checkpointer->mutex);
    checkpointer->is_stopping = 1;
    (void)pthread_cond_signal(&checkpointer->asked);
    (void)pthread_mutex_unlock(&checkpointer->mutex);
    (void)pthread_join(checkpointer->thread, NULL);
    connection_close(checkpointer->connection);
    (void)pthread_cond_destroy(&checkpointer->asked);
    (void)pthread_mutex_destroy(&checkpointer->mutex);
    (void)pthread_mutex_destroy(&checkpointer->running);
    free(checkpointer);
}
