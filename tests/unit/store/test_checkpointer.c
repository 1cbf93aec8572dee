/* The log is moved into the database by a thread of its own: commits do not pay for it, and it stays bounded.
 */
#include "tests/unit/store/fixture.h"

#include "store/checkpointer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Every sync by SQLite comes by here, since a program's own symbol precedes the C library's. */
static struct stat database;
static _Thread_local int is_counted; /* the thread that commits */
static int here;                     /* its syncs of the database file */
static atomic_int elsewhere;         /* syncs of other threads */

int fdatasync(int fd)
{
    struct stat info;
    if (!is_counted)
        atomic_fetch_add(&elsewhere, 1);
    else if (fstat(fd, &info) == 0 && info.st_dev == database.st_dev && info.st_ino == database.st_ino)
        here++;
    return (int)syscall(SYS_fdatasync, fd);
}

static void count_syncs(const struct fixture *fixture)
{
    assert_int_equal(stat(fixture->path, &database), 0);
    is_counted = 1;
    here = 0;
    atomic_store(&elsewhere, 0);
}

static off_t size_of(const struct fixture *fixture, const char *suffix)
{
    char path[160];
    struct stat info;
    (void)snprintf(path, sizeof path, "%s%s", fixture->path, suffix);
    return stat(path, &info) ? 0 : info.st_size;
}

/* Adds a row that takes so many pages of the log. */
static void insert_pages(struct connection *connection, int pages)
{
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(connection->db,
                                        "INSERT INTO models (name, kind, tensor, created_ms, updated_ms) "
                                        "VALUES (hex(randomblob(16)), 'hub', hex(zeroblob(?)), 1, 1)",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    (void)sqlite3_bind_int(statement, 1, pages * 2048);
    assert_int_equal(sqlite3_step(statement), SQLITE_DONE);
    (void)sqlite3_finalize(statement);
}

static void commit_pages(struct fixture *fixture, int pages)
{
    struct connection *connection = NULL;
    OK(store_write_begin(fixture->store, CONNECTION_DURABILITY_CRASH, &connection, &err));
    insert_pages(connection, pages);
    OK(store_write_end(fixture->store, 0, &err));
}

/* SQLite's own way would have the commit that passes 1,000 pages write and sync the database. */
static void test_commits_do_not_checkpoint(void **state)
{
    struct fixture *fixture = *state;
    off_t enough = CHECKPOINTER_PAGES * 4096L;
    count_syncs(fixture);
    for (int i = 0; i < 12; i++)
        commit_pages(fixture, CHECKPOINTER_PAGES / 10);
    assert_int_equal(here, 0);
    for (int i = 0; i < 3000 && size_of(fixture, "") < enough; i++)
        (void)usleep(10000);
    assert_true(size_of(fixture, "") >= enough);
    assert_true(atomic_load(&elsewhere) > 0);
    fixture_check_database(fixture);
}

/* Where the thread cannot keep up, the writer bounds the log. */
static void test_log_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    struct connection *writer = NULL;
    struct checkpointer *checkpointer = NULL;
    store_close(fixture->store);
    fixture->store = NULL;
    OK(connection_open(fixture->path, 1, &writer, &err));
    OK(connection_exec(writer, "PRAGMA synchronous = NORMAL", &err));
    OK(checkpointer_start(fixture->path, writer, &checkpointer, &err));
    checkpointer_hold(checkpointer);
    off_t longest = 0;
    for (int i = 0; i < 12; i++) {
        insert_pages(writer, CHECKPOINTER_PAGES_MAX / 10);
        longest = size_of(fixture, "-wal") > longest ? size_of(fixture, "-wal") : longest;
    }
    checkpointer_release(checkpointer);
    checkpointer_stop(checkpointer);
    connection_close(writer);
    assert_true(longest > CHECKPOINTER_PAGES_MAX / 2 * 4096L);
    assert_true(longest < CHECKPOINTER_PAGES_MAX * 11L / 10 * 4200);
}

/* Who writes much without hurry lets the thread move the log each time, and so never comes near the bound at
 * which everybody's commits wait for that. */
static void test_who_waits_for_the_thread(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 5; i++) {
        commit_pages(fixture, CHECKPOINTER_PAGES / 2);
        while (store_log_is_behind(fixture->store))
            (void)usleep(1000);
    }
    assert_in_range(size_of(fixture, "-wal"), CHECKPOINTER_PAGES * 4096L, CHECKPOINTER_PAGES * 4096L * 2);
    fixture_check_database(fixture);
}

struct poller {
    struct store *store;
    atomic_int is_over;
};

static struct connection *begin_read(struct store *store)
{
    struct connection *connection = NULL;
    struct err reason = ERR_INIT;
    if (store_snapshot_begin(store, &connection, &reason) ||
        connection_exec(connection, "SELECT count(*) FROM store", &reason))
        abort();
    return connection;
}

/* One read begins before the last one ends, so that there always is one. */
static void *read_on(void *context)
{
    struct poller *poller = context;
    struct connection *present = begin_read(poller->store);
    while (!atomic_load(&poller->is_over)) {
        (void)usleep(50000);
        struct connection *next = begin_read(poller->store);
        store_read_end(poller->store, present);
        present = next;
    }
    store_read_end(poller->store, present);
    return NULL;
}

/* Reads that never pause do not keep the log from beginning anew. */
static void test_reads_without_a_pause(void **state)
{
    struct fixture *fixture = *state;
    struct poller poller = {.store = fixture->store};
    pthread_t thread;
    off_t before, now = 0;
    int commits = 0;
    assert_int_equal(pthread_create(&thread, NULL, read_on, &poller), 0);
    do {
        before = now;
        commit_pages(fixture, CHECKPOINTER_PAGES_MAX / 100);
        now = size_of(fixture, "-wal");
    } while (now > before && ++commits < 400);
    atomic_store(&poller.is_over, 1);
    (void)pthread_join(thread, NULL);
    assert_in_range(commits, 50, 200);
    fixture_check_database(fixture);
}

/* A checkpoint that was asked for (after a VACUUM) is whole, whatever the thread does. */
static void test_checkpoint_beside_the_thread(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 5; i++) {
        commit_pages(fixture, CHECKPOINTER_PAGES + 100);
        OK(store_checkpoint(fixture->store, &err));
        assert_int_equal(size_of(fixture, "-wal"), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_commits_do_not_checkpoint, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_log_is_bounded, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_who_waits_for_the_thread, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_reads_without_a_pause, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_checkpoint_beside_the_thread, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
