/*
 * Tasks for remote workers: what is written is read again, the largest fits, bad ones are refused with the
 * member named.
 */
#include "tests/unit/api/wire/wire_check.h"

#include <jansson.h>
#include <stdlib.h>

static void make_task(struct wire_task *task, struct wire_sample *sample, struct revision_file_row *file)
{
    *task = (struct wire_task){.protocol = WIRE_PROTOCOL,
                               .id = "5.1.abc",
                               .store = "0123456789abcdef",
                               .sweep_id = 3,
                               .task_id = 5,
                               .attempt = 1,
                               .failures = 2,
                               .failures_max = 5,
                               .failure = "device_lost",
                               .lease_ms = 60000,
                               .model = {.name = "org/model",
                                         .kind = MODEL_KIND_HUB,
                                         .model_type = "gpt_neox",
                                         .vocabulary_size = 6,
                                         .token_rows = 5,
                                         .tensor = "embed_out.weight"},
                               .request = (char *)(uintptr_t) "{\"model\":\"org/model\"}",
                               .revision_count = 2,
                               .reference = 1,
                               .previous = -1};
    *file = (struct revision_file_row){.path = "model.safetensors", .size_bytes = 99, .digest = SAMPLE_FILE};
    for (int i = 0; i < 2; i++) {
        (void)snprintf(task->revisions[i].row.name, 32, "step%d", 1 - i);
        (void)snprintf(task->revisions[i].row.commit, 41, "%040d", i);
        task->revisions[i].row.step = 1 - i;
    }
    task->revisions[0].files = file;
    task->revisions[0].file_count = 1;
    task->revisions[1].tensors = &sample->tensor;
    task->revisions[1].tensor_count = 1;
}

/* What is known of the task's own revision and of two others, with as many tensors as a task may have. */
static void test_the_largest_claim_fits(void **state)
{
    (void)state;
    enum { NAMED = 100 }; /* bytes of a name */
    struct wire_sample *sample = new_sample();
    struct revision_file_row file, *files = calloc(LIMIT_CLAIM_FILES, sizeof *files);
    struct task_tensor *tensors = calloc(2 * (size_t)LIMIT_CLAIM_TENSORS, sizeof *tensors);
    struct task_tensor *of_others = tensors + LIMIT_CLAIM_TENSORS;
    struct wire_task task;
    struct buf buf;
    make_task(&task, sample, &file);
    for (size_t i = 0; i < 4; i++) {
#define X(name) sample->statistics[i].name = 1.7976931348623157e-300;
        STATISTICS_REALS(X)
#undef X
    }
    for (int i = 0; i < LIMIT_CLAIM_TENSORS; i++) {
        tensors[i] = sample->tensor;
        (void)snprintf(tensors[i].tensor, sizeof tensors[i].tensor, "%0*d", NAMED, i);
        of_others[i] = tensors[i];
        of_others[i].statistics_count = of_others[i].displacement_count = 0;
    }
    for (int i = 0; i < LIMIT_CLAIM_FILES; i++) {
        files[i] = file;
        (void)snprintf(files[i].path, sizeof files[i].path, "%0*d", NAMED, i);
    }
    task.revisions[2] = task.revisions[1];
    task.revision_count = 3;
    task.previous = 2;
    for (size_t i = 0; i < 3; i++) {
        task.revisions[i].files = files;
        task.revisions[i].file_count = LIMIT_CLAIM_FILES;
        task.revisions[i].tensors = i ? of_others : tensors;
        task.revisions[i].tensor_count = LIMIT_CLAIM_TENSORS;
    }
    buf_init(&buf, LIMIT_CLAIM_HEAD_BYTES);
    OK(wire_task_append(&task, &buf, &err));
    buf_free(&buf);
    free(tensors);
    free(files);
    free(sample);
}

static void test_task_round_trip(void **state)
{
    (void)state;
    struct wire_sample *sample = new_sample();
    struct revision_file_row file;
    struct wire_task task, read;
    struct buf buf, again;
    make_task(&task, sample, &file);
    buf_init(&buf, LIMIT_CLAIM_HEAD_BYTES);
    buf_init(&again, LIMIT_CLAIM_HEAD_BYTES);
    OK(wire_task_append(&task, &buf, &err));
    OK(wire_task_parse(buf_text(&buf), buf.size, &read, &err));
    assert_string_equal(read.id, task.id);
    assert_int_equal(read.lease_ms, 60000);
    assert_string_equal(read.failure, "device_lost");
    assert_string_equal(read.model.tensor, "embed_out.weight");
    assert_string_equal(read.request, task.request);
    assert_int_equal(read.revision_count, 2);
    assert_int_equal(read.reference, 1);
    assert_int_equal(read.previous, -1);
    assert_string_equal(read.revisions[0].files[0].digest, SAMPLE_FILE);
    assert_int_equal(read.revisions[1].tensor_count, 1);
    assert_int_equal(read.revisions[1].tensors[0].distribution_count, 0); /* no large values */
    check_statistics(&read.revisions[1].tensors[0].statistics[2], &sample->statistics[2]);
    OK(wire_task_append(&read, &again, &err));
    assert_string_equal(buf_text(&again), buf_text(&buf));
    for (size_t size = 0; size < buf.size; size += 7) {
        struct wire_task cut;
        struct err err = ERR_INIT;
        assert_true(wire_task_parse(buf_text(&buf), size, &cut, &err) < 0);
        wire_task_free(&cut);
    }
    wire_task_free(&read);
    buf_free(&again);
    buf_free(&buf);
    free(sample);
}

static void test_bad_tasks(void **state)
{
    (void)state;
    static const struct {
        const char *member, *value, *words;
    } cases[] = {
        {"protocol", "3", "protocol"},         {"id", "\"\"", "id"},
        {"revisions", "[]", "revisions"},      {"reference", "2", "reference"},
        {"previous", "-1", "previous"},        {"request", "\"{}\"", "request"},
        {"model", "{}", "model/name"},         {"lease_ms", "0", "lease_ms"},
        {"more", "1", "more: no such member"},
    };
    struct wire_sample *sample = new_sample();
    struct revision_file_row file;
    struct wire_task task;
    struct buf buf;
    make_task(&task, sample, &file);
    buf_init(&buf, LIMIT_CLAIM_HEAD_BYTES);
    (void)snprintf(file.path, sizeof file.path, "../../etc/passwd");
    for (size_t i = 0; i <= COUNT_OF(cases); i++) {
        struct wire_task read;
        struct err fault = ERR_INIT;
        buf_clear(&buf);
        OK(wire_task_append(&task, &buf, &err));
        json_t *root = json_loads(buf_text(&buf), 0, NULL);
        const char *words = i ? cases[i - 1].words : "revisions/0/files/0/path: leaves its folder";
        if (i)
            json_object_set_new(root, cases[i - 1].member,
                                json_loads(cases[i - 1].value, JSON_DECODE_ANY, NULL));
        char *text = json_dumps(root, 0);
        assert_true(wire_task_parse(text, strlen(text), &read, &fault) < 0);
        if (!strstr(fault.message, words))
            fail_msg("\"%s\" does not hold \"%s\"", fault.message, words);
        wire_task_free(&read);
        free(text);
        json_decref(root);
        (void)snprintf(file.path, sizeof file.path, "model.safetensors");
    }
    buf_free(&buf);
    free(sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_task_round_trip),
        cmocka_unit_test(test_the_largest_claim_fits),
        cmocka_unit_test(test_bad_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
