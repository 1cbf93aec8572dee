/* The lock of the state folder: one owner, others beside it when it allows that. */
#include "store/lock.h"

#include "daemon/base/clock.h"
#include "tests/unit/scratch.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[SCRATCH_SIZE];
static char database[64], lock[64];

static void test_owner(void **state)
{
    struct err err = ERR_INIT;
    char number[32];
    int first = -1, second = -1;
    (void)state;
    assert_int_equal(lock_take_shared(database, &second, &err), 0);
    assert_int_equal(second, -1); /* nobody has ever owned it, and asking leaves nothing behind */
    assert_int_not_equal(access(lock, F_OK), 0);
    assert_int_equal(lock_take(database, &first, &err), 0);
    assert_int_equal(lock_take(database, &second, &err), ERR_CONFLICT);
    (void)snprintf(number, sizeof number, "process %ld", (long)getpid());
    assert_non_null(strstr(err.message, number));
    assert_non_null(strstr(err.message, folder));
    assert_int_equal(lock_take_shared(database, &second, &err), ERR_CONFLICT);
    assert_int_equal(second, -1);
    assert_non_null(strstr(err.message, number));
    assert_non_null(strstr(err.message, "restored or upgraded"));
    (void)close(first);
    assert_int_equal(lock_take(database, &second, &err), 0);
    (void)close(second);
}

static void test_beside(void **state)
{
    struct err err = ERR_INIT;
    int owner = -1, beside[2] = {-1, -1}, other = -1;
    (void)state;
    assert_int_equal(lock_take(database, &owner, &err), 0);
    lock_share(owner);
    assert_int_equal(lock_take(database, &other, &err), ERR_CONFLICT); /* still one owner */
    for (int i = 0; i < 2; i++)
        assert_int_equal(lock_take_shared(database, &beside[i], &err), 0);
    assert_true(beside[0] >= 0 && beside[1] >= 0);
    (void)close(beside[0]);
    (void)close(beside[1]);
    (void)close(owner);
}

static atomic_int is_closed;

static void *close_later(void *context)
{
    clock_sleep_ms(200);
    atomic_store(&is_closed, 1);
    (void)close(*(int *)context);
    return NULL;
}

/* The next owner waits for who still writes beside the one before. */
static void test_next_owner_waits(void **state)
{
    struct err err = ERR_INIT;
    pthread_t thread;
    int owner = -1, beside = -1, next = -1;
    (void)state;
    assert_int_equal(lock_take(database, &owner, &err), 0);
    lock_share(owner);
    assert_int_equal(lock_take_shared(database, &beside, &err), 0);
    (void)close(owner);
    assert_int_equal(pthread_create(&thread, NULL, close_later, &beside), 0);
    assert_int_equal(lock_take(database, &next, &err), 0);
    assert_true(atomic_load(&is_closed));
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)close(next);
}

static void test_long_path(void **state)
{
    static char path[5000];
    struct err err = ERR_INIT;
    int fd = -1;
    (void)state;
    memset(path, 'a', sizeof path - 1);
    path[4990] = '/';
    assert_int_equal(lock_take(path, &fd, &err), ERR_LIMIT);
    assert_int_equal(lock_take_shared(path, &fd, &err), ERR_LIMIT);
    assert_int_equal(fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_owner),
        cmocka_unit_test(test_beside),
        cmocka_unit_test(test_next_owner_waits),
        cmocka_unit_test(test_long_path),
    };
    if (scratch_make(folder))
        return 1;
    (void)snprintf(database, sizeof database, "%s/bifurcated.db", folder);
    (void)snprintf(lock, sizeof lock, "%s/lock", folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(lock);
    (void)rmdir(folder);
    return failed;
}
