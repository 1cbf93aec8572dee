/*
 * What a claim tells of a checkpoint in many files: what is known of its tensors by their files, and at what
 * price.
 */
#include "tests/unit/store/fixture.h"

#include "api/workers/claim_task.h"

#include <sqlite3.h>
#include <stdatomic.h>

#define DEFINITION 1

static atomic_int statement_count;

static int note_statement(unsigned kind, void *context, void *statement, void *text)
{
    (void)kind, (void)context, (void)statement, (void)text;
    atomic_fetch_add(&statement_count, 1);
    return 0;
}

static int watch_connection(sqlite3 *db, const char **message, const struct sqlite3_api_routines *api)
{
    (void)message, (void)api;
    return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, note_statement, NULL);
}

static int open_watched(void **state)
{
    return sqlite3_auto_extension((void (*)(void))watch_connection) || fixture_open(state) ? -1 : 0;
}

static int close_watched(void **state)
{
    sqlite3_reset_auto_extension();
    return fixture_close(state);
}

static void name_shard(size_t index, size_t count, char *name, size_t size)
{
    (void)snprintf(name, size, "model-%05zu-of-%05zu.safetensors", index + 1, count);
}

/* The files of a revision, one of each tensor and an index; all digests follow from the names. */
static void set_files(const struct fixture *fixture, int64_t revision_id, size_t count)
{
    struct revision_file_row *files = calloc(count + 1, sizeof *files);
    for (size_t i = 0; i <= count; i++) {
        struct revision_file_row *file = &files[i];
        if (i < count)
            name_shard(i, count, file->path, sizeof file->path);
        else
            (void)snprintf(file->path, sizeof file->path, "model.safetensors.index.json");
        file->size_bytes = 1024;
        file->digest_kind = REVISION_DIGEST_KIND_SHA256;
        fixture_digest(file->path, file->digest);
    }
    OK(revisions_set_files(fixture->store, revision_id, files, count + 1, &err));
    free(files);
}

/* A running sweep of tensors "t0000", ... by name, of one revision. */
static void sweep_tensors(const struct fixture *fixture, int64_t revision_id, size_t count)
{
    struct task_plan plan = {.revision_id = revision_id};
    struct sweep_request request = {.model_id = fixture->model_id};
    struct buf text;
    int64_t id = 0;
    buf_init(&text, LIMIT_API_BODY_BYTES);
    (void)buf_append_text(&text, "{\"tensors\":[");
    for (size_t i = 0; i < count; i++)
        (void)buf_appendf(&text, "%s\"t%04zu\"", i ? "," : "", i);
    (void)buf_append_text(&text, "]}");
    request.request = buf_text(&text);
    OK(sweeps_create(fixture->store, &request, &id, NULL, &err));
    OK(tasks_plan(fixture->store, id, &plan, 1, &err));
    OK(sweeps_start(fixture->store, id, &err));
    buf_free(&text);
}

/* Measures the tensors of the sweep that is there, each in a file of its own. */
static void measure_tensors(struct fixture *fixture, size_t count)
{
    struct task_row task;
    struct task_lease lease;
    struct task_tensor *tensors = calloc(count, sizeof *tensors);
    struct statistics_row statistics = {
        .row_set = ROW_SET_ALL, .definition = DEFINITION, .backend = "cpu", .elements = 512};
    for (size_t i = 0; i < count; i++) {
        struct task_tensor *tensor = &tensors[i];
        tensor->content =
            (struct content_row){.dtype = "float16", .rows = 64, .columns = 8, .size_bytes = 1024};
        (void)snprintf(tensor->tensor, sizeof tensor->tensor, "t%04zu", i);
        fixture_digest(tensor->tensor, tensor->content.digest);
        name_shard(i, count, tensor->file_path, sizeof tensor->file_path);
        fixture_digest(tensor->file_path, tensor->file_digest);
        tensor->token_rows = 64;
        tensor->definition = DEFINITION;
        (void)snprintf(tensor->backend, sizeof tensor->backend, "cpu");
        tensor->statistics = &statistics;
        tensor->statistics_count = 1;
    }
    struct task_result result = {.tensors = tensors, .tensor_count = count};
    fixture_claim(fixture, "local/0", &task);
    task_lease_of(&task, &lease);
    OK(tasks_record(fixture->store, &lease, &result, &err));
    free(tensors);
}

static void test_files_are_asked_for_together(void **state)
{
    enum { COUNT = 100 };
    struct fixture *fixture = *state;
    struct task_row row;
    struct wire_task task;
    int64_t ids[3];
    fixture_add_revisions(fixture, 2, ids);
    set_files(fixture, ids[0], COUNT);
    sweep_tensors(fixture, ids[0], COUNT);
    measure_tensors(fixture, COUNT);
    /* A branch with the same files, of which nothing was measured. */
    set_files(fixture, ids[1], COUNT);
    sweep_tensors(fixture, ids[1], COUNT + 1);
    fixture_claim(fixture, "w/0", &row);
    atomic_store(&statement_count, 0);
    OK(api_claim_task(fixture->store, &row, "cpu", DEFINITION, &task, &err));
    if (atomic_load(&statement_count) > 3 * COUNT)
        fail_msg("%d statements for %d tensors", atomic_load(&statement_count), COUNT);
    const struct wire_revision *revision = &task.revisions[0];
    assert_int_equal(revision->file_count, COUNT + 1);
    assert_int_equal(revision->tensor_count, COUNT); /* nobody has seen the last */
    for (size_t i = 0; i < COUNT; i++) {
        const struct task_tensor *tensor = &revision->tensors[i];
        char name[16], digest[STORE_DIGEST_SIZE];
        (void)snprintf(name, sizeof name, "t%04zu", i);
        fixture_digest(name, digest);
        assert_string_equal(tensor->tensor, name);
        assert_string_equal(tensor->content.digest, digest);
        name_shard(i, COUNT, name, 0);
        fixture_digest(tensor->file_path, digest);
        assert_string_equal(tensor->file_digest, digest);
        assert_int_equal(tensor->token_rows, 64);
    }
    wire_task_free(&task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_files_are_asked_for_together, open_watched, close_watched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
