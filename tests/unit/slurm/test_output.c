/* What Slurm 22.05 prints, as it printed it; and what nobody should print. */
#include "tests/unit/base/fixture.h"

#include "daemon/slurm/output.h"

static int parse(const char *text, struct slurm_array *arrays, size_t count, struct err *err)
{
    return slurm_parse_queue(text, strlen(text), arrays, count, err);
}

static void test_submission(void **state)
{
    (void)state;
    int64_t id = 0;
    OK(slurm_parse_submission("17\n", 3, &id, &err));
    assert_int_equal(id, 17);
    OK(slurm_parse_submission("4000000001;cluster\n", 19, &id, &err));
    assert_int_equal(id, 4000000001);
    static const char *const bad[] = {"",
                                      "\n",
                                      "17",
                                      "17\n18\n",
                                      "0\n",
                                      "-3\n",
                                      "17 \n",
                                      " 17\n",
                                      "x\n",
                                      ";c\n",
                                      "17_2\n",
                                      "1e3\n",
                                      "1234567890123456789\n",
                                      "Submitted batch job 17\n"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        FAILS(ERR_FORMAT, "job id", slurm_parse_submission(bad[i], strlen(bad[i]), &id, &err));
}

static void test_queue(void **state)
{
    (void)state;
    struct slurm_array arrays[3] = {
        {.name = "bifurcated-1"}, {.name = "bifurcated-2"}, {.name = "bifurcated-3"}};
    OK(parse("1|PENDING|bifurcated-1|Resources\n"
             "1|PENDING|bifurcated-1|Priority\n"
             "1|RUNNING|bifurcated-1|None\n"
             "1|COMPLETED|bifurcated-1|None\n"
             "1|CANCELLED|bifurcated-1|None\n"
             "1|REQUEUED|bifurcated-1|BeginTime\n"
             "\n"
             "9|RUNNING|somebody's|None\n"
             "2|COMPLETING|bifurcated-2|None\n"
             "2|NODE_FAIL|bifurcated-2|NodeDown\n"
             "2|FAILED|bifurcated-2|NonZeroExitCode",
             arrays, 3, &err));
    assert_int_equal(arrays[0].job_id, 1);
    assert_int_equal(arrays[0].elements[SLURM_FATE_PENDING], 3);
    assert_int_equal(arrays[0].elements[SLURM_FATE_RUNNING], 1);
    assert_int_equal(arrays[0].elements[SLURM_FATE_COMPLETED], 1);
    assert_int_equal(arrays[0].elements[SLURM_FATE_CANCELLED], 1);
    assert_string_equal(arrays[0].reason, "Resources");
    assert_int_equal(slurm_array_live(&arrays[0]), 4);
    assert_int_equal(arrays[1].job_id, 2);
    assert_int_equal(arrays[1].elements[SLURM_FATE_RUNNING], 1);
    assert_int_equal(arrays[1].elements[SLURM_FATE_FAILED], 2);
    assert_string_equal(arrays[1].reason, "NODE_FAIL (NodeDown)");
    assert_int_equal(arrays[2].job_id, 0);
    assert_int_equal(slurm_array_live(&arrays[2]), 0);
}

static void test_reasons_may_hold_anything(void **state)
{
    (void)state;
    struct slurm_array array = {.name = "a"};
    char text[4000] = "5|PENDING|a|";
    memset(text + strlen(text), 'x', 3000);
    OK(parse("5|PENDING|a|ReqNodeNotAvail, UnavailableNodes:n[1-4]|and more\033[31m\xff", &array, 1, &err));
    assert_string_equal(array.reason, "ReqNodeNotAvail, UnavailableNodes:n[1-4]|and more [31m ");
    array = (struct slurm_array){.name = "a"};
    OK(parse(text, &array, 1, &err));
    assert_int_equal(strlen(array.reason), SLURM_REASON_SIZE - 1);
}

static void test_fates(void **state)
{
    (void)state;
    assert_int_equal(slurm_fate_of("CANCELLED by 1000", ""), SLURM_FATE_CANCELLED);
    assert_int_equal(slurm_fate_of("COMPLETED+", ""), SLURM_FATE_COMPLETED);
    assert_int_equal(slurm_fate_of("PREEMPTED", ""), SLURM_FATE_CANCELLED);
    assert_int_equal(slurm_fate_of("SUSPENDED", ""), SLURM_FATE_RUNNING);
    assert_int_equal(slurm_fate_of("PENDING", "launch failed requeued held"), SLURM_FATE_HELD);
    assert_int_equal(slurm_fate_of("PENDING", "JobHeldUser"), SLURM_FATE_PENDING);
    assert_int_equal(slurm_fate_of("EXPEDITING", ""), SLURM_FATE_PENDING); /* some day */
    assert_int_equal(slurm_fate_of("RUN", ""), SLURM_FATE_PENDING);
}

static void test_bad_queues(void **state)
{
    (void)state;
    struct slurm_array array = {.name = "a"};
    FAILS(ERR_FORMAT, "line 1", parse("slurm_load_jobs error\n", &array, 1, &err));
    FAILS(ERR_FORMAT, "line 2", parse("1|RUNNING|a|None\n1|RUNNING|a\n", &array, 1, &err));
    FAILS(ERR_FORMAT, "line 1", parse("1_2|RUNNING|a|None\n", &array, 1, &err));
    FAILS(ERR_FORMAT, "line 1", parse("|RUNNING|a|None\n", &array, 1, &err));
    FAILS(ERR_FORMAT, "line 1", parse("0|RUNNING|a|None\n", &array, 1, &err));
    FAILS(ERR_FORMAT, "line 1", parse("7||a|None\n", &array, 1, &err));
    FAILS(ERR_FORMAT, "zero byte", slurm_parse_queue("7|RUNNING\0|a|None\n", 18, &array, 1, &err));
    size_t line = strlen("7|RUNNING|b|None\n");
    char *text = malloc(line * (SLURM_ELEMENTS_MAX + 1) + 1);
    for (size_t i = 0; i <= SLURM_ELEMENTS_MAX; i++)
        memcpy(text + i * line, "7|RUNNING|b|None\n", line + 1);
    FAILS(ERR_LIMIT, "more than", parse(text, &array, 1, &err));
    free(text);
}

static void test_account(void **state)
{
    (void)state;
    struct slurm_array array = {.name = "a", .elements = {7, 7, 7, 7, 7, 7}, .reason = "old"};
    const char *text = "COMPLETED|0:0\nCANCELLED by 0|0:15\nTIMEOUT|0:0\nFAILED|127:0\n";
    OK(slurm_parse_account(text, strlen(text), &array, &err));
    assert_int_equal(array.elements[SLURM_FATE_COMPLETED], 1);
    assert_int_equal(array.elements[SLURM_FATE_CANCELLED], 1);
    assert_int_equal(array.elements[SLURM_FATE_FAILED], 2);
    assert_int_equal(array.elements[SLURM_FATE_PENDING], 0);
    assert_string_equal(array.reason, "TIMEOUT (exit code 0:0)");
    FAILS(ERR_FORMAT, "line 1", slurm_parse_account("COMPLETED\n", 10, &array, &err));
    FAILS(ERR_FORMAT, "line 1", slurm_parse_account("|0:0\n", 5, &array, &err));
}

static void test_failures(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
        enum slurm_failure failure;
    } cases[] = {
        {"sbatch: error: invalid partition specified: nope\n"
         "sbatch: error: Batch job submission failed: Invalid partition name specified\n",
         "invalid partition specified: nope; Batch job submission failed: Invalid partition name specified",
         SLURM_FAILURE_REFUSED},
        {"sbatch: error: Invalid generic resource (gres) specification\n",
         "Invalid generic resource (gres) specification", SLURM_FAILURE_REFUSED},
        {"sbatch: error: Invalid --time specification\n", "Invalid --time specification",
         SLURM_FAILURE_REFUSED},
        {"sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)\n",
         "Batch job submission failed: Unable to contact slurm controller (connect failure)",
         SLURM_FAILURE_BUSY},
        {"slurm_load_jobs error: Socket timed out on send/recv operation\n",
         "slurm_load_jobs error: Socket timed out on send/recv operation", SLURM_FAILURE_UNHEARD},
        {"sbatch: error: something new", "something new", SLURM_FAILURE_UNKNOWN},
        {"\n\nsbatch: error: \n", "", SLURM_FAILURE_UNKNOWN},
        {"sbatch: error: a\033[2Jb\x80", "a [2Jb ", SLURM_FAILURE_UNKNOWN},
    };
    char message[128], small[8];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(slurm_read_failure(cases[i].text, strlen(cases[i].text), message, sizeof message),
                         cases[i].failure);
        assert_string_equal(message, cases[i].message);
    }
    assert_int_equal(
        slurm_read_failure("error: abcdefghijkl\nerror: Invalid account\n", 42, small, sizeof small),
        SLURM_FAILURE_REFUSED);
    assert_string_equal(small, "abcdefg");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_submission),
        cmocka_unit_test(test_queue),
        cmocka_unit_test(test_reasons_may_hold_anything),
        cmocka_unit_test(test_fates),
        cmocka_unit_test(test_bad_queues),
        cmocka_unit_test(test_account),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
