/* What a remote worker learns from claims: a lesson that fails leaves nothing behind that keeps out the next.
 */
#include "tests/unit/api/wire/wire_sample.h"
#include "tests/unit/base/fixture.h"

#include "daemon/remote/remote_store.h"

#include <fcntl.h>
#include <sys/stat.h>

static void make_task(struct wire_sample *sample, struct wire_task *task)
{
    wire_sample_make(sample);
    sample->tensor.displacement_count = 0;
    *task = (struct wire_task){.sweep_id = 1,
                               .task_id = 2,
                               .attempt = 1,
                               .reference = -1,
                               .previous = -1,
                               .revision_count = 1,
                               .request = (char *)(uintptr_t) "{}"};
    (void)snprintf(task->id, sizeof task->id, "2.1.abc");
    (void)snprintf(task->store, sizeof task->store, "0123456789abcdef0123456789abcdef");
    (void)snprintf(task->model.name, sizeof task->model.name, "a/b");
    struct wire_revision *revision = &task->revisions[0];
    revision->row.step = 1;
    (void)snprintf(revision->row.name, sizeof revision->row.name, "step1");
    (void)snprintf(revision->row.commit, sizeof revision->row.commit, "%040d", 1);
    revision->tensors = &sample->tensor;
    revision->tensor_count = 1;
}

static void test_a_lesson_that_failed_is_taken_again(void **state)
{
    struct remote_store *store = NULL;
    struct wire_sample *sample = calloc(1, sizeof *sample);
    struct wire_task *task = calloc(1, sizeof *task);
    struct task_row row;
    assert_non_null(sample);
    assert_non_null(task);
    OK(remote_store_open(*state, &store, &err));
    make_task(sample, task);
    (void)snprintf(task->failure, sizeof task->failure, "http");
    sample->tensor.content.digest[0] = 'X';
    for (int i = 0; i < 2; i++)
        FAILS(ERR_INVALID, "sha256", remote_store_take(store, task, &row, &err));
    sample->tensor.content.digest[0] = SAMPLE_CONTENT[0];
    OK(remote_store_take(store, task, &row, &err));
    assert_string_equal(row.revision, "step1");
    assert_string_equal(row.error_code, "http");
    assert_string_equal(row.suspect, "");
    (void)snprintf(task->failure, sizeof task->failure, "device_lost");
    OK(remote_store_take(store, task, &row, &err)); /* known already */
    assert_string_equal(row.suspect, "device_lost");
    remote_store_close(store);
    free(task);
    free(sample);
}

/* A worker's folder whose lock nobody holds, with this text in the lock's file. */
static const char *make_folder(const char *place, const char *name, const char *lock)
{
    const char *folder = fixture_path(place, name);
    assert_int_equal(mkdir(folder, 0700), 0);
    fixture_write_text(fixture_path(folder, "lock"), lock);
    return folder;
}

/* What a killed worker left goes, also where the disk was full; not the folder of one that begins just now
 * and has yet to lock it, nor one of another user, who could let a link take the place of a folder while it
 * is emptied. */
static void test_what_others_left_behind(void **state)
{
    struct remote_store *store = NULL;
    const int is_root = geteuid() == 0;
    (void)make_folder(*state, "bifurcated-worker-killed", "17\n");
    (void)make_folder(*state, "bifurcated-worker-beginning", "");
    const struct timespec long_ago[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    const char *full = make_folder(*state, "bifurcated-worker-full-disk", "");
    assert_int_equal(utimensat(AT_FDCWD, fixture_path(full, "lock"), long_ago, 0), 0);
    const char *foreign = make_folder(*state, "bifurcated-worker-foreign", "17\n");
    if (is_root) /* nobody else can give a folder away */
        assert_int_equal(chown(foreign, 65534, 65534), 0);
    OK(remote_store_open(*state, &store, &err));
    assert_int_not_equal(access(fixture_path(*state, "bifurcated-worker-killed"), F_OK), 0);
    assert_int_not_equal(access(fixture_path(*state, "bifurcated-worker-full-disk"), F_OK), 0);
    assert_int_equal(access(fixture_path(*state, "bifurcated-worker-beginning"), F_OK), 0);
    assert_int_equal(access(fixture_path(*state, "bifurcated-worker-foreign"), F_OK) == 0, is_root);
    remote_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lesson_that_failed_is_taken_again),
        cmocka_unit_test(test_what_others_left_behind),
    };
    return cmocka_run_group_tests(tests, fixture_make_folder, fixture_remove_folder);
}
