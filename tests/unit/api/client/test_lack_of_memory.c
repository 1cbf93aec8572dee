/* What the client asks for is whole, or it does not ask. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/base/no_memory.h"

#include "api/client/commands.h"

#include <stdio.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 16
#define OVER 64 /* beside an exit status */

/* Nobody listens there: who gets as far as asking finds nobody. */
#define NOBODY "--server=http://127.0.0.1:1"

static const char *const commands[][WORDS_MAX] = {
    {"sweep", "a/b", "--revision=step1", "--tensor=x", "--metric=perplexity", "--dataset=c/d", "--limit=5",
     "--rule={step}", "--from=1", NOBODY},
    {"watch", "a/b", "--at=02:30", "--webhook=http://127.0.0.1:1/", "--rule={step}", NOBODY},
    {"issue", "somebody", "--scopes=read,sweep", "--expires-days=3", NOBODY},
    {"perplexity", "a/b", "--revision=step1", "--dataset=c/d", "--limit=5", NOBODY},
};

static int run(const char *const words[WORDS_MAX])
{
    char *arguments[WORDS_MAX + 2] = {(char[]){"bifurcate"}}, copies[WORDS_MAX][64];
    int count = 1;
    for (int i = 0; i < WORDS_MAX && words[i]; i++) {
        (void)snprintf(copies[i], sizeof copies[i], "%s", words[i]);
        arguments[count++] = copies[i];
    }
    return client_main(count, arguments);
}

/* Without the allocation of that number, in a process of its own, as the client is one. *ret_is_over: it
 * needs fewer. */
static int run_without(const char *const words[WORDS_MAX], unsigned number, int *ret_is_over)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        FILE *silent = freopen("/dev/null", "w", stderr);
        countdown = number;
        status = silent ? run(words) : OVER;
        _exit(status | (countdown ? OVER : 0));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    *ret_is_over = (WEXITSTATUS(status) & OVER) != 0;
    return WEXITSTATUS(status) & ~OVER;
}

/* What is left out of a request would be followed by memory for its text, which is refused last of all before
 * the client asks. */
static void test_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        int is_over = 0;
        unsigned refused = 0;
        for (unsigned number = 1; !is_over; number++) {
            int status = run_without(commands[i], number, &is_over);
            if (status == CLIENT_EXIT_UNREACHABLE)
                continue; /* it lacks memory after that, if at all */
            if (refused + 1 != number)
                print_error("%s: without allocation %u it asks\n", commands[i][0], refused + 1);
            assert_int_equal(++refused, number);
            assert_true(!is_over && (status == CLIENT_EXIT_ERROR || status == CLIENT_EXIT_USAGE));
        }
        assert_true(refused > 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_requests, let_memory_fail, restore_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
