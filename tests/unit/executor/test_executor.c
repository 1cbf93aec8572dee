/* The executor as the daemon has it: its thread, and what it tells of itself. */
#include "tests/unit/base/no_memory.h"
#include "tests/unit/executor/fixture.h"

#include "daemon/executor/executor.h"

/* Nodes reach a daemon that listens on every address by its host's name, and as it speaks. */
static void test_the_address_of_the_daemon(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *url, *begin, *end; /* the host's name is between them; NULL: the address is the URL */
    } cases[] = {{"http://0.0.0.0:7143", "http://", ":7143"},
                 {"https://0.0.0.0:7143", "https://", ":7143"},
                 {"https://[::]:80", "https://", ":80"},
                 {"https://10.0.0.1:7143", NULL, NULL}};
    char host[128] = "";
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    OK(sweeps_cancel(fixture->store, fixture->sweep, &err)); /* nothing to submit */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct options options;
        struct executor *executor = NULL;
        struct buf json;
        char address[256], expected[512];
        enum options_action action;
        char words[][20] = {"bifurcated", "--slurm-workers-max", "1", "--slurm-folder"};
        char *arguments[] = {words[0], words[1], words[2], words[3], fixture->folder, NULL};
        OK(options_load(5, arguments, &options, &action, &err));
        buf_init(&json, MIB);
        OK(executor_new(&options, fixture->store, NULL, &executor, &err));
        OK(executor_start(executor, cases[i].url, &err));
        executor_stop(executor);
        OK(executor_append_status(executor, &json, &err));
        (void)snprintf(address, sizeof address, "%s%s%s", cases[i].begin ? cases[i].begin : cases[i].url,
                       cases[i].begin ? host : "", cases[i].begin ? cases[i].end : "");
        (void)snprintf(expected, sizeof expected, "\"connect\":\"%s\"", address);
        assert_non_null(strstr(buf_text(&json), expected));
        buf_free(&json);
        executor_free(executor);
        options_free(&options);
    }
}

/* That there is no Slurm, null, is not said for lack of memory. */
static void test_status_without_memory(void **state)
{
    struct fixture *fixture = *state;
    struct options options;
    struct executor *executor = NULL;
    enum options_action action;
    char words[][20] = {"bifurcated", "--slurm-workers-max", "1", "--slurm-folder"};
    char *arguments[] = {words[0], words[1], words[2], words[3], fixture->folder, NULL};
    int code = 0;
    OK(options_load(5, arguments, &options, &action, &err));
    OK(executor_new(&options, fixture->store, NULL, &executor, &err));
    (void)let_memory_fail(NULL);
    for (unsigned number = 1; number == 1 || code; number++) {
        struct err err = ERR_INIT;
        struct buf json;
        buf_init(&json, MIB);
        countdown = number;
        code = executor_append_status(executor, &json, &err);
        assert_int_equal(code, countdown ? 0 : ERR_NO_MEMORY);
        buf_free(&json);
    }
    (void)restore_memory(NULL);
    executor_free(executor);
    options_free(&options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_the_address_of_the_daemon),
        CASE(test_status_without_memory),
    };
    (void)signal(SIGPIPE, SIG_IGN); /* as the daemon does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
