/* Whether this user may write where the database lies. */
#include "store/place.h"

#include "store/lock.h"
#include "tests/unit/scratch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 65534

static char folder[SCRATCH_SIZE];
static char database[64], path[80];

/* Both checks, as a user who owns nothing here: also for the superuser who runs the tests. */
static void check_as_other(int folder_code, int code, struct err *err)
{
    struct err other = ERR_INIT;
    int is_root = geteuid() == 0;
    if (is_root)
        assert_int_equal(seteuid(NOBODY), 0);
    int found[2] = {place_check_folder(database, &other), place_check(database, err)};
    if (is_root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(found[0], folder_code);
    assert_int_equal(found[1], code);
}

static void test_ones_own(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(place_check(database, &err), 0);
    assert_int_equal(place_check("bifurcated.db", &err), 0);                 /* beside where it was started */
    assert_int_equal(place_check("/nowhere/at/all/bifurcated.db", &err), 0); /* whoever opens it tells */
}

static void test_folder_of_another_user(void **state)
{
    struct err err = ERR_INIT;
    int fd = -1;
    (void)state;
    assert_int_equal(chmod(folder, geteuid() == 0 ? 0755 : 0500), 0);
    check_as_other(ERR_IO, ERR_IO, &err);
    if (geteuid() != 0)
        assert_int_equal(lock_take(database, &fd, &err), ERR_IO);
    assert_int_equal(chmod(folder, 0700), 0);
    assert_non_null(strstr(err.message, folder));
    if (geteuid() == 0)
        assert_non_null(strstr(err.message, "cannot be written by user"));
    assert_non_null(strstr(err.message, geteuid() == 0 ? "change its owner" : "chmod u+rwx"));
    assert_non_null(strstr(err.message, "name another folder"));
}

/* As root leaves them who started the daemon once, or copied a backup there. */
static void test_files_of_another_user(void **state)
{
    static const struct {
        const char *name;
        int folder_code;
    } cases[] = {{"lock", ERR_IO}, {"bifurcated.db", 0}, {"bifurcated.db-wal", 0}, {"bifurcated.db-shm", 0}};
    (void)state;
    assert_int_equal(chmod(folder, geteuid() == 0 ? 0777 : 0700), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = ERR_INIT;
        (void)snprintf(path, sizeof path, "%s/%s", folder, cases[i].name);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0444);
        assert_true(fd >= 0);
        (void)close(fd);
        check_as_other(cases[i].folder_code, ERR_IO, &err);
        assert_int_equal(unlink(path), 0);
        assert_non_null(strstr(err.message, path));
        assert_non_null(
            strstr(err.message, geteuid() == 0 ? "change the owner of all files there" : "chmod u+rw"));
        check_as_other(0, 0, &err);
    }
    assert_int_equal(chmod(folder, 0700), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ones_own),
        cmocka_unit_test(test_folder_of_another_user),
        cmocka_unit_test(test_files_of_another_user),
    };
    if (scratch_make(folder))
        return 1;
    (void)snprintf(database, sizeof database, "%s/bifurcated.db", folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)rmdir(folder);
    return failed;
}
