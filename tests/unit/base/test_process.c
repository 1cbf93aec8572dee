/* Running programs: what comes in, what comes out, and what is ended before its time. */
#include "tests/unit/base/fixture.h"

#include "daemon/base/clock.h"
#include "daemon/base/process.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>

static int run(struct process_end *end, const char *script, const char *input, int64_t timeout_ms,
               const atomic_bool *cancel, struct err *err)
{
    const char *const arguments[] = {"sh", "-c", script, "sh", "a b", "$HOME", NULL};
    struct process process = {
        .arguments = arguments, .input = input, .timeout_ms = timeout_ms, .cancel = cancel};
    return process_run(&process, end, err);
}

static void test_output_and_status(void **state)
{
    (void)state;
    struct process_end end;
    process_end_init(&end, 4096, 4096);
    OK(run(&end, "cat; printf '[%s][%s]' \"$1\" \"$2\"; echo oops >&2; exit 3", "given", 60000, NULL, &err));
    assert_int_equal(end.status, 3);
    assert_string_equal(buf_text(&end.output), "given[a b][$HOME]"); /* no shell has seen the arguments */
    assert_string_equal(buf_text(&end.errors), "oops\n");
    process_end_free(&end);
    process_end_init(&end, 4096, 4096);
    OK(run(&end, "kill -USR1 $$", NULL, 60000, NULL, &err));
    assert_int_equal(end.status, 128 + SIGUSR1);
    assert_int_equal(end.output.size, 0);
    process_end_free(&end);
}

/* What this process ignores and holds back is nothing to the program: it dies of a broken pipe, say. */
static void test_signals_are_the_default_ones(void **state)
{
    (void)state;
    static const char *const arguments[] = {"grep", "-E", "Sig(Blk|Ign)", "/proc/self/status", NULL};
    const struct process process = {.arguments = arguments, .timeout_ms = 60000}; /* a shell would mend it */
    struct process_end end;
    sigset_t held, before;
    (void)sigemptyset(&held);
    (void)sigaddset(&held, SIGTERM);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &held, &before), 0);
    process_end_init(&end, 4096, 4096);
    OK(process_run(&process, &end, &err));
    assert_string_equal(buf_text(&end.output), "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    process_end_free(&end);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
}

/* Files that a library opened without O_CLOEXEC, such as libcurl's connections, are not the program's. */
static void test_three_files_are_passed_on(void **state)
{
    (void)state;
    int fd = fcntl(STDIN_FILENO, F_DUPFD, 100);
    char path[32];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const char *const arguments[] = {"ls", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", path,
                                     NULL};
    const struct process process = {.arguments = arguments, .timeout_ms = 60000};
    struct process_end end;
    process_end_init(&end, 4096, 4096);
    OK(process_run(&process, &end, &err));
    assert_string_equal(buf_text(&end.output), "/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\n");
    assert_non_null(strstr(buf_text(&end.errors), path));
    process_end_free(&end);
    (void)close(fd);
}

static void test_input_that_nobody_reads(void **state)
{
    (void)state;
    struct process_end end;
    char *input = malloc(1000001);
    memset(input, 'x', 1000000);
    input[1000000] = 0;
    process_end_init(&end, 4096, 4096);
    OK(run(&end, "exit 0", input, 60000, NULL, &err));
    assert_int_equal(end.status, 0);
    process_end_free(&end);
    /* More than a pipe holds, both ways at once. */
    process_end_init(&end, 2000000, 4096);
    OK(run(&end, "cat", input, 60000, NULL, &err));
    assert_int_equal(end.output.size, 1000000);
    process_end_free(&end);
    free(input);
}

static void test_too_much(void **state)
{
    (void)state;
    struct process_end end;
    process_end_init(&end, 1000, 1000);
    FAILS(ERR_LIMIT, "sh", run(&end, "while :; do echo xxxxxxxxxxxxxxxx; done", NULL, 60000, NULL, &err));
    process_end_free(&end);
    process_end_init(&end, 1000, 10);
    OK(run(&end, "echo 0123456789abcdef >&2; echo done", NULL, 60000, NULL, &err));
    assert_string_equal(buf_text(&end.errors), "0123456789");
    assert_string_equal(buf_text(&end.output), "done\n");
    process_end_free(&end);
}

static void test_not_there(void **state)
{
    struct process_end end;
    char path[256];
    const char *arguments[] = {"no-such-program-7143", NULL};
    struct process process = {.arguments = arguments, .timeout_ms = 1000};
    process_end_init(&end, 1000, 1000);
    FAILS(ERR_NOT_FOUND, "no-such-program-7143", process_run(&process, &end, &err));
    /* Executable, but no program: exec's own words. */
    (void)snprintf(path, sizeof path, "%s/broken", (char *)*state);
    FILE *file = fopen(path, "w");
    (void)fputs("#!/no/such/shell\n", file);
    (void)fclose(file);
    assert_int_equal(chmod(path, 0755), 0);
    arguments[0] = path;
    FAILS(ERR_NOT_FOUND, "cannot be started", process_run(&process, &end, &err));
    process_end_free(&end);
}

/* 0: there is none, or not yet. */
static long read_number(const char *path)
{
    FILE *file = fopen(path, "r");
    long number = 0;
    if (file) {
        (void)!fscanf(file, "%ld", &number);
        (void)fclose(file);
    }
    return number;
}

static void test_time_limit_ends_the_whole_group(void **state)
{
    struct process_end end;
    char script[256], path[256];
    (void)snprintf(path, sizeof path, "%s/pid", (char *)*state);
    (void)snprintf(script, sizeof script, "sleep 600 & echo $! > %s; wait", path);
    long pid = 0;
    for (int64_t limit_ms = 500; pid == 0; limit_ms *= 2) { /* by then the shell may not have come so far */
        process_end_init(&end, 1000, 1000);
        FAILS(ERR_TIMEOUT, "within", run(&end, script, NULL, limit_ms, NULL, &err));
        process_end_free(&end);
        pid = read_number(path);
    }
    /* Killed; it may take its new parent a moment to collect it, so a zombie counts as ended. */
    const int64_t end_ms = clock_monotonic_ms() + 60000;
    while (kill((pid_t)pid, 0) == 0) {
        char name[64], text[256] = "";
        (void)snprintf(name, sizeof name, "/proc/%ld/stat", pid);
        FILE *file = fopen(name, "r");
        if (file) {
            (void)!fread(text, 1, sizeof text - 1, file);
            (void)fclose(file);
        }
        if (strstr(text, ") Z"))
            return;
        clock_sleep_ms(10);
        assert_true(clock_monotonic_ms() < end_ms);
    }
}

static void *set_soon(void *context)
{
    clock_sleep_ms(100);
    atomic_store((atomic_bool *)context, true);
    return NULL;
}

static void test_cancel(void **state)
{
    (void)state;
    struct process_end end;
    atomic_bool cancel = false;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, set_soon, &cancel), 0);
    process_end_init(&end, 1000, 1000);
    FAILS(ERR_CANCELLED, "cancelled", run(&end, "sleep 600", NULL, 600000, &cancel, &err));
    process_end_free(&end);
    (void)pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_and_status),
        cmocka_unit_test(test_signals_are_the_default_ones),
        cmocka_unit_test(test_three_files_are_passed_on),
        cmocka_unit_test(test_input_that_nobody_reads),
        cmocka_unit_test(test_too_much),
        cmocka_unit_test_setup_teardown(test_not_there, fixture_make_folder, fixture_remove_folder),
        cmocka_unit_test_setup_teardown(test_time_limit_ends_the_whole_group, fixture_make_folder,
                                        fixture_remove_folder),
        cmocka_unit_test(test_cancel),
    };
    (void)signal(SIGPIPE, SIG_IGN); /* as the daemon does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
