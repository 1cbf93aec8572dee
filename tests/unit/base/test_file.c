#include "tests/unit/base/fixture.h"

#include "daemon/base/file.h"
#include "daemon/base/limits.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t count_entries(const char *folder)
{
    size_t count = 0;
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    (void)closedir(directory);
    return count - 2;
}

static void test_read_is_bounded(void **state)
{
    static const size_t sizes[] = {0, 1, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 200000};
    const char *path = fixture_path(*state, "data");
    char *data = malloc(200000);
    assert_non_null(data);
    for (size_t i = 0; i < 200000; i++)
        data[i] = (char)(i * 31 >> 3);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct buf buf;
        fixture_write(path, data, sizes[i]);
        buf_init(&buf, sizes[i]);
        OK(file_read(path, &buf, &err));
        assert_int_equal(buf.size, sizes[i]);
        if (sizes[i])
            assert_memory_equal(buf.data, data, sizes[i]);
        buf_free(&buf);
        if (sizes[i] == 0)
            continue;
        buf_init(&buf, sizes[i] - 1);
        FAILS(ERR_LIMIT, path, file_read(path, &buf, &err));
        assert_int_equal(buf.size, 0); /* of what was read before nothing stays */
        buf_free(&buf);
    }
    free(data);
}

static void test_read_appends(void **state)
{
    const char *path = fixture_path(*state, "data");
    struct buf buf;
    buf_init(&buf, 100);
    fixture_write_text(path, "world");
    (void)buf_append_text(&buf, "hello ");
    OK(file_read(path, &buf, &err));
    assert_string_equal(buf_text(&buf), "hello world");
    buf_free(&buf);
}

static void test_read_failures(void **state)
{
    struct buf buf;
    buf_init(&buf, 100);
    FAILS(ERR_NOT_FOUND, "absent: cannot open", file_read(fixture_path(*state, "absent"), &buf, &err));
    FAILS(ERR_IO, "cannot read", file_read(*state, &buf, &err)); /* a folder */
    assert_int_equal(buf.size, 0);
    buf_free(&buf);
}

/* Nobody writes into the pipe: whoever opened it as a file is would wait for ever. */
static void test_read_does_not_wait_for_what_is_no_file(void **state)
{
    const char *pipe_path = fixture_path(*state, "pipe");
    struct buf buf;
    buf_init(&buf, 100);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    (void)alarm(20);
    FAILS(ERR_IO, "pipe: is not a regular file", file_read(pipe_path, &buf, &err));
    FAILS(ERR_IO, "/dev/zero: is not a regular file", file_read("/dev/zero", &buf, &err));
    (void)alarm(0);
    assert_int_equal(buf.size, 0);
    buf_free(&buf);
}

/* As `--token-file <(pass show token)` does. */
static void test_read_any_takes_a_pipe(void **state)
{
    char name[64];
    int ends[2];
    struct buf buf;
    (void)state;
    buf_init(&buf, 100);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "secret", 6), 6);
    (void)close(ends[1]);
    (void)snprintf(name, sizeof name, "/dev/fd/%d", ends[0]);
    OK(file_read_any(name, &buf, &err));
    (void)close(ends[0]);
    assert_string_equal(buf_text(&buf), "secret");
    buf_free(&buf);
    FAILS(ERR_NOT_FOUND, "absent: cannot open", file_read_any(fixture_path(*state, "absent"), &buf, &err));
}

static void test_write_replaces_whole(void **state)
{
    const char *path = fixture_path(*state, "address");
    struct stat status;
    struct buf buf;
    OK(file_write_atomic(path, "a long first content", 20, 0600, &err));
    OK(file_write_atomic(path, "short", 5, 0644, &err));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0644);
    assert_int_equal(status.st_size, 5);
    buf_init(&buf, 100);
    OK(file_read(path, &buf, &err));
    assert_string_equal(buf_text(&buf), "short");
    buf_free(&buf);
    OK(file_write_atomic(path, "", 0, 0644, &err));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 0);
    assert_int_equal(count_entries(*state), 1); /* no temporary file is left */
}

/* A reader that opened the file before keeps the old content: the file is replaced, not written over. */
static void test_write_leaves_old_readers_alone(void **state)
{
    const char *path = fixture_path(*state, "data");
    char text[16] = "";
    fixture_write_text(path, "old");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    OK(file_write_atomic(path, "new", 3, 0600, &err));
    assert_int_equal(read(fd, text, sizeof text), 3);
    assert_string_equal(text, "old");
    (void)close(fd);
}

/* What a killed process left under the temporary name is taken up, whatever it is. */
static void test_write_takes_up_what_is_left(void **state)
{
    const char *path = fixture_path(*state, "address");
    struct stat status;
    struct buf buf;
    fixture_write_text(fixture_path(*state, ".address.new"), "half of a much longer content");
    OK(file_write_atomic(path, "whole", 5, 0644, &err));
    buf_init(&buf, 100);
    OK(file_read(path, &buf, &err));
    assert_string_equal(buf_text(&buf), "whole");
    buf_free(&buf);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0644);
    assert_int_equal(count_entries(*state), 1);
    /* A link would lead the write elsewhere. */
    fixture_write_text(fixture_path(*state, "victim"), "untouched");
    assert_int_equal(symlink(fixture_path(*state, "victim"), fixture_path(*state, ".address.new")), 0);
    FAILS(ERR_IO, "cannot create a file beside it",
          file_write_atomic(fixture_path(*state, "address"), "x", 1, 0644, &err));
    assert_int_equal(stat(fixture_path(*state, "victim"), &status), 0);
    assert_int_equal(status.st_size, 9);
}

/* What a killed process left goes; what its writer holds the lock of, what is no regular file, and what only
 * looks like it stay. */
static void test_remove_unfinished(void **state)
{
    static const char *const stay[] = {".new", "..new", ".a.newer", "a.new", "b"};
    const char *folder = *state;
    for (size_t i = 0; i < COUNT_OF(stay); i++)
        fixture_write_text(fixture_path(folder, stay[i]), "x");
    fixture_write_text(fixture_path(folder, ".left.new"), "half");
    fixture_write_text(fixture_path(folder, ".held.new"), "half");
    assert_int_equal(mkfifo(fixture_path(folder, ".pipe.new"), 0600), 0);
    assert_int_equal(symlink("b", fixture_path(folder, ".link.new")), 0);
    int fd = open(fixture_path(folder, ".held.new"), O_WRONLY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    file_remove_unfinished(folder);
    file_remove_unfinished(fixture_path(folder, "no folder"));
    assert_false(file_exists(fixture_path(folder, ".left.new")));
    assert_int_equal(count_entries(folder), COUNT_OF(stay) + 3);
    (void)close(fd);
    file_remove_unfinished(folder);
    assert_int_equal(count_entries(folder), COUNT_OF(stay) + 2);
}

static void *write_often(void *context)
{
    char text[256];
    for (int i = 0; i < 60; i++) {
        struct err err = ERR_INIT;
        size_t size = (size_t)(i * 37 % 200 + 1);
        memset(text, 'a' + (int)(size % 26), size);
        if (file_write_atomic(context, text, size, 0644, &err))
            return context;
    }
    return NULL;
}

/* Several writers of one file: each content is whole, the last one stays, and nothing lies beside it. */
static void test_writers_wait_for_each_other(void **state)
{
    char path[512];
    pthread_t threads[4];
    struct buf buf;
    (void)snprintf(path, sizeof path, "%s", fixture_path(*state, "shared"));
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_often, path), 0);
    for (int i = 0; i < 300; i++) {
        struct err err = ERR_INIT;
        buf_init(&buf, 1000);
        if (file_read(path, &buf, &err) == 0) {
            assert_true(buf.size > 0 && buf.data[0] == (char)('a' + (int)(buf.size % 26)));
            assert_true(buf.data[buf.size - 1] == buf.data[0]);
        }
        buf_free(&buf);
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        void *failed = NULL;
        (void)pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(count_entries(*state), 1);
}

static void test_write_failures_leave_nothing(void **state)
{
    const char *folder = *state;
    FAILS(ERR_NOT_FOUND, "no/such/file",
          file_write_atomic(fixture_path(folder, "no/such/file"), "x", 1, 0600, &err));
    assert_int_equal(mkdir(fixture_path(folder, "taken"), 0700), 0);
    fixture_write_text(fixture_path(folder, "taken/inside"), "x");
    FAILS(ERR_IO, "taken", file_write_atomic(fixture_path(folder, "taken"), "x", 1, 0600, &err));
    assert_int_equal(count_entries(folder), 1);
}

static void test_make_folders(void **state)
{
    const char *folder = *state;
    struct stat status;
    OK(file_make_folders(fixture_path(folder, "a/b/c"), 0700, &err));
    OK(file_make_folders(fixture_path(folder, "a/b/c"), 0700, &err));
    OK(file_make_folders(fixture_path(folder, "a//b/d/"), 0700, &err));
    assert_int_equal(stat(fixture_path(folder, "a/b/c"), &status), 0);
    assert_true(S_ISDIR(status.st_mode));
    assert_true(file_exists(fixture_path(folder, "a/b/d")));
    OK(file_make_folders("/", 0700, &err));
    assert_int_equal(symlink("a", fixture_path(folder, "link")), 0);
    OK(file_make_folders(fixture_path(folder, "link/e"), 0700, &err));
    assert_true(file_exists(fixture_path(folder, "a/e")));

    fixture_write_text(fixture_path(folder, "a/file"), "x");
    FAILS(ERR_IO, "a/file: exists and is not a folder",
          file_make_folders(fixture_path(folder, "a/file"), 0700, &err));
    FAILS(ERR_IO, "a/file: exists and is not a folder",
          file_make_folders(fixture_path(folder, "a/file/b"), 0700, &err));
    assert_int_equal(symlink("nowhere", fixture_path(folder, "dangling")), 0);
    FAILS(ERR_IO, "dangling: exists and is not a folder",
          file_make_folders(fixture_path(folder, "dangling"), 0700, &err));
    FAILS(ERR_INVALID, "empty", file_make_folders("", 0700, &err));
}

static void test_exists(void **state)
{
    const char *folder = *state;
    assert_true(file_exists(folder));
    assert_false(file_exists(fixture_path(folder, "x")));
    assert_int_equal(symlink("nowhere", fixture_path(folder, "x")), 0);
    assert_false(file_exists(fixture_path(folder, "x"))); /* a link to nothing */
}

static void check_text(char *made, const char *expected)
{
    assert_non_null(made);
    assert_string_equal(made, expected);
    free(made);
}

static void test_join(void **state)
{
    (void)state;
    check_text(file_join("/a", "b"), "/a/b");
    check_text(file_join("/a/", "b"), "/a/b");
    check_text(file_join("/", "b"), "/b");
    check_text(file_join("", "b"), "/b");
    check_text(file_join("a", "b/c"), "a/b/c");
}

/* What Python's expandvars(expanduser(path)) gives. */
static void test_expand(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"~", "/home/me"},
        {"~/x", "/home/me/x"},
        {"~other/x", "~other/x"},
        {"a~/x", "a~/x"},
        {"/~", "/~"},
        {"$ONE", "1"},
        {"${ONE}", "1"},
        {"${ONE}2", "12"},
        {"$ONE2", "$ONE2"},
        {"$ONE/$ONE", "1/1"},
        {"$NONE/x", "$NONE/x"},
        {"${NONE}", "${NONE}"},
        {"${ONE", "${ONE"},
        {"${}", "${}"},
        {"$", "$"},
        {"$$ONE", "$1"},
        {"a$", "a$"},
        {"$LOOP", "$LOOP$ONE"},
        {"$EMPTY/x", "/x"},
        {"", ""},
    };
    assert_int_equal(setenv("HOME", "/home/me", 1), 0);
    assert_int_equal(setenv("ONE", "1", 1), 0);
    assert_int_equal(setenv("LOOP", "$LOOP$ONE", 1), 0); /* values are not expanded again */
    assert_int_equal(setenv("EMPTY", "", 1), 0);
    (void)unsetenv("NONE");
    (void)unsetenv("ONE2");
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        check_text(file_expand(cases[i][0]), cases[i][1]);
    const struct passwd *me = getpwuid(getuid()), *root = getpwnam("root");
    char expected[300];
    (void)unsetenv("HOME");
    if (me) {
        (void)snprintf(expected, sizeof expected, "%s/x", me->pw_dir);
        check_text(file_expand("~/x"), expected);
    }
    if (root) {
        (void)snprintf(expected, sizeof expected, "%s/x", root->pw_dir);
        check_text(file_expand("~root/x"), expected);
    }
}

static void test_safe_relative(void **state)
{
    (void)state;
    static const char *const good[] = {
        "config.json", "a/b/c.safetensors", ".hidden",      "..a", "a..", "...",
        "a/...b",      "with blank",        "\xc3\xa9.bin",
    };
    static const char *const bad[] = {
        "",     "/",       "/etc/passwd", "..",   ".",      "../x",   "a/../b",    "a/..",
        "./a",  "a/./b",   "a/.",         "a//b", "a/",     "//",     "a\\b",      "..\\x",
        "a\nb", "a\x1b[m", "a\x7f",       "\x01", "a/b/..", "../../", "a/../../b", "\ta",
    };
    char name[LIMIT_FILE_NAME_BYTES + 2];
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        if (!file_is_safe_relative(good[i]))
            fail_msg("\"%s\" is refused", good[i]);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        if (file_is_safe_relative(bad[i]))
            fail_msg("\"%s\" is taken", bad[i]);
    }
    memset(name, 'x', sizeof name);
    name[LIMIT_FILE_NAME_BYTES] = 0;
    assert_true(file_is_safe_relative(name));
    name[LIMIT_FILE_NAME_BYTES] = 'x';
    name[LIMIT_FILE_NAME_BYTES + 1] = 0;
    assert_false(file_is_safe_relative(name));
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, fixture_make_folder, fixture_remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_read_is_bounded),
        IN_FOLDER(test_read_appends),
        IN_FOLDER(test_read_failures),
        IN_FOLDER(test_read_does_not_wait_for_what_is_no_file),
        IN_FOLDER(test_read_any_takes_a_pipe),
        IN_FOLDER(test_write_replaces_whole),
        IN_FOLDER(test_write_leaves_old_readers_alone),
        IN_FOLDER(test_write_takes_up_what_is_left),
        IN_FOLDER(test_remove_unfinished),
        IN_FOLDER(test_writers_wait_for_each_other),
        IN_FOLDER(test_write_failures_leave_nothing),
        IN_FOLDER(test_make_folders),
        IN_FOLDER(test_exists),
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_expand),
        cmocka_unit_test(test_safe_relative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
