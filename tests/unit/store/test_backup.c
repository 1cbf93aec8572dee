/* Copies of the database: beside a writer, and put back; whatever is wrong, the present one stays. */
#include "tests/unit/store/fixture.h"
#include "tests/unit/store/sql.h"

#include "store/backup.h"
#include "store/connection.h"
#include "store/restore.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static const char *in_folder(struct fixture *fixture, const char *name)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", fixture->folder, name);
    return path;
}

static int count_files(const char *folder, const char *part)
{
    int count = 0;
    DIR *directory = opendir(folder);
    struct dirent *entry;
    while ((entry = readdir(directory)))
        count += strstr(entry->d_name, part) != NULL;
    (void)closedir(directory);
    return count;
}

static void note_progress(void *context, int64_t done_bytes, int64_t total_bytes)
{
    int64_t *last = context;
    assert_true(done_bytes >= *last && done_bytes <= total_bytes);
    *last = done_bytes;
}

/* A disk that is full says so, and no piece is left on it. */
static void test_full_disk(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    struct rlimit before, small;
    struct backup_facts facts;
    char target[256];
    (void)snprintf(target, sizeof target, "%s", in_folder(fixture, "copy"));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 64 << 10; /* less than the empty database */
    void (*was)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int code = backup_write(fixture->path, target, NULL, NULL, &facts, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, was);
    assert_int_equal(code, ERR_NO_SPACE);
    assert_non_null(strstr(err.message, ": free disk space"));
    assert_null(strstr(err.message, "not an error"));
    assert_int_equal(count_files(fixture->folder, "copy"), 0);
}

/* A copy is one private file with everything in it; a restored one is another instance with the same content,
 * and the database that was there before is kept. */
static void test_there_and_back(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[4], seen = 0;
    char target[256], instance[STORE_INSTANCE_SIZE], *aside = NULL;
    unsigned char header[20];
    struct backup_facts facts, again;
    struct model_row model;
    struct stat info;
    fixture_add_revisions(fixture, 3, ids);
    (void)fixture_sweep(fixture, ids, 3, 0);
    (void)fixture_measure(fixture, "a", 1);
    (void)snprintf(target, sizeof target, "%s", in_folder(fixture, "copy"));
    OK(backup_write(fixture->path, target, note_progress, &seen, &facts, &err));
    assert_int_equal(seen, facts.size_bytes);
    assert_int_equal(facts.schema_version, store_schema_version());
    assert_int_equal(facts.models, 1);
    assert_int_equal(facts.revisions, 4);
    assert_int_equal(facts.measured, 1);
    assert_int_equal(facts.sweeps, 1);
    assert_int_equal(stat(target, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(info.st_size, facts.size_bytes);
    assert_int_equal(count_files(fixture->folder, "copy"), 1); /* no piece and no log is left */
    int fd = open(target, O_RDONLY);
    assert_int_equal(read(fd, header, sizeof header), sizeof header);
    (void)close(fd);
    assert_int_equal(header[18], 1); /* not in WAL mode: readable from anywhere */
    OK(backup_check(target, &again, &err));
    assert_memory_equal(&facts, &again, sizeof facts);

    (void)fixture_measure(fixture, "b", 2); /* after the copy, so gone once it is restored */
    memcpy(instance, store_instance(fixture->store), sizeof instance);
    FAILS(ERR_CONFLICT, restore_database(target, fixture->path, NULL, NULL, &facts, &aside, &err));
    store_close(fixture->store);
    fixture->store = NULL;
    OK(restore_database(target, fixture->path, NULL, NULL, &again, &aside, &err));
    assert_int_equal(again.measured, 1);
    OK(backup_check(aside, &again, &err));
    assert_int_equal(again.measured, 2);
    free(aside);
    OK(store_open(fixture->path, &fixture->store, &err));
    OK(models_find(fixture->store, "garden/neox-tiny", &model, &err));
    assert_int_equal(model.measured_count, 1);
    assert_string_not_equal(store_instance(fixture->store), instance);
    fixture_check_database(fixture);
}

/* -- Beside a writer -- */

struct writer {
    struct fixture *fixture;
    atomic_bool is_over;
    atomic_int count;
};

static void *write_models(void *context)
{
    struct writer *writer = context;
    while (!atomic_load(&writer->is_over)) {
        char name[64];
        int64_t id = 0;
        struct err err = ERR_INIT;
        (void)snprintf(name, sizeof name, "a/b%d", atomic_load(&writer->count));
        if (models_ensure(writer->fixture->store, name, MODEL_KIND_HUB, &id, &err))
            return writer;
        atomic_fetch_add(&writer->count, 1);
    }
    return NULL;
}

/* A writer goes on meanwhile, and the copy is one state of the database, not a mixture, and ends. */
static void test_beside_a_writer(void **state)
{
    struct fixture *fixture = *state;
    struct writer writer = {.fixture = fixture};
    pthread_t thread;
    void *failed = NULL;
    assert_int_equal(pthread_create(&thread, NULL, write_models, &writer), 0);
    while (atomic_load(&writer.count) < 50)
        (void)usleep(1000);
    for (int i = 0; i < 5; i++) {
        char name[16], target[256];
        struct backup_facts facts;
        (void)snprintf(name, sizeof name, "copy%d", i);
        (void)snprintf(target, sizeof target, "%s", in_folder(fixture, name));
        int before = atomic_load(&writer.count);
        OK(backup_write(fixture->path, target, NULL, NULL, &facts, &err));
        int after = atomic_load(&writer.count);
        assert_in_range(facts.models, before + 1, after + 2); /* one of the fixture, one under way */
        OK(backup_check(target, &facts, &err));
    }
    atomic_store(&writer.is_over, true);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
}

/* -- What is refused -- */

static void write_bytes(const char *path, const void *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, data, size), (ssize_t)size);
    (void)close(fd);
}

/* Turns bytes in the middle of a file over. */
static void damage(const char *path)
{
    unsigned char bytes[4096];
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    int fd = open(path, O_RDWR);
    memset(bytes, 0xa5, sizeof bytes);
    for (off_t at = 4096; at + 4096 <= info.st_size; at += 3 * 4096)
        assert_int_equal(pwrite(fd, bytes, sizeof bytes, at), sizeof bytes);
    (void)close(fd);
}

static void test_write_refusals(void **state)
{
    struct fixture *fixture = *state;
    struct backup_facts facts;
    char target[256];
    (void)snprintf(target, sizeof target, "%s", in_folder(fixture, "copy"));
    FAILS(ERR_NOT_FOUND, backup_write(in_folder(fixture, "none"), target, NULL, NULL, &facts, &err));
    write_bytes(target, "mine", 4);
    FAILS(ERR_CONFLICT, backup_write(fixture->path, target, NULL, NULL, &facts, &err));
    assert_int_equal(unlink(target), 0);
    FAILS(ERR_NOT_FOUND,
          backup_write(fixture->path, in_folder(fixture, "none/copy"), NULL, NULL, &facts, &err));
    /* What an earlier copy left is no hindrance. */
    write_bytes(in_folder(fixture, "copy.part"), "piece", 5);
    OK(backup_write(fixture->path, target, NULL, NULL, &facts, &err));
    assert_int_equal(count_files(fixture->folder, "copy"), 1);
    /* A damaged database is told, and no copy of it is left. */
    store_close(fixture->store);
    fixture->store = NULL;
    damage(fixture->path);
    FAILS(ERR_DATABASE, backup_write(fixture->path, in_folder(fixture, "bad"), NULL, NULL, &facts, &err));
    assert_int_equal(count_files(fixture->folder, "bad"), 0);
}

static void test_restore_refusals(void **state)
{
    struct fixture *fixture = *state;
    static const char text[] =
        "no database, but a text that is longer than the header of one would be.......";
    char good[256], bad[256], *aside = NULL;
    struct backup_facts facts;
    struct stat before, after;
    (void)snprintf(good, sizeof good, "%s", in_folder(fixture, "good"));
    (void)snprintf(bad, sizeof bad, "%s", in_folder(fixture, "wrong"));
    OK(backup_write(fixture->path, good, NULL, NULL, &facts, &err));
    store_close(fixture->store);
    fixture->store = NULL;
    assert_int_equal(stat(fixture->path, &before), 0);

    FAILS(ERR_NOT_FOUND, restore_database(bad, fixture->path, NULL, NULL, &facts, &aside, &err));
    write_bytes(bad, text, sizeof text);
    FAILS(ERR_DATABASE, restore_database(bad, fixture->path, NULL, NULL, &facts, &aside, &err));
    write_bytes(bad, "", 0);
    FAILS(ERR_DATABASE, restore_database(bad, fixture->path, NULL, NULL, &facts, &aside, &err));
    (void)unlink(bad);
    (void)sql_run(bad, "CREATE TABLE of_others (id INTEGER)");
    FAILS(ERR_DATABASE, restore_database(bad, fixture->path, NULL, NULL, &facts, &aside, &err));
    (void)unlink(bad);
    OK(backup_write(good, bad, NULL, NULL, &facts, &err)); /* a copy of a copy is one, too */
    (void)sql_run(bad, "PRAGMA user_version = 9999");
    FAILS(ERR_UNSUPPORTED, restore_database(bad, fixture->path, NULL, NULL, &facts, &aside, &err));
    (void)unlink(bad);
    OK(backup_write(good, bad, NULL, NULL, &facts, &err));
    damage(bad);
    FAILS(ERR_DATABASE, restore_database(bad, fixture->path, NULL, NULL, &facts, &aside, &err));

    assert_null(aside);
    assert_int_equal(stat(fixture->path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(count_files(fixture->folder, ".part"), 0);
    assert_int_equal(count_files(fixture->folder, ".before-"), 0);
    OK(store_open(fixture->path, &fixture->store, &err));
}

/* Into an empty folder, and in the place of a database that is damaged and has a log. */
static void test_restore_over_anything(void **state)
{
    struct fixture *fixture = *state;
    char good[256], wal[256], *aside = NULL;
    struct backup_facts facts;
    (void)snprintf(good, sizeof good, "%s", in_folder(fixture, "good"));
    (void)snprintf(wal, sizeof wal, "%s-wal", fixture->path);
    OK(backup_write(fixture->path, good, NULL, NULL, &facts, &err));
    store_close(fixture->store);
    fixture->store = NULL;
    assert_int_equal(unlink(fixture->path), 0);
    OK(restore_database(good, fixture->path, NULL, NULL, &facts, &aside, &err));
    assert_null(aside);
    write_bytes(fixture->path, "damaged", 7);
    write_bytes(wal, "log of it", 9);
    OK(restore_database(good, fixture->path, NULL, NULL, &facts, &aside, &err));
    assert_non_null(aside);
    assert_true(access(aside, F_OK) == 0 && access(wal, F_OK) != 0);
    free(aside);
    OK(store_open(fixture->path, &fixture->store, &err));
    fixture_check_database(fixture);
}

/* Vacuum gives the disk back what deleted rows have left behind. */
static void test_vacuum(void **state)
{
    struct fixture *fixture = *state;
    uint64_t before = 0, after = 0;
    store_close(fixture->store);
    (void)sql_run(fixture->path,
                  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) "
                  "INSERT INTO models (name, kind, model_type, created_ms, updated_ms) "
                  "SELECT 'x/' || i, 'hub', hex(randomblob(2000)), 1, 1 FROM n;"
                  "DELETE FROM models WHERE name LIKE 'x/%'");
    OK(store_open(fixture->path, &fixture->store, &err));
    OK(store_size(fixture->store, &before, &err));
    OK(store_vacuum(fixture->store, &err));
    OK(store_size(fixture->store, &after, &err));
    assert_true(before > 2000000 && after < before / 4);
    fixture_check_database(fixture);
}

struct rival {
    const char *target;
    int was_made;
};

static void make_rival(void *context, int64_t done_bytes, int64_t total_bytes)
{
    struct rival *rival = context;
    (void)done_bytes;
    (void)total_bytes;
    FILE *file = rival->was_made++ ? NULL : fopen(rival->target, "w");
    if (file) {
        (void)fputs("somebody's", file);
        (void)fclose(file);
    }
}

/* Who takes the name while the copy is made keeps it. */
static void test_a_name_taken_meanwhile(void **state)
{
    struct fixture *fixture = *state;
    struct backup_facts facts;
    char text[32] = "";
    struct rival rival = {.target = in_folder(fixture, "copy")};
    FAILS(ERR_CONFLICT, backup_write(fixture->path, rival.target, make_rival, &rival, &facts, &err));
    assert_true(rival.was_made > 0);
    FILE *file = fopen(rival.target, "r");
    assert_non_null(fgets(text, sizeof text, file));
    (void)fclose(file);
    assert_string_equal(text, "somebody's");
    assert_int_equal(count_files(fixture->folder, ".part"), 0);
}

/* -- Two copies under one name at once -- */

static const char *replaced; /* this file is another's from the moment in which it gets its name */

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    if (replaced && strcmp(from, replaced) == 0) {
        FILE *file = unlink(from) ? NULL : fopen(from, "w"); /* whose inode may be the one that is free now */
        assert_non_null(file);
        (void)fputs("half a copy", file);
        (void)fclose(file);
        replaced = NULL;
    }
    return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}

/* What is half made by another is no backup, and stays where the other looks for it. */
static void test_replaced_at_the_last_moment(void **state)
{
    struct fixture *fixture = *state;
    struct backup_facts facts;
    char target[256], part[256], text[32] = "";
    (void)snprintf(target, sizeof target, "%s", in_folder(fixture, "copy"));
    (void)snprintf(part, sizeof part, "%s.part", target);
    replaced = part;
    FAILS(ERR_CONFLICT, backup_write(fixture->path, target, NULL, NULL, &facts, &err));
    assert_null(replaced);
    assert_int_not_equal(access(target, F_OK), 0);
    FILE *file = fopen(part, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    (void)fclose(file);
    assert_string_equal(text, "half a copy");
}

struct twins {
    struct fixture *fixture;
    char target[256];
    sem_t later_goes_on, earlier_is_over;
    pthread_t later;
    int is_begun, later_code;
};

static void hold_later(void *context, int64_t done_bytes, int64_t total_bytes)
{
    struct twins *twins = context;
    (void)done_bytes;
    (void)total_bytes;
    (void)sem_post(&twins->later_goes_on);
    (void)sem_wait(&twins->earlier_is_over);
    (void)sem_post(&twins->earlier_is_over); /* for what else is told of the progress */
}

static void *copy_later(void *context)
{
    struct twins *twins = context;
    struct backup_facts facts;
    struct err err = ERR_INIT;
    twins->later_code = backup_write(twins->fixture->path, twins->target, hold_later, twins, &facts, &err);
    (void)sem_post(&twins->later_goes_on); /* also where it never came to hold_later() */
    return NULL;
}

static void begin_later(void *context, int64_t done_bytes, int64_t total_bytes)
{
    struct twins *twins = context;
    (void)done_bytes;
    (void)total_bytes;
    if (twins->is_begun++)
        return;
    assert_int_equal(pthread_create(&twins->later, NULL, copy_later, twins), 0);
    (void)sem_wait(&twins->later_goes_on);
}

/* What gets the name is a whole copy: that of the one that began last, and the other says that it made none.
 */
static void test_two_at_once(void **state)
{
    struct twins twins = {.fixture = *state};
    struct backup_facts facts;
    (void)snprintf(twins.target, sizeof twins.target, "%s", in_folder(twins.fixture, "copy"));
    assert_int_equal(sem_init(&twins.later_goes_on, 0, 0), 0);
    assert_int_equal(sem_init(&twins.earlier_is_over, 0, 0), 0);
    FAILS(ERR_CONFLICT, backup_write(twins.fixture->path, twins.target, begin_later, &twins, &facts, &err));
    assert_int_not_equal(access(twins.target, F_OK), 0);
    (void)sem_post(&twins.earlier_is_over);
    assert_int_equal(pthread_join(twins.later, NULL), 0);
    assert_int_equal(twins.later_code, 0);
    OK(backup_check(twins.target, &facts, &err));
    assert_int_equal(count_files(twins.fixture->folder, "copy"), 1);
    (void)sem_destroy(&twins.later_goes_on);
    (void)sem_destroy(&twins.earlier_is_over);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_full_disk),        CASE(test_there_and_back),
        CASE(test_beside_a_writer),  CASE(test_write_refusals),
        CASE(test_restore_refusals), CASE(test_restore_over_anything),
        CASE(test_vacuum),           CASE(test_a_name_taken_meanwhile),
        CASE(test_two_at_once),      CASE(test_replaced_at_the_last_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
