/* A program that was started without one of its standard files. */
#include "tests/unit/base/fixture.h"

#include "daemon/base/standard_files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

/* What a child finds: 0, or which check failed. It has no place to say more. */
static int without(int closed_mask)
{
    char byte = 'x';
    for (int fd = 0; fd < 3; fd++) {
        if (closed_mask & 1 << fd)
            (void)close(fd);
    }
    if (standard_files_reserve())
        return 1;
    int opened = open("/dev/zero", O_RDONLY);
    if (opened < 3)
        return 2;
    if (closed_mask & 1 && (read(0, &byte, 1) != -1 || errno != EBADF))
        return 3;
    for (int fd = 1; fd < 3; fd++) {
        if (closed_mask & 1 << fd && (write(fd, &byte, 1) != -1 || errno != EBADF))
            return 4;
    }
    for (int fd = 0; fd < 3; fd++) {
        int is_inherited = (fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0;
        if (!is_inherited)
            return 5;
    }
    return 0;
}

static void test_each_may_be_closed(void **state)
{
    (void)state;
    for (int closed_mask = 0; closed_mask < 8; closed_mask++) {
        int status = 0;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(without(closed_mask));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

static void test_open_ones_are_left_alone(void **state)
{
    (void)state;
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char byte = 0;
        int pipe_ends[2];
        (void)close(0);
        if (pipe(pipe_ends) || pipe_ends[0] != 0 || standard_files_reserve())
            _exit(1);
        _exit(write(pipe_ends[1], "x", 1) == 1 && read(0, &byte, 1) == 1 && byte == 'x' ? 0 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_may_be_closed),
        cmocka_unit_test(test_open_ones_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
