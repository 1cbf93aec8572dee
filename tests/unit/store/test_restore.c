/* A restore over a database whose log cannot be folded, killed before each of its calls that change names or
 * reach the disk: afterwards the next start, or the next restore, has either database whole, and the old one
 * is never without its log. */
#include "tests/unit/store/fixture.h"

#include "store/backup.h"
#include "store/connection.h"
#include "store/restore.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define OLD "test/in-the-log"  /* a model of the old database alone, in its log */
#define NEW "test/in-the-copy" /* of the copy alone */
#define KILLS_MAX 200

/* -- The calls, as the program and SQLite see them -- */

static int countdown;                /* the call that kills; 0: none */
static const char *cannot_be_opened; /* with CREATE, as the one does that folds */
static int knows_no_flags;           /* the file system, of renameat2() */
static int fails_after_renames;      /* the disk, once rename() was called that often */
static int renames;

static void die_if_due(void)
{
    if (countdown && --countdown == 0)
        (void)raise(SIGKILL);
}

int rename(const char *from, const char *to)
{
    die_if_due();
    renames++;
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    die_if_due();
    if (knows_no_flags && flags) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}

int link(const char *from, const char *to)
{
    die_if_due();
    return (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlink(const char *path)
{
    die_if_due();
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

/* A kill loses nothing that was written: waiting for the disk would only make the test slow. */
int fsync(int fd)
{
    die_if_due();
    if (fails_after_renames && renames >= fails_after_renames) {
        errno = EIO;
        return -1;
    }
    return fcntl(fd, F_GETFD) < 0 ? -1 : 0;
}

int fdatasync(int fd)
{
    return fsync(fd);
}

int sqlite3_open_v2(const char *path, sqlite3 **ret_db, int flags, const char *vfs)
{
    static int (*real)(const char *, sqlite3 **, int, const char *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "sqlite3_open_v2");
    if (cannot_be_opened && flags & SQLITE_OPEN_CREATE && !strcmp(path, cannot_be_opened)) {
        *ret_db = NULL;
        return SQLITE_IOERR;
    }
    return real(path, ret_db, flags, vfs);
}

/* -- The two databases -- */

static void copy_file(const char *from, const char *to)
{
    char bytes[4096];
    ssize_t size;
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(in >= 0 && out >= 0);
    while ((size = read(in, bytes, sizeof bytes)) > 0)
        assert_int_equal(write(out, bytes, (size_t)size), size);
    (void)close(in);
    (void)close(out);
}

struct files {
    struct fixture *fixture;
    char log[256], main_kept[256], log_kept[256], copy[256];
};

static void add_model(struct fixture *fixture, const char *name)
{
    int64_t id = 0;
    OK(models_ensure(fixture->store, name, MODEL_KIND_HUB, &id, &err));
}

static void close_store(struct fixture *fixture)
{
    store_close(fixture->store);
    fixture->store = NULL;
}

/* Keeps a database with a log that holds OLD, as a killed daemon leaves it, and a backup with NEW. */
static void prepare(struct files *files, struct fixture *fixture)
{
    struct backup_facts facts;
    files->fixture = fixture;
    (void)snprintf(files->log, sizeof files->log, "%s-wal", fixture->path);
    (void)snprintf(files->main_kept, sizeof files->main_kept, "%s/main", fixture->folder);
    (void)snprintf(files->log_kept, sizeof files->log_kept, "%s/log", fixture->folder);
    (void)snprintf(files->copy, sizeof files->copy, "%s/copy", fixture->folder);
    close_store(fixture);
    copy_file(fixture->path, files->main_kept);
    OK(store_open(fixture->path, &fixture->store, &err));
    add_model(fixture, NEW);
    OK(backup_write(fixture->path, files->copy, NULL, NULL, &facts, &err));
    close_store(fixture);
    copy_file(files->main_kept, fixture->path);
    OK(store_open(fixture->path, &fixture->store, &err));
    add_model(fixture, OLD);
    copy_file(files->log, files->log_kept);
    close_store(fixture);
}

/* Removes what a restore made or left, and lays the old database out. */
static void lay_out(struct files *files)
{
    char path[512];
    struct fixture *fixture = files->fixture;
    DIR *directory = opendir(fixture->folder);
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        (void)snprintf(path, sizeof path, "%s/%s", fixture->folder, entry->d_name);
        if (strncmp(entry->d_name, STORE_FILE_NAME, strlen(STORE_FILE_NAME)) == 0)
            (void)unlink(path);
    }
    (void)closedir(directory);
    copy_file(files->main_kept, fixture->path);
    copy_file(files->log_kept, files->log);
}

static int has_model(const char *path, const char *name)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT count(*) FROM models WHERE name = ?", -1, &statement, NULL),
        SQLITE_OK);
    (void)sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int count = sqlite3_column_int(statement, 0);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return count;
}

/* How many databases were kept; each is the old one, with its log. */
static int count_kept(struct files *files)
{
    char path[512];
    int count = 0;
    DIR *directory = opendir(files->fixture->folder);
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        const char *time = strstr(entry->d_name, ".before-");
        assert_null(strstr(entry->d_name, ".restored"));
        assert_null(strstr(entry->d_name, ".part"));
        if (!time || strchr(time + strlen(".before-"), 'Z')[1])
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", files->fixture->folder, entry->d_name);
        assert_int_equal(has_model(path, OLD), 1);
        assert_int_equal(has_model(path, NEW), 0);
        count++;
    }
    (void)closedir(directory);
    return count;
}

/* Restores in a child that dies at the call `kill_at`; 1 if it did. */
static int restore_and_die(struct files *files, int kill_at)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        struct err err = ERR_INIT;
        struct backup_facts facts;
        char *aside = NULL;
        cannot_be_opened = files->fixture->path;
        countdown = kill_at;
        int code = restore_database(files->copy, files->fixture->path, NULL, NULL, &facts, &aside, &err);
        _exit(code || !aside);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status))
        assert_int_equal(WTERMSIG(status), SIGKILL);
    else
        assert_int_equal(WEXITSTATUS(status), 0);
    return WIFSIGNALED(status);
}

static void test_killed_then_started(void **state)
{
    struct files files;
    int olds = 0, news = 0, is_killed = 1;
    prepare(&files, *state);
    for (int at = 1; is_killed; at++) {
        struct fixture *fixture = files.fixture;
        assert_true(at < KILLS_MAX);
        lay_out(&files);
        is_killed = restore_and_die(&files, at);
        OK(store_open(fixture->path, &fixture->store, &err));
        fixture_check_database(fixture);
        close_store(fixture);
        int is_old = has_model(fixture->path, OLD);
        assert_int_equal(has_model(fixture->path, NEW), !is_old);
        assert_int_equal(count_kept(&files), !is_old);
        assert_int_equal(restore_is_pending(fixture->path), 0);
        olds += is_old;
        news += !is_old;
    }
    assert_true(olds > 3 && news > 3);
}

/* Here by links: a file has both names for a moment. */
static void test_killed_then_restored(void **state)
{
    struct files files;
    int is_killed = 1;
    prepare(&files, *state);
    knows_no_flags = 1;
    for (int at = 1; is_killed; at++) {
        struct fixture *fixture = files.fixture;
        assert_true(at < KILLS_MAX);
        lay_out(&files);
        is_killed = restore_and_die(&files, at);
        char *aside = NULL;
        struct backup_facts facts;
        OK(restore_database(files.copy, fixture->path, NULL, NULL, &facts, &aside, &err));
        assert_non_null(aside);
        if (has_model(aside, NEW)) /* the first restore was finished before, and its copy kept then */
            assert_int_equal(unlink(aside), 0);
        free(aside);
        assert_int_equal(count_kept(&files), 1);
        assert_int_equal(has_model(fixture->path, NEW), 1);
        OK(store_open(fixture->path, &fixture->store, &err));
        fixture_check_database(fixture);
        close_store(fixture);
    }
    knows_no_flags = 0;
}

static void refuse_backup(struct fixture *fixture)
{
    struct backup_facts facts;
    struct err err = ERR_INIT;
    char other[256];
    (void)snprintf(other, sizeof other, "%s/other", fixture->folder);
    assert_int_equal(backup_write(fixture->path, other, NULL, NULL, &facts, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.message, "restore was cut off"));
}

/* Beside others nothing is made in the place of a database that a restore has not put there yet. */
static void test_beside_an_interrupted_restore(void **state)
{
    struct files files;
    struct fixture *fixture = *state;
    char restored[256];
    prepare(&files, fixture);
    lay_out(&files);
    (void)snprintf(restored, sizeof restored, "%s.restored", fixture->path);
    copy_file(files.copy, restored);
    FAILS(ERR_CONFLICT, store_open_shared(fixture->path, &fixture->store, &err));
    (void)unlink(fixture->path); /* as in the midst of the restore */
    refuse_backup(fixture);
    copy_file(files.main_kept, fixture->path);
    OK(store_open(fixture->path, &fixture->store, &err));
    close_store(fixture);
    OK(store_open_shared(fixture->path, &fixture->store, &err));
    close_store(fixture);
    assert_int_equal(has_model(fixture->path, NEW), 1);
    assert_int_equal(count_kept(&files), 1);
}

/* Where the disk fails only after the last change of names, the error says that the restore is done. */
static void test_in_place_but_not_synced(void **state)
{
    struct files files;
    struct fixture *fixture = *state;
    struct backup_facts facts;
    struct err err = ERR_INIT;
    char *aside = NULL;
    prepare(&files, fixture);
    lay_out(&files);
    renames = 0;
    fails_after_renames = 2; /* the promise, and the copy into its place */
    int code = restore_database(files.copy, fixture->path, NULL, NULL, &facts, &aside, &err);
    fails_after_renames = 0;
    assert_int_equal(code, ERR_IO);
    assert_non_null(strstr(err.message, "is the restored database now"));
    assert_non_null(aside);
    assert_int_equal(has_model(aside, OLD), 1);
    assert_int_equal(has_model(fixture->path, NEW), 1);
    assert_int_equal(restore_is_pending(fixture->path), 0);
    free(aside);
}

/* A restore that cannot keep the old database says so, and leaves everything as it was. */
static void test_the_name_is_taken(void **state)
{
    struct files files;
    struct fixture *fixture = *state;
    char restored[256], taken[300], time[CLOCK_TEXT_SIZE];
    struct timespec times[2] = {{.tv_sec = 1700000000}, {.tv_sec = 1700000000}};
    prepare(&files, fixture);
    lay_out(&files);
    (void)snprintf(restored, sizeof restored, "%s.restored", fixture->path);
    copy_file(files.copy, restored);
    assert_int_equal(utimensat(AT_FDCWD, restored, times, 0), 0);
    clock_format(INT64_C(1700000000000), time, sizeof time);
    (void)snprintf(taken, sizeof taken, "%s.before-%s", fixture->path, time);
    copy_file(files.main_kept, taken);
    FAILS(ERR_CONFLICT, store_open(fixture->path, &fixture->store, &err));
    assert_int_equal(has_model(fixture->path, OLD), 1);
    assert_int_equal(unlink(taken), 0);
    OK(store_open(fixture->path, &fixture->store, &err));
    close_store(fixture);
    assert_int_equal(has_model(fixture->path, NEW), 1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_killed_then_started),
        CASE(test_killed_then_restored),
        CASE(test_beside_an_interrupted_restore),
        CASE(test_in_place_but_not_synced),
        CASE(test_the_name_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
