#include "tests/unit/base/fixture.h"

#include "daemon/hub/small_files.h"

#include <stdlib.h>

static void test_takes(void **state)
{
    (void)state;
    assert_true(small_files_takes("tokenizer.json", 2000000));
    assert_true(small_files_takes("a/model.safetensors.index.json", 0));
    assert_true(small_files_takes("tokenizer.model", 8000000));
    assert_true(small_files_takes("a/tokenizer.model", 1));
    assert_false(small_files_takes("a.tokenizer.model", 1));
    assert_false(small_files_takes("tokenizer.model/x", 1));
    assert_false(small_files_takes(".json", 10));
    assert_false(small_files_takes("model.safetensors", 10));
    assert_false(small_files_takes("tokenizer.json", SMALL_FILES_BYTES / 2 + 1));
}

static void test_by_id_and_size(void **state)
{
    (void)state;
    struct small_files files;
    char data[4] = "";
    small_files_init(&files);
    assert_false(small_files_read(&files, "aa", data, 3));
    small_files_keep(&files, "aa", "one", 3);
    small_files_keep(&files, "aa", "two", 3); /* the same content has the same id: the first stays */
    small_files_keep(&files, "bb", "", 0);
    assert_true(small_files_read(&files, "aa", data, 3));
    assert_string_equal(data, "one");
    assert_true(small_files_read(&files, "bb", NULL, 0));
    assert_false(small_files_read(&files, "aa", data, 2));
    assert_int_equal(files.count, 2);
    small_files_free(&files);
}

/* By number and by bytes, what was not used for longest goes. */
static void test_bounds(void **state)
{
    (void)state;
    struct small_files files;
    char id[16], data[1];
    small_files_init(&files);
    for (int i = 0; i < SMALL_FILES_MAX + 10; i++) {
        (void)snprintf(id, sizeof id, "%d", i);
        small_files_keep(&files, id, "x", 1);
        assert_true(small_files_read(&files, "0", data, 1));
    }
    assert_int_equal(files.count, SMALL_FILES_MAX);
    assert_int_equal(files.size_bytes, SMALL_FILES_MAX);
    assert_false(small_files_read(&files, "1", data, 1));
    size_t half = SMALL_FILES_BYTES / 2;
    char *large = calloc(1, half);
    small_files_keep(&files, "large", large, half);
    small_files_keep(&files, "larger", large, half);
    assert_int_equal(files.count, 2);
    assert_true(files.size_bytes <= SMALL_FILES_BYTES);
    assert_false(small_files_read(&files, "0", data, 1));
    small_files_keep(&files, "third", large, half);
    assert_int_equal(files.count, 2);
    assert_false(small_files_read(&files, "large", large, half));
    assert_true(small_files_read(&files, "larger", large, half));
    free(large);
    small_files_free(&files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes),
        cmocka_unit_test(test_by_id_and_size),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
