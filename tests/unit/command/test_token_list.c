/* `bifurcated token list --json` without memory: a token that it leaves out may be one that nobody revokes.
 */
#include "tests/unit/base/no_memory.h"
#include "tests/unit/store/fixture.h"

#include "daemon/command/commands.h"
#include "store/tokens.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OVER 64 /* beside an exit status */

/* Without the allocation of that number, in a process of its own; what it prints is in the file. */
static int run_without(char *state, const char *output, unsigned number)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        char words[][8] = {"token", "list", "--json", "--state"};
        char *arguments[] = {words[0], words[1], words[2], words[3], state, NULL};
        if (!freopen(output, "w", stdout) || !freopen("/dev/null", "w", stderr))
            _exit(OVER | 1);
        countdown = number;
        status = command_token(5, arguments);
        (void)fflush(stdout);
        _exit(status | (countdown ? OVER : 0));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static size_t read_output(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t count = fread(text, 1, size - 1, file);
    text[count] = '\0';
    (void)fclose(file);
    return count;
}

static void test_token_list(void **state)
{
    struct fixture *fixture = *state;
    char output[300], folder[256], whole[8192], part[8192];
    (void)snprintf(folder, sizeof folder, "%s", fixture->folder);
    (void)snprintf(output, sizeof output, "%s/output", fixture->folder);
    for (int i = 0; i < 3; i++) {
        char name[16], text[TOKEN_TEXT_SIZE];
        struct token_row row;
        (void)snprintf(name, sizeof name, "token-%d", i);
        const struct token_request request = {.name = name, .scopes = 1};
        OK(tokens_create(fixture->store, &request, text, &row, &err));
    }
    store_close(fixture->store); /* with its thread: what has threads cannot well be forked */
    fixture->store = NULL;
    (void)let_memory_fail(NULL);
    assert_int_equal(run_without(folder, output, 100000), OVER);
    (void)read_output(output, whole, sizeof whole);
    assert_non_null(strstr(whole, "token-2"));
    for (unsigned number = 1, status = 0; !(status & OVER); number++) {
        status = (unsigned)run_without(folder, output, number);
        size_t size = read_output(output, part, sizeof part);
        if (status & OVER)
            assert_string_equal(part, whole);
        else
            assert_true(status != 0 && size == 0);
    }
    (void)restore_memory(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_token_list, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
