/* Calling Slurm's programs: the arguments they get, and what their answers become. */
#include "tests/unit/slurm/fake.h"

static void test_submission(void **state)
{
    const char *folder = *state;
    struct slurm_options options;
    enum slurm_failure failure;
    int64_t id = 0;
    fake_options(folder, &options);
    fake_does(folder, "sbatch", "cat > script; echo 17");
    OK(slurm_submit(&options, "bifurcated-1", 3, &id, &failure, &err));
    assert_int_equal(id, 17);
    char *calls = fake_calls(folder, "sbatch");
    assert_string_equal(calls, "--parsable\n--requeue\n--chdir=/\n--job-name=bifurcated-1\n--array=0-2%4\n"
                               "--output=/dev/null\n.\n");
    free(calls);
    options.partition = "gpu";
    options.account = "lab 7";
    options.gres = "gpu:a100:1";
    options.time = "2:00:00";
    options.arguments = "  --mem=8G \t--qos=low ";
    options.output = "/logs/%A_%a.log";
    OK(slurm_submit(&options, "bifurcated-2", 1, &id, &failure, &err));
    calls = fake_calls(folder, "sbatch");
    assert_string_equal(calls, "--parsable\n--requeue\n--chdir=/\n--job-name=bifurcated-2\n--array=0-0%4\n"
                               "--output=/logs/%A_%a.log\n--partition=gpu\n--account=lab 7\n"
                               "--gres=gpu:a100:1\n--time=2:00:00\n--mem=8G\n--qos=low\n.\n");
    free(calls);
}

/* The shell that runs the script sees every value as one word, whatever is in it. */
static void test_script(void **state)
{
    const char *folder = *state;
    struct slurm_options options;
    struct buf script;
    char command[256], program[128];
    fake_options(folder, &options);
    (void)snprintf(program, sizeof program, "%s/it's; $(false)", folder);
    fake_write(folder, "it's; $(false)", "#!/bin/sh\ncd \"${0%/*}\"\nprintf '%s\\n' \"$@\" > seen\n", 0755);
    options.program = program;
    options.connect = "http://h:1/`x`";
    options.token_file = "/a b/'t'";
    options.ca_file = "/c $d/'chain'";
    buf_init(&script, 4096);
    OK(slurm_write_script(&options, &script, &err));
    fake_write(folder, "script", buf_text(&script), 0755);
    buf_free(&script);
    (void)snprintf(command, sizeof command,
                   "SLURM_ARRAY_JOB_ID=17 SLURM_ARRAY_TASK_ID=2 SLURMD_NODENAME=n1 sh %s/script", folder);
    assert_int_equal(system(command), 0);
    struct buf seen;
    char path[128];
    buf_init(&seen, 4096);
    (void)snprintf(path, sizeof path, "%s/seen", folder);
    OK(file_read(path, &seen, &err));
    assert_string_equal(
        buf_text(&seen),
        "worker\n--connect\nhttp://h:1/`x`\n--token-file\n/a b/'t'\n--connect-ca-file\n/c $d/'chain'\n"
        "--idle-exit-s\n60\n--name\nslurm-17_2@n1\n");
    buf_free(&seen);
}

static void test_refusals(void **state)
{
    const char *folder = *state;
    struct slurm_options options;
    enum slurm_failure failure;
    int64_t id = 0;
    fake_options(folder, &options);
    fake_does(folder, "sbatch", "echo 'sbatch: error: invalid partition specified: nope' >&2; exit 1");
    FAILS(ERR_INVALID, "sbatch: invalid partition specified: nope",
          slurm_submit(&options, "a", 1, &id, &failure, &err));
    assert_int_equal(failure, SLURM_FAILURE_REFUSED);
    fake_does(folder, "sbatch", "echo 'sbatch: error: Unable to contact slurm controller' >&2; exit 1");
    FAILS(ERR_NETWORK, "Unable to contact", slurm_submit(&options, "a", 1, &id, &failure, &err));
    assert_int_equal(failure, SLURM_FAILURE_BUSY);
    fake_does(folder, "sbatch", "exit 7");
    FAILS(ERR_NETWORK, "status 7", slurm_submit(&options, "a", 1, &id, &failure, &err));
    assert_int_equal(failure, SLURM_FAILURE_UNKNOWN);
    fake_does(folder, "sbatch", "echo hello");
    FAILS(ERR_FORMAT, "hello", slurm_submit(&options, "a", 1, &id, &failure, &err));
    assert_int_equal(failure, SLURM_FAILURE_UNKNOWN);
    options.folder = "/no/such/folder";
    FAILS(ERR_NOT_FOUND, "sbatch is not installed here", slurm_submit(&options, "a", 1, &id, &failure, &err));
    assert_int_equal(failure, SLURM_FAILURE_REFUSED);
    options.folder = folder;
    char words[400] = "";
    for (int i = 0; i < 80; i++)
        (void)snprintf(words + strlen(words), sizeof words - strlen(words), "-x%d ", i % 10);
    options.arguments = words;
    FAILS(ERR_LIMIT, "slurm-arguments", slurm_submit(&options, "a", 1, &id, &failure, &err));
}

static void test_watching(void **state)
{
    const char *folder = *state;
    struct slurm_options options;
    struct slurm_array arrays[2] = {{.name = "b-1", .job_id = 5, .reason = "old"}, {.name = "b-2"}};
    fake_options(folder, &options);
    fake_does(folder, "squeue", "echo '12|RUNNING|b-2|None'");
    OK(slurm_find(&options, arrays, 2, &err));
    assert_int_equal(arrays[0].job_id, 0);
    assert_string_equal(arrays[0].reason, "");
    assert_int_equal(arrays[1].job_id, 12);
    char *calls = fake_calls(folder, "squeue");
    assert_string_equal(calls,
                        "--noheader\n--array\n--states=all\n--format=%F|%T|%j|%r\n--name=b-1,b-2\n.\n");
    free(calls);
    OK(slurm_find(&options, arrays, 0, &err)); /* nothing to ask */
    calls = fake_calls(folder, "squeue");
    assert_string_equal(calls, "");
    free(calls);
    fake_does(folder, "sacct", "echo 'FAILED|127:0'");
    OK(slurm_account(&options, 12, &arrays[1], &err));
    assert_int_equal(arrays[1].elements[SLURM_FATE_FAILED], 1);
    calls = fake_calls(folder, "sacct");
    assert_non_null(strstr(calls, "--jobs=12\n"));
    free(calls);
    fake_does(folder, "sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1");
    FAILS(ERR_NOT_FOUND, "no accounting", slurm_account(&options, 12, &arrays[1], &err));
    fake_does(folder, "sacct", "");
    FAILS(ERR_NOT_FOUND, "does not know", slurm_account(&options, 12, &arrays[1], &err));
}

/* What somebody's shell sets for his own calls of squeue hides no jobs. */
static void test_settings_of_a_shell(void **state)
{
    const char *folder = *state;
    struct slurm_options options;
    struct slurm_array array = {.name = "b-1"};
    fake_options(folder, &options);
    assert_int_equal(setenv("SQUEUE_PARTITION", "other", 1), 0);
    assert_int_equal(setenv("SCANCEL_USER", "other", 1), 0);
    fake_does(folder, "squeue",
              "test -n \"$HOME$PATH\" && test -z \"$SQUEUE_PARTITION\" && test \"$SCANCEL_USER\" && "
              "echo '12|RUNNING|b-1|None'");
    OK(slurm_find(&options, &array, 1, &err));
    assert_int_equal(array.job_id, 12);
    assert_string_equal(getenv("SQUEUE_PARTITION"), "other");
    fake_does(folder, "scancel", "test -z \"$SCANCEL_USER\"");
    OK(slurm_cancel(&options, 12, 0, &err));
    assert_int_equal(unsetenv("SQUEUE_PARTITION") + unsetenv("SCANCEL_USER"), 0);
}

static void test_cancelling(void **state)
{
    const char *folder = *state;
    struct slurm_options options;
    fake_options(folder, &options);
    fake_does(folder, "scancel", "");
    OK(slurm_cancel(&options, 12, 0, &err));
    OK(slurm_cancel(&options, 13, 1, &err));
    char *calls = fake_calls(folder, "scancel");
    assert_string_equal(calls, "--quiet\n12\n.\n--quiet\n13\n--state=PENDING\n.\n");
    free(calls);
    fake_does(folder, "scancel",
              "echo 'scancel: error: Kill job error on job id 12: Invalid job id specified' >&2; exit 1");
    OK(slurm_cancel(&options, 12, 0, &err));
    fake_does(folder, "scancel", "echo 'scancel: error: Access/permission denied' >&2; exit 1");
    FAILS(ERR_INVALID, "denied", slurm_cancel(&options, 12, 0, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_submission, fixture_make_folder, fixture_remove_folder),
        cmocka_unit_test_setup_teardown(test_settings_of_a_shell, fixture_make_folder, fixture_remove_folder),
        cmocka_unit_test_setup_teardown(test_script, fixture_make_folder, fixture_remove_folder),
        cmocka_unit_test_setup_teardown(test_refusals, fixture_make_folder, fixture_remove_folder),
        cmocka_unit_test_setup_teardown(test_watching, fixture_make_folder, fixture_remove_folder),
        cmocka_unit_test_setup_teardown(test_cancelling, fixture_make_folder, fixture_remove_folder),
    };
    (void)signal(SIGPIPE, SIG_IGN); /* as the daemon does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
