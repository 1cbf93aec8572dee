#include "tests/unit/service/fixture.h"

#include "daemon/sweep/completeness.h"

#include "daemon/base/limits.h"

#include <fcntl.h>
#include <sys/stat.h>

#define NOW INT64_C(1764000000000)
#define HUGE_AGE_MS 86400000

/* Sets the time of a file below models/ to some milliseconds before NOW. */
static void touch(const struct fixture *fixture, const char *name, int64_t age_ms)
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s/%s", fixture->models, name);
    int64_t at_ms = NOW - age_ms;
    struct timespec times[2] = {{.tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000}};
    times[1] = times[0];
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void check(struct fixture *fixture, const char *revision, enum completeness expected, const char *word)
{
    struct repository *repository = NULL;
    struct revision_row row = {.id = 1};
    enum completeness found = COMPLETENESS_WHOLE;
    char reason[ERR_MESSAGE_BYTES] = "";
    OK(hub_open_repository(fixture->hub, REPOSITORY_KIND_MODEL, fixture->name, NULL, &repository, &err));
    (void)snprintf(row.name, sizeof row.name, "%s", revision);
    OK(repository_resolve(repository, revision, row.commit, &err));
    OK(completeness_check(repository, fixture->store, &row, NOW, &found, reason, &err));
    if (found != expected)
        fail_msg("%s: %d instead of %d: %s", revision, (int)found, (int)expected, reason);
    if (!strstr(reason, word))
        fail_msg("\"%s\" lacks \"%s\"", reason, word);
    repository_close(repository);
}

static void write_file(const struct fixture *fixture, const char *name, const void *data, size_t size)
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s/%s", fixture->models, name);
    fixture_write(path, data, size);
    touch(fixture, name, HUGE_AGE_MS);
}

static void settle(const struct fixture *fixture, const char *revision)
{
    char name[200];
    (void)snprintf(name, sizeof name, "%s/config.json", revision);
    touch(fixture, name, HUGE_AGE_MS);
    (void)snprintf(name, sizeof name, "%s/model.safetensors", revision);
    touch(fixture, name, HUGE_AGE_MS);
}

static void test_times(void **state)
{
    struct fixture *fixture = *state;
    assert_false(completeness_is_fresh(0, NOW)); /* not known */
    assert_true(completeness_is_fresh(NOW, NOW));
    assert_true(completeness_is_fresh(NOW - COMPLETENESS_SETTLE_MS + 1, NOW));
    assert_false(completeness_is_fresh(NOW - COMPLETENESS_SETTLE_MS, NOW));
    assert_true(completeness_is_fresh(NOW + 5000, NOW));
    fixture_add_revision(fixture, "step1", 1);
    settle(fixture, "step1");
    check(fixture, "step1", COMPLETENESS_WHOLE, "");
    touch(fixture, "step1/config.json", 1000); /* any file of it */
    check(fixture, "step1", COMPLETENESS_FRESH, "30 s");
    touch(fixture, "step1/config.json", -5000); /* a clock that is a little ahead */
    check(fixture, "step1", COMPLETENESS_FRESH, "30 s");
    touch(fixture, "step1/config.json", -10 * (int64_t)HUGE_AGE_MS); /* or far: 2025-11-24 and ten days */
    check(fixture, "step1", COMPLETENESS_FRESH, "ahead of this machine's clock, 2025-12-04T");
    touch(fixture, "step1/config.json", COMPLETENESS_SETTLE_MS);
    check(fixture, "step1", COMPLETENESS_WHOLE, "");
}

static void test_a_file_that_is_cut_short(void **state)
{
    struct fixture *fixture = *state;
    char path[300];
    struct stat status;
    fixture_add_revision(fixture, "step1", 1);
    (void)snprintf(path, sizeof path, "%s/step1/model.safetensors", fixture->models);
    assert_int_equal(stat(path, &status), 0);
    for (off_t size = status.st_size - 1; size >= 0; size -= 13) {
        assert_int_equal(truncate(path, size), 0);
        settle(fixture, "step1");
        check(fixture, "step1", COMPLETENESS_BROKEN, "model.safetensors");
    }
    assert_int_equal(unlink(path), 0); /* only its config.json is there so far */
    check(fixture, "step1", COMPLETENESS_BROKEN, "model.safetensors");
}

static void test_shards(void **state)
{
    static const char index[] =
        "{\"metadata\":{},\"weight_map\":{\"" TENSOR "\":\"model-00001-of-00002.safetensors\","
        "\"other\":\"model-00002-of-00002.safetensors\"}}";
    struct fixture *fixture = *state;
    char from[300], to[300];
    fixture_add_revision(fixture, "step2", 2);
    (void)snprintf(from, sizeof from, "%s/step2/model.safetensors", fixture->models);
    (void)snprintf(to, sizeof to, "%s/step2/model-00001-of-00002.safetensors", fixture->models);
    assert_int_equal(rename(from, to), 0);
    touch(fixture, "step2/config.json", HUGE_AGE_MS);
    touch(fixture, "step2/model-00001-of-00002.safetensors", HUGE_AGE_MS);
    check(fixture, "step2", COMPLETENESS_BROKEN, "safetensors"); /* the index comes last */
    write_file(fixture, "step2/model.safetensors.index.json", index, sizeof index - 1);
    check(fixture, "step2", COMPLETENESS_BROKEN, "model-00002-of-00002.safetensors"); /* or first */
    static const char shard[] =
        "\x40\0\0\0\0\0\0\0"
        "{\"other\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]}}      abcd";
    write_file(fixture, "step2/model-00002-of-00002.safetensors", shard, sizeof shard - 3);
    check(fixture, "step2", COMPLETENESS_BROKEN, "model-00002-of-00002.safetensors");
    write_file(fixture, "step2/model-00002-of-00002.safetensors", shard, sizeof shard - 1);
    check(fixture, "step2", COMPLETENESS_WHOLE, "");
}

static void test_a_torch_file_that_is_cut_short(void **state)
{
    struct fixture *fixture = *state;
    struct buf file;
    buf_init(&file, 64 * MIB);
    OK(file_read("tests/fixtures/garden/hub/models/garden/neox-tiny/step2/pytorch_model.bin", &file, &err));
    char folder[300];
    (void)snprintf(folder, sizeof folder, "%s/step3", fixture->models);
    OK(file_make_folders(folder, 0700, &err));
    static const double shares[] = {0, 0.3, 0.9, 0.999};
    for (size_t i = 0; i < COUNT_OF(shares); i++) {
        write_file(fixture, "step3/pytorch_model.bin", file.data, (size_t)((double)file.size * shares[i]));
        check(fixture, "step3", COMPLETENESS_BROKEN, "pytorch_model.bin");
    }
    write_file(fixture, "step3/pytorch_model.bin", file.data, file.size);
    check(fixture, "step3", COMPLETENESS_WHOLE, "");
    buf_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_times, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_a_file_that_is_cut_short, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_shards, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_a_torch_file_that_is_cut_short, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
