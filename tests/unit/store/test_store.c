/* The file: opening it in every condition that it may be in, versions, waiting, and faults of the disk. */
#include "tests/unit/store/fixture.h"
#include "tests/unit/store/sql.h"

#include "store/connection.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* Opened again, it is the same database with the same instance and version. */
static void test_reopen(void **state)
{
    struct fixture *fixture = *state;
    char instance[STORE_INSTANCE_SIZE];
    struct model_row row;
    uint64_t version = store_version(fixture->store), size = 0;
    assert_true(version > 1);
    memcpy(instance, store_instance(fixture->store), sizeof instance);
    assert_int_equal(strlen(instance), 32);
    OK(store_size(fixture->store, &size, &err));
    uint64_t log = store_log_size(fixture->store);
    assert_true(log > 0 && log < size);
    fixture_reopen(fixture);
    assert_string_equal(store_instance(fixture->store), instance);
    assert_int_equal(store_version(fixture->store), version);
    OK(models_find(fixture->store, "garden/neox-tiny", &row, &err));
    fixture_check_database(fixture);
    OK(store_checkpoint(fixture->store, &err));
    assert_int_equal(store_log_size(fixture->store), 0);
    OK(store_size(fixture->store, &size, &err));
    assert_true(size > 4096);
}

/* Whatever the umask and the folder: nobody else reads the secrets of webhooks. Of a store that is made here,
 * and not begun with a copy. */
static void test_who_may_read(void **state)
{
    struct fixture *fixture = *state;
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char path[sizeof fixture->path + 8];
    struct stat info;
    const mode_t mask = umask(0);
    OK(store_open(fixture->path, &fixture->store, &err));
    (void)umask(mask);
    OK(models_ensure(fixture->store, "garden/neox-tiny", MODEL_KIND_HUB, &fixture->model_id, &err));
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        (void)snprintf(path, sizeof path, "%s%s", fixture->path, suffixes[i]);
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_mode & 0777, 0600);
    }
}

/* A second daemon on the same state is refused, by name of its process, and harms nothing. */
static void test_second_opener(void **state)
{
    struct fixture *fixture = *state;
    struct store *second = NULL;
    struct err refusal = ERR_INIT;
    char number[32];
    assert_int_equal(store_open(fixture->path, &second, &refusal), ERR_CONFLICT);
    (void)snprintf(number, sizeof number, "process %ld", (long)getpid());
    assert_non_null(strstr(refusal.message, number));
    assert_non_null(strstr(refusal.message, fixture->folder));
    assert_null(second);
    fixture_check_database(fixture);
}

static void test_newer_schema(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = NULL;
    store_close(fixture->store);
    fixture->store = NULL;
    (void)sql_run(fixture->path, "PRAGMA user_version = 9999");
    FAILS(ERR_UNSUPPORTED, store_open(fixture->path, &store, &err));
    assert_null(store);
}

/* Another program's database is left alone. */
static void test_foreign_database(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = NULL;
    (void)sql_run(fixture->path, "CREATE TABLE notes (text)");
    FAILS(ERR_DATABASE, store_open(fixture->path, &store, &err));
    (void)sql_run(fixture->path, "PRAGMA application_id = 77; DROP TABLE notes");
    FAILS(ERR_DATABASE, store_open(fixture->path, &store, &err));
}

static void test_missing_folder(void **state)
{
    (void)state;
    struct store *store = NULL;
    FAILS(ERR_NOT_FOUND, store_open("/nonexistent/folder/bifurcated.db", &store, &err));
}

/* Bytes that are no database are told as such. */
static void test_not_a_database(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = NULL;
    FILE *file = fopen(fixture->path, "w");
    for (int i = 0; i < 5000; i++)
        (void)fprintf(file, "not a database %d\n", i);
    (void)fclose(file);
    FAILS(ERR_DATABASE, store_open(fixture->path, &store, &err));
}

/* An empty file (as a full disk leaves one) is a new database. */
static void test_empty_file(void **state)
{
    struct fixture *fixture = *state;
    FILE *file = fopen(fixture->path, "w");
    (void)fclose(file);
    OK(store_open(fixture->path, &fixture->store, &err));
    fixture_check_database(fixture);
}

/* Damage anywhere in the file ends in an error that says so, never in a crash or in silence. */
static void test_damage(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[41];
    struct stat info;
    fixture_add_revisions(fixture, 40, ids);
    (void)fixture_sweep(fixture, ids, 40, 0);
    for (int i = 0; i < 40; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "content %d", i);
        (void)fixture_measure(fixture, name, i);
    }
    OK(store_checkpoint(fixture->store, &err));
    store_close(fixture->store);
    fixture->store = NULL;
    assert_int_equal(stat(fixture->path, &info), 0);
    char *original = malloc((size_t)info.st_size);
    int fd = open(fixture->path, O_RDWR);
    assert_int_equal(pread(fd, original, (size_t)info.st_size, 0), info.st_size);
    int told = 0, tries = 0;
    for (off_t page = 0; page < info.st_size; page += 4096, tries++) {
        char garbage[512];
        memset(garbage, 0xA5, sizeof garbage);
        assert_int_equal(pwrite(fd, garbage, sizeof garbage, page), (ssize_t)sizeof garbage);
        struct err damage = ERR_INIT;
        struct backup_facts facts;
        struct store *store = NULL;
        int code = store_open(fixture->path, &store, &damage);
        if (!code)
            code = backup_check(fixture->path, &facts, &damage);
        if (code) {
            assert_int_equal(code, ERR_DATABASE);
            assert_true(damage.message[0] != 0);
            told++;
        }
        store_close(store);
        assert_int_equal(pwrite(fd, original, (size_t)info.st_size, 0), info.st_size);
        assert_int_equal(ftruncate(fd, info.st_size), 0);
    }
    assert_int_equal(told, tries);
    assert_int_equal(ftruncate(fd, info.st_size / 2), 0);
    struct err damage = ERR_INIT;
    struct backup_facts facts;
    struct store *store = NULL;
    int code = store_open(fixture->path, &store, &damage);
    if (!code)
        code = backup_check(fixture->path, &facts, &damage);
    assert_int_equal(code, ERR_DATABASE);
    store_close(store);
    (void)close(fd);
    free(original);
}

/* In a child that may not write: as nobody if this is root, who may always. Returns its exit status. */
static int open_as_nobody(const char *path)
{
    pid_t child = fork();
    if (child == 0) {
        struct err err = ERR_INIT;
        struct store *store = NULL;
        if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
            _exit(99);
        int code = store_open(path, &store, &err);
        _exit(code == ERR_IO && strstr(err.message, path) ? 0 : code ? 1 : 2);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* A read-only file is refused when the daemon starts, not at the first write. */
static void test_read_only(void **state)
{
    struct fixture *fixture = *state;
    char lock[128];
    store_close(fixture->store);
    fixture->store = NULL;
    (void)snprintf(lock, sizeof lock, "%s/" STORE_LOCK_NAME, fixture->folder);
    assert_int_equal(chmod(fixture->folder, 0777), 0);
    assert_int_equal(chmod(lock, 0666), 0);
    assert_int_equal(chmod(fixture->path, 0444), 0);
    assert_int_equal(open_as_nobody(fixture->path), 0);
}

/* A full database refuses what does not fit as a whole, says so, stays sound, and goes on when there is room.
 */
static void test_full(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[201];
    struct connection *connection = NULL;
    struct task_row task;
    struct task_lease lease;
    struct fixture_result *made = malloc(sizeof *made);
    fixture_add_revisions(fixture, 200, ids);
    int64_t sweep = fixture_sweep(fixture, ids, 200, 0);
    OK(store_write_begin(fixture->store, CONNECTION_DURABILITY_FULL, &connection, &err));
    OK(connection_exec(connection, "PRAGMA max_page_count = 60", &err));
    OK(store_write_end(fixture->store, 0, &err));
    int recorded = 0, code = 0;
    struct err refusal = ERR_INIT;
    while (!code && recorded < 200) {
        char name[32];
        (void)snprintf(name, sizeof name, "content %d", recorded);
        if ((code = tasks_claim(fixture->store, BY("a", LEASE_MS, NULL), NULL, &task, NULL, &refusal)))
            break;
        task_lease_of(&task, &lease);
        fixture_result(made, name, 1);
        if (!(code = tasks_record(fixture->store, &lease, &made->result, &refusal)))
            recorded++;
    }
    assert_int_equal(code, ERR_NO_SPACE);
    assert_true(err_is_transient(code));
    assert_true(recorded > 0 && recorded < 200);
    struct sweep_row row;
    OK(sweeps_get(fixture->store, sweep, &row, &err));
    assert_int_equal(row.tasks[TASK_STATE_DONE], recorded);
    fixture_check_database(fixture);
    OK(store_write_begin(fixture->store, CONNECTION_DURABILITY_FULL, &connection, &err));
    OK(connection_exec(connection, "PRAGMA max_page_count = 1000000", &err));
    OK(store_write_end(fixture->store, 0, &err));
    OK(tasks_record(fixture->store, &lease, &made->result, &err));
    free(made);
}

/* The same with the kernel refusing: a limit on file sizes stands for a full disk. In a child, since it
 * lasts. */
static void test_file_size_limit(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->store);
    fixture->store = NULL;
    pid_t child = fork();
    if (child == 0) {
        struct err err = ERR_INIT;
        struct rlimit limit = {.rlim_cur = 600000, .rlim_max = 600000};
        (void)signal(SIGXFSZ, SIG_IGN);
        (void)setrlimit(RLIMIT_FSIZE, &limit);
        int code = store_open(fixture->path, &fixture->store, &err);
        for (int i = 0; !code && i < 100000; i++) {
            char name[32];
            int64_t id = 0;
            (void)snprintf(name, sizeof name, "model/number-%d", i);
            code = models_ensure(fixture->store, name, MODEL_KIND_HUB, &id, &err);
        }
        if (code != ERR_NO_SPACE)
            (void)fprintf(stderr, "%s: %s\n", err_name(code), err.message);
        _exit(code == ERR_NO_SPACE ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    OK(store_open(fixture->path, &fixture->store, &err));
    fixture_check_database(fixture);
}

struct waiter {
    struct store *store;
    uint64_t since, version;
};

static void *wait_for_change(void *argument)
{
    struct waiter *waiter = argument;
    waiter->version = store_wait_change(waiter->store, waiter->since, 20000, NULL);
    return NULL;
}

/* Moved away: nothing is acknowledged that nobody would find again. Put back: goes on. */
static void test_moved(void **state)
{
    struct fixture *fixture = *state;
    char elsewhere[160];
    int64_t id = 0;
    (void)snprintf(elsewhere, sizeof elsewhere, "%s.elsewhere", fixture->path);
    OK(store_check_place(fixture->store, &err));
    assert_int_equal(rename(fixture->path, elsewhere), 0);
    FAILS(ERR_IO, store_check_place(fixture->store, &err));
    FAILS(ERR_IO, models_ensure(fixture->store, "garden/moved", MODEL_KIND_HUB, &id, &err));
    FILE *other = fopen(fixture->path, "w"); /* another file of the name is not it */
    assert_non_null(other);
    assert_int_equal(fclose(other), 0);
    FAILS(ERR_IO, models_ensure(fixture->store, "garden/moved", MODEL_KIND_HUB, &id, &err));
    assert_int_equal(rename(elsewhere, fixture->path), 0);
    OK(models_ensure(fixture->store, "garden/moved", MODEL_KIND_HUB, &id, &err));
}

/* A change wakes who waits for it; a wake-up does too; nothing changes the version of itself. Who is told to
 * end just before it waits, when a wake-up would come too early, does not wait. */
static void test_wait(void **state)
{
    struct fixture *fixture = *state;
    pthread_t thread;
    int64_t id = 0;
    struct waiter waiter = {.store = fixture->store, .since = store_version(fixture->store)};
    assert_int_equal(store_wait_change(fixture->store, waiter.since, 0, NULL), waiter.since);
    assert_int_equal(store_wait_change(fixture->store, waiter.since, 20, NULL), waiter.since);
    assert_int_equal(store_wait_change(fixture->store, waiter.since - 1, 20000, NULL), waiter.since);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_change, &waiter), 0);
    clock_sleep_ms(20);
    OK(models_ensure(fixture->store, "another/model", MODEL_KIND_HUB, &id, &err));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(waiter.version > waiter.since);
    waiter.since = waiter.version;
    OK(models_ensure(fixture->store, "another/model", MODEL_KIND_HUB, &id, &err)); /* no change */
    assert_int_equal(store_version(fixture->store), waiter.since);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_change, &waiter), 0);
    int64_t begin = clock_monotonic_ms();
    while (clock_monotonic_ms() - begin < 100)
        store_wake(fixture->store);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(waiter.version, waiter.since);
    const atomic_bool is_ending = true;
    assert_int_equal(store_wait_change(fixture->store, waiter.since, 3600000, &is_ending), waiter.since);
}

/* Leases and pauses that lie beyond any that are given come from a clock that was set back: pauses end now,
 * leases after their length. */
static void test_clock_set_back(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[3];
    struct task_row task, again;
    fixture_add_revisions(fixture, 2, ids);
    (void)fixture_sweep(fixture, ids, 2, 0);
    fixture_claim(fixture, "a", &task);
    store_close(fixture->store);
    (void)sql_run(fixture->path,
                  "UPDATE tasks SET lease_until_ms = lease_until_ms + 999999999999 WHERE state = 'claimed';"
                  "UPDATE tasks SET not_before_ms = 99999999999999 WHERE state = 'queued'");
    OK(store_open(fixture->path, &fixture->store, &err));
    fixture_claim(fixture, "b", &again);
    assert_int_equal(again.revision_id, ids[1]);
    OK(tasks_get(fixture->store, task.id, &again, &err));
    assert_int_equal(again.state, TASK_STATE_CLAIMED);
    assert_true(again.lease_until_ms <= clock_wall_ms() + LEASE_MS);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)
#define CASE_UNOPENED(name) cmocka_unit_test_setup_teardown(name, fixture_folder, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_reopen),
        CASE_UNOPENED(test_who_may_read),
        CASE(test_second_opener),
        CASE(test_newer_schema),
        CASE_UNOPENED(test_foreign_database),
        cmocka_unit_test(test_missing_folder),
        CASE_UNOPENED(test_not_a_database),
        CASE_UNOPENED(test_empty_file),
        CASE(test_damage),
        CASE(test_read_only),
        CASE(test_full),
        CASE(test_file_size_limit),
        CASE(test_moved),
        CASE(test_wait),
        CASE(test_clock_set_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
