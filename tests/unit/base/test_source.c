#include "tests/unit/base/fixture.h"

#include "daemon/base/source.h"

#include <fcntl.h>
#include <sys/stat.h>

static void check_ranges(struct source *source, const char *name)
{
    char data[16];
    assert_int_equal(source->size_bytes, 10);
    assert_string_equal(source->name, name);
    memset(data, '#', sizeof data);
    OK(source_read(source, 0, data, 10, &err));
    assert_memory_equal(data, "0123456789######", 16);
    OK(source_read(source, 3, data, 4, &err));
    assert_memory_equal(data, "3456", 4);
    OK(source_read(source, 10, data, 0, &err));
    OK(source_read(source, 9, data, 1, &err));
    memset(data, '#', sizeof data);
    FAILS(ERR_FORMAT, name, source_read(source, 9, data, 2, &err));
    FAILS(ERR_FORMAT, "truncated", source_read(source, 0, data, 11, &err));
    FAILS(ERR_FORMAT, "truncated", source_read(source, 11, data, 0, &err));
    FAILS(ERR_FORMAT, "truncated", source_read(source, UINT64_MAX, data, 1, &err));
    FAILS(ERR_FORMAT, "truncated", source_read(source, 5, data, SIZE_MAX, &err));
    assert_memory_equal(data, "################", 16);
    assert_memory_equal(source_map(source), "0123456789", 10);
    source_will_need(source, 0, 10);
    source_will_need(source, 5, UINT64_MAX);
}

static void test_memory(void **state)
{
    (void)state;
    char name[] = "x.bin";
    struct source *source = NULL;
    OK(source_open_memory(name, "0123456789", 10, &source, &err));
    name[0] = 'y'; /* the source has its own copy */
    check_ranges(source, "x.bin");
    source_close(source);
    source_close(NULL);
}

/* A part of another source is read as if it stood alone. */
static void test_part(void **state)
{
    struct source *whole = NULL, *part = NULL, *inner = NULL;
    struct err err = ERR_INIT;
    char text[4] = "";
    (void)state;
    assert_int_equal(source_open_memory("whole", "0123456789", 10, &whole, &err), 0);
    assert_int_equal(source_open_part(whole, 3, 5, "part", &part, &err), 0);
    assert_string_equal(part->name, "part");
    assert_int_equal(part->size_bytes, 5);
    assert_int_equal(source_read(part, 2, text, 3, &err), 0);
    assert_string_equal(text, "567");
    assert_int_equal(source_read(part, 3, text, 3, &err), ERR_FORMAT);
    assert_non_null(strstr(err.message, "part: truncated"));
    assert_int_equal(source_open_part(part, 1, 3, "inner", &inner, &err), 0);
    assert_int_equal(source_read(inner, 0, text, 3, &err), 0);
    assert_string_equal(text, "456");
    source_will_need(inner, 0, 3);
    assert_null(source_map(inner));
    source_close(inner);
    inner = NULL;
    assert_int_equal(source_open_part(whole, 8, 3, "beyond", &inner, &err), ERR_FORMAT);
    assert_int_equal(source_open_part(whole, UINT64_MAX, 2, "beyond", &inner, &err), ERR_FORMAT);
    assert_null(inner);
    source_close(part);
    source_close(whole);
}

static void test_file(void **state)
{
    const char *path = fixture_path(*state, "x.bin");
    struct source *source = NULL;
    fixture_write_text(path, "0123456789");
    OK(source_open_file(path, &source, &err));
    check_ranges(source, path);
    assert_int_equal(remove(path), 0); /* open files stay readable */
    check_ranges(source, path);
    source_close(source);
}

static void test_empty(void **state)
{
    const char *path = fixture_path(*state, "empty");
    struct source *source = NULL;
    char byte = 0;
    fixture_write_text(path, "");
    OK(source_open_file(path, &source, &err));
    assert_int_equal(source->size_bytes, 0);
    OK(source_read(source, 0, &byte, 0, &err));
    FAILS(ERR_FORMAT, "truncated", source_read(source, 0, &byte, 1, &err));
    source_close(source);
    OK(source_open_memory("m", NULL, 0, &source, &err));
    OK(source_read(source, 0, &byte, 0, &err));
    source_close(source);
}

static void test_what_is_no_file(void **state)
{
    struct source *source = NULL;
    const char *pipe = fixture_path(*state, "pipe");
    FAILS(ERR_NOT_FOUND, "absent", source_open_file(fixture_path(*state, "absent"), &source, &err));
    FAILS(ERR_INVALID, "not a regular file", source_open_file(*state, &source, &err));
    assert_int_equal(mkfifo(pipe, 0600), 0);
    FAILS(ERR_INVALID, "not a regular file", source_open_file(pipe, &source, &err)); /* and does not wait */
    assert_null(source);
}

/* By device, inode, size and times, as the file is now. */
static void test_which_file_it_is(void **state)
{
    const char *path = fixture_path(*state, "x.bin"), *other = fixture_path(*state, "y.bin");
    struct source *source = NULL, *second = NULL;
    struct source_identity first, now, its;
    fixture_write_text(path, "0123456789");
    fixture_write_text(other, "0123456789");
    OK(source_open_file(path, &source, &err));
    OK(source_open_changing_file(other, &second, &err));
    assert_true(source_identify(source, &first) && source_identify(source, &now) &&
                source_identify(second, &its));
    assert_memory_equal(&first, &now, sizeof first);
    assert_true(first.device == its.device && first.inode != its.inode && first.size_bytes == 10);
    const struct timespec times[] = {{.tv_sec = 7}, {.tv_sec = 7, .tv_nsec = 9}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    assert_int_equal(truncate(other, 4), 0);
    assert_true(source_identify(source, &now) && source_identify(second, &its));
    assert_int_equal(now.modified_ns, INT64_C(7000000009));
    assert_true(now.changed_ns >= first.changed_ns && its.size_bytes == 4);
    assert_true(source_reads_at_once(source) && source_reads_at_once(second));
    source_close(source);
    source_close(second);
    OK(source_open_memory("m", "abc", 3, &source, &err));
    assert_false(source_identify(source, &now));
    source_close(source);
}

/* Someone writes the checkpoint anew while it is read: an error, not the end of the process. */
static void test_file_that_shrinks(void **state)
{
    const char *path = fixture_path(*state, "shrinking");
    struct source *source = NULL;
    char *data = calloc(1, 100000);
    assert_non_null(data);
    fixture_write(path, data, 100000);
    OK(source_open_changing_file(path, &source, &err));
    assert_null(source_map(source));
    assert_int_equal(truncate(path, 5000), 0);
    FAILS(ERR_MISMATCH, "shrinking changed while it was read", source_read(source, 0, data, 100000, &err));
    FAILS(ERR_MISMATCH, "changed while",
          source_read(source, 0, data, 5000, &err)); /* what is left is another's */
    source_close(source);
    fixture_write(path, data, 100000);
    OK(source_open_file(path, &source, &err));
    assert_int_equal(truncate(path, 5000), 0);
    FAILS(ERR_FORMAT, "shortened to 5000 bytes", source_read(source, 90000, data, 10, &err));
    source_close(source);
    free(data);
}

/* Or it writes as many bytes in their place: what was read before does not fit what comes then. */
static void test_file_that_is_rewritten(void **state)
{
    const char *path = fixture_path(*state, "rewritten");
    const struct timespec long_ago[] = {{.tv_sec = 7}, {.tv_sec = 7}};
    struct source *source = NULL;
    char bytes[4];
    fixture_write_text(path, "headbody");
    assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
    OK(source_open_changing_file(path, &source, &err));
    OK(source_read(source, 0, bytes, 4, &err));
    assert_int_equal(chmod(path, 0400), 0); /* changes nothing of what is in it */
    OK(source_read(source, 0, bytes, 4, &err));
    assert_int_equal(chmod(path, 0600), 0);
    fixture_write_text(path, "otherone"); /* the same file, of the same size */
    FAILS(ERR_MISMATCH, "rewritten changed while it was read", source_read(source, 4, bytes, 4, &err));
    source_close(source);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, fixture_make_folder, fixture_remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_part),
        IN_FOLDER(test_file),
        IN_FOLDER(test_empty),
        IN_FOLDER(test_what_is_no_file),
        IN_FOLDER(test_which_file_it_is),
        IN_FOLDER(test_file_that_shrinks),
        IN_FOLDER(test_file_that_is_rewritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
