/* The folders of tests: what a killed test has left goes with the next one, and nothing else does. */
#include "tests/unit/base/fixture.h"

#include <fcntl.h>
#include <sys/wait.h>

/* A folder with a file, of this process and of this age; `divider` stands behind the process in its name. */
static void leave(char path[SCRATCH_SIZE], long process, const char *divider, time_t age_s)
{
    struct timespec times[2] = {{.tv_sec = time(NULL) - age_s}, {.tv_sec = time(NULL) - age_s}};
    (void)snprintf(path, SCRATCH_SIZE, "/tmp/bifurcated-test-%ld%sXXXXXX", process, divider);
    assert_non_null(mkdtemp(path));
    fixture_write_text(fixture_path(path, "file"), "left");
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_what_is_left_goes(void **state)
{
    (void)state;
    char old[SCRATCH_SIZE], young[SCRATCH_SIZE], living[SCRATCH_SIZE], own[SCRATCH_SIZE];
    char others[2][SCRATCH_SIZE]; /* somebody's whose names begin alike */
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    leave(old, child, "-", 2 * SCRATCH_OLD_S);
    leave(young, child, "-", 0);
    leave(living, (long)getppid(), "-", 2 * SCRATCH_OLD_S);
    leave(others[0], child, "x", 2 * SCRATCH_OLD_S);
    leave(others[1], child, "-kept-", 2 * SCRATCH_OLD_S);
    assert_int_equal(scratch_make(own), 0); /* the first of this process */
    assert_int_equal(access(own, W_OK), 0);
    assert_int_equal(access(old, F_OK), -1);
    assert_int_equal(access(young, F_OK), 0);
    assert_int_equal(access(living, F_OK), 0);
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        assert_int_equal(access(others[i], F_OK), 0);
        assert_int_equal(scratch_remove(others[i]), 0);
    }
    assert_int_equal(scratch_remove(own) | scratch_remove(young) | scratch_remove(living), 0);
    assert_int_equal(access(own, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_left_goes)};
    return cmocka_run_group_tests_name("base/scratch", tests, NULL, NULL);
}
