/* Digests of files that are kept, and when not: a change is never missed, whatever its time says. */
#include "tests/unit/base/fixture.h"

#include "daemon/base/clock.h"
#include "daemon/measure/file_digests.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/stat.h>

#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" /* NIST's */
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SETTLED_MS 30 /* as long as the clock of any kernel stands still, and more */
enum { THREADS = 4, FILES = 20 };

struct bench {
    void *folder;
    struct file_digests *digests;
};

static int bench_open(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    struct err err = ERR_INIT;
    *state = bench;
    return !bench || fixture_make_folder(&bench->folder) ||
           file_digests_new(SETTLED_MS, &bench->digests, &err);
}

static int bench_close(void **state)
{
    struct bench *bench = *state;
    file_digests_free(bench->digests);
    int code = fixture_remove_folder(&bench->folder);
    free(bench);
    return code;
}

static const char *get(struct file_digests *digests, const char *path)
{
    static char hex[DIGEST_SHA256_HEX_SIZE];
    struct source *source = NULL;
    OK(source_open_file(path, &source, &err));
    OK(file_digests_get(digests, source, NULL, hex, &err));
    source_close(source);
    return hex;
}

static void check_counts(struct file_digests *digests, uint64_t hashed, uint64_t kept)
{
    struct file_digests_counters found;
    file_digests_count(digests, &found);
    assert_int_equal(found.hashed_count, hashed);
    assert_int_equal(found.kept_count, kept);
}

static void settle(void)
{
    clock_sleep_ms(2 * SETTLED_MS);
}

/* Other bytes of the same length in the same file, with the time of the old ones. */
static void change(const char *path, const char *text)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, text, strlen(text), 0), (ssize_t)strlen(text));
    const struct timespec times[] = {status.st_atim, status.st_mtim};
    assert_int_equal(futimens(fd, times), 0);
    assert_int_equal(close(fd), 0);
}

static void a_file_is_hashed_once(void **state)
{
    struct bench *bench = *state;
    const char *path = fixture_path(bench->folder, "texts.jsonl"),
               *other = fixture_path(bench->folder, "none");
    fixture_write_text(path, "abc");
    fixture_write_text(other, "");
    settle();
    for (int i = 0; i < 3; i++) {
        assert_string_equal(get(bench->digests, path), ABC);
        assert_string_equal(get(bench->digests, other), EMPTY);
    }
    check_counts(bench->digests, 2, 4);
}

static void a_change_is_seen_though_its_time_is_set_back(void **state)
{
    struct bench *bench = *state;
    const char *path = fixture_path(bench->folder, "texts.jsonl");
    fixture_write_text(path, "xyz");
    settle();
    assert_string_not_equal(get(bench->digests, path), ABC);
    assert_string_not_equal(get(bench->digests, path), ABC);
    check_counts(bench->digests, 1, 1);
    change(path, "abc");
    assert_string_equal(get(bench->digests, path), ABC);
    check_counts(bench->digests, 2, 1);
}

/* The clock of the file system may not have moved on between the two: what is so fresh is not kept. */
static void what_changed_just_now_is_hashed_each_time(void **state)
{
    struct bench *bench = *state;
    struct file_digests *digests = NULL;
    const char *path = fixture_path(bench->folder, "texts.jsonl");
    OK(file_digests_new(FILE_DIGESTS_SETTLED_MS, &digests, &err));
    fixture_write_text(path, "___");
    for (int i = 0; i < 50; i++) {
        change(path, i % 2 ? "abc" : "xyz");
        assert_int_equal(strcmp(get(digests, path), ABC) == 0, i % 2);
    }
    check_counts(digests, 50, 0);
    file_digests_free(digests);
}

static void another_file_of_the_same_name_is_another(void **state)
{
    struct bench *bench = *state;
    const char *path = fixture_path(bench->folder, "a"), *other = fixture_path(bench->folder, "b");
    struct stat status;
    fixture_write_text(path, "xyz");
    fixture_write_text(other, "abc");
    assert_int_equal(stat(path, &status), 0);
    const struct timespec times[] = {status.st_atim, status.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, other, times, 0), 0);
    settle();
    assert_string_not_equal(get(bench->digests, path), ABC);
    assert_int_equal(rename(other, path), 0);
    assert_string_equal(get(bench->digests, path), ABC);
}

/* -- A file that changes under the reader ---------------------------------------------------------- */

struct changing_source {
    struct source source;
    struct source *inner;
    const char *path;
    const char *text;
    atomic_bool *cancel;
};

static int changing_read(struct source *source, uint64_t offset, void *data, size_t size, struct err *err)
{
    struct changing_source *changing = (struct changing_source *)source;
    int code = source_read(changing->inner, offset, data, size, err);
    if (changing->text)
        change(changing->path, changing->text);
    if (changing->cancel)
        atomic_store(changing->cancel, true);
    return code;
}

static int changing_identify(struct source *source, struct source_identity *ret_identity)
{
    return source_identify(((struct changing_source *)source)->inner, ret_identity);
}

static const struct source_ops changing_ops = {.read = changing_read, .identify = changing_identify};

static struct changing_source make_changing(const char *path)
{
    struct changing_source changing = {.path = path};
    OK(source_open_file(path, &changing.inner, &err));
    changing.source =
        (struct source){.ops = &changing_ops, .name = path, .size_bytes = changing.inner->size_bytes};
    return changing;
}

static void what_changes_while_it_is_hashed_is_not_kept(void **state)
{
    struct bench *bench = *state;
    const char *path = fixture_path(bench->folder, "texts.jsonl");
    char hex[DIGEST_SHA256_HEX_SIZE];
    fixture_write_text(path, "xyz");
    settle();
    struct changing_source changing = make_changing(path);
    changing.text = "abc";
    OK(file_digests_get(bench->digests, &changing.source, NULL, hex, &err));
    assert_string_not_equal(hex, ABC);
    source_close(changing.inner);
    assert_string_equal(get(bench->digests, path), ABC);
    check_counts(bench->digests, 2, 0);
}

/* Whoever opened it before it grew has not what was kept since. */
static void a_reader_of_the_old_length_gets_no_digest_of_the_new(void **state)
{
    struct bench *bench = *state;
    const char *path = fixture_path(bench->folder, "texts.jsonl");
    char hex[DIGEST_SHA256_HEX_SIZE];
    fixture_write_text(path, "abc");
    struct changing_source before = make_changing(path);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "def", 3), 3);
    assert_int_equal(close(fd), 0);
    settle();
    assert_string_not_equal(get(bench->digests, path), ABC);
    OK(file_digests_get(bench->digests, &before.source, NULL, hex, &err));
    assert_string_equal(hex, ABC);
    source_close(before.inner);
}

static void hashing_is_cancelled(void **state)
{
    struct bench *bench = *state;
    const char *path = fixture_path(bench->folder, "large");
    char hex[DIGEST_SHA256_HEX_SIZE];
    atomic_bool cancel = false;
    fixture_write_text(path, "");
    assert_int_equal(truncate(path, 20 << 20), 0); /* more than two steps */
    settle();
    struct changing_source changing = make_changing(path);
    changing.cancel = &cancel;
    FAILS(ERR_CANCELLED, "cancelled", file_digests_get(bench->digests, &changing.source, &cancel, hex, &err));
    source_close(changing.inner);
    check_counts(bench->digests, 1, 0);
    assert_int_equal(strlen(get(bench->digests, path)), 64); /* nobody holds it any more */
}

static void *get_in_thread(void *context)
{
    struct bench *bench = context;
    struct source *source = NULL;
    struct err err = ERR_INIT;
    char hex[DIGEST_SHA256_HEX_SIZE] = "";
    const char *path = "texts"; /* in the folder of the test */
    int code = source_open_file(path, &source, &err);
    if (!code)
        code = file_digests_get(bench->digests, source, NULL, hex, &err);
    source_close(source);
    return (void *)(intptr_t)(code || strlen(hex) != 64);
}

static void of_several_that_want_it_one_hashes(void **state)
{
    struct bench *bench = *state;
    pthread_t threads[THREADS];
    char home[1024];
    assert_non_null(getcwd(home, sizeof home));
    assert_int_equal(chdir(bench->folder), 0);
    fixture_write_text("texts", "");
    assert_int_equal(truncate("texts", 30 << 20), 0);
    settle();
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_in_thread, bench), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(chdir(home), 0);
    check_counts(bench->digests, 1, THREADS - 1);
}

static void the_oldest_makes_room(void **state)
{
    struct bench *bench = *state;
    char name[16];
    for (int i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof name, "%d", i);
        fixture_write_text(fixture_path(bench->folder, name), i ? "xyz" : "abc");
    }
    settle();
    for (int i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof name, "%d", i);
        (void)get(bench->digests, fixture_path(bench->folder, name));
    }
    check_counts(bench->digests, FILES, 0);
    (void)get(bench->digests, fixture_path(bench->folder, name));
    check_counts(bench->digests, FILES, 1);
    assert_string_equal(get(bench->digests, fixture_path(bench->folder, "0")), ABC);
    check_counts(bench->digests, FILES + 1, 1);
}

static void without_a_place_to_keep_it(void **state)
{
    struct bench *bench = *state;
    struct source *source = NULL;
    char hex[DIGEST_SHA256_HEX_SIZE];
    OK(source_open_memory("memory", "abc", 3, &source, &err));
    for (int i = 0; i < 4; i++) {
        OK(file_digests_get(i % 2 ? NULL : bench->digests, source, NULL, hex, &err));
        assert_string_equal(hex, ABC);
    }
    check_counts(bench->digests, 0, 0);
    source_close(source);
    file_digests_free(NULL);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, bench_open, bench_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_hashed_once),
        TEST(a_change_is_seen_though_its_time_is_set_back),
        TEST(what_changed_just_now_is_hashed_each_time),
        TEST(another_file_of_the_same_name_is_another),
        TEST(what_changes_while_it_is_hashed_is_not_kept),
        TEST(a_reader_of_the_old_length_gets_no_digest_of_the_new),
        TEST(hashing_is_cancelled),
        TEST(of_several_that_want_it_one_hashes),
        TEST(the_oldest_makes_room),
        TEST(without_a_place_to_keep_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
