/* Recording: what a result leaves behind, what a second one adds, and what is refused as a whole. */
#include "tests/unit/store/fixture.h"

static void claim(struct fixture *fixture, struct task_lease *lease)
{
    struct task_row task;
    fixture_claim(fixture, "local/1", &task);
    task_lease_of(&task, lease);
}

struct alike {
    const struct statistics_row *key;
    struct statistics_row row;
    int count;
};

static int take_alike(void *context, const struct statistics_row *row)
{
    struct alike *alike = context;
    const struct statistics_row *key = alike->key;
    if (row->row_set != key->row_set || row->token_rows != key->token_rows ||
        row->is_centred != key->is_centred || row->definition != key->definition ||
        strcmp(row->backend, key->backend) != 0)
        return 0;
    alike->row = *row;
    alike->count++;
    return 0;
}

/* The statistics of a content of the same variant, definition and backend as `key`, which are there once. */
static struct statistics_row find_statistics(struct fixture *fixture, int64_t content_id,
                                             const struct statistics_row *key)
{
    struct alike alike = {.key = key};
    OK(statistics_list(fixture->store, content_id, take_alike, &alike, &err));
    assert_int_equal(alike.count, 1);
    return alike.row;
}

/* A measured file, content or displacement is found again by what identifies it. */
static void test_lookups(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[3];
    int exists = 0;
    struct task_lease lease;
    struct content_row content;
    struct fixture_result *made = malloc(sizeof *made);
    fixture_add_revisions(fixture, 2, ids);
    (void)fixture_sweep(fixture, ids, 2, 0);
    int64_t first = fixture_measure(fixture, "step0", 1);
    fixture_result(made, "step1", 2);
    fixture_displace(made, TASK_LINK_FIRST, ids[0], first, 5);
    claim(fixture, &lease);
    OK(tasks_record(fixture->store, &lease, &made->result, &err));

    OK(contents_find_by_file(fixture->store, made->tensor.file_digest, TENSOR, &content, &err));
    assert_string_equal(content.digest, made->tensor.content.digest);
    assert_int_equal(content.rows, 64);
    FAILS(ERR_NOT_FOUND,
          contents_find_by_file(fixture->store, made->tensor.file_digest, "other", &content, &err));
    FAILS(ERR_NOT_FOUND, contents_find_by_file(fixture->store, "", TENSOR, &content, &err));

    OK(statistics_exists(fixture->store, content.id, 50, 1, "cpu", &exists, &err));
    assert_true(exists);
    OK(statistics_exists(fixture->store, content.id, 0, 1, "", &exists, &err));
    assert_true(exists);
    OK(statistics_exists(fixture->store, content.id, 49, 1, "", &exists, &err));
    assert_false(exists);
    OK(statistics_exists(fixture->store, content.id, 50, 2, "", &exists, &err));
    assert_false(exists);
    OK(statistics_exists(fixture->store, content.id, 50, 1, "cuda", &exists, &err));
    assert_false(exists);

    struct displacement_row key = {.row_set = ROW_SET_TOKENS, .token_rows = 50, .definition = 1}, row;
    OK(displacements_find(fixture->store, content.id, first, &key, &row, &err));
    assert_true(row.msd == 6);
    assert_string_equal(row.backend, "cpu");
    assert_true(isnan(row.wasserstein1));
    FAILS(ERR_NOT_FOUND, displacements_find(fixture->store, first, content.id, &key, &row, &err));
    /* Each part of the key is looked at. */
    const struct displacement_row others[] = {
        {.row_set = ROW_SET_TOKENS, .token_rows = 50, .definition = 1, .backend = "cuda"},
        {.row_set = ROW_SET_TOKENS, .token_rows = 50, .definition = 2},
        {.row_set = ROW_SET_TOKENS, .token_rows = 49, .definition = 1}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        FAILS(ERR_NOT_FOUND, displacements_find(fixture->store, content.id, first, &others[i], &row, &err));

    struct statistics_row found = find_statistics(fixture, content.id, &made->statistics[3]);
    assert_true(found.mean == 5);
    assert_true(isnan(found.q50));
    /* The same bytes of another type or shape are another content. */
    struct content_row other = made->tensor.content;
    (void)snprintf(other.dtype, sizeof other.dtype, "bfloat16");
    FAILS(ERR_NOT_FOUND, contents_find(fixture->store, &other, &content, &err));
    made->tensor.content.rows = 128;
    made->tensor.content.columns = 4;
    FAILS(ERR_NOT_FOUND, contents_find(fixture->store, &made->tensor.content, &content, &err));
    made->tensor.displacement_count = 0;
    (void)fixture_sweep(fixture, ids, 1, 0);
    claim(fixture, &lease);
    OK(tasks_record(fixture->store, &lease, &made->result, &err));
    struct revision_tensor_row placed;
    OK(contents_find_by_revision(fixture->store, ids[0], TENSOR, &placed, &err));
    assert_int_equal(placed.content.columns, 4);
    free(made);
}

static int count_rows(void *context, const struct statistics_row *row)
{
    (void)row;
    ++*(int *)context;
    return 0;
}

/* The same content again: nothing twice, gaps filled, what was there kept. */
static void test_second_measurement(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[3];
    int count = 0;
    struct task_lease lease;
    struct statistics_row found;
    struct displacement_row moved;
    struct revision_tensor_row tensor;
    struct fixture_result *made = malloc(sizeof *made);
    fixture_add_revisions(fixture, 2, ids);
    (void)fixture_sweep(fixture, ids, 1, 0);
    int64_t content_id = fixture_measure(fixture, "same", 1);
    (void)fixture_sweep(fixture, ids, 2, 0);
    fixture_result(made, "same", 1000);
    for (int i = 0; i < 4; i++)
        made->statistics[i].dip = 0.25;
    made->tensor.fetched_bytes = 0;
    fixture_displace(made, TASK_LINK_FIRST, ids[0], content_id, 3);
    claim(fixture, &lease);
    OK(tasks_record(fixture->store, &lease, &made->result, &err));
    OK(statistics_list(fixture->store, content_id, count_rows, &count, &err));
    assert_int_equal(count, 4);
    found = find_statistics(fixture, content_id, &made->statistics[0]);
    assert_true(found.mean == 1);
    assert_true(found.dip == 0.25);
    OK(contents_find_by_revision(fixture->store, ids[0], TENSOR, &tensor, &err));
    assert_int_equal(tensor.fetched_bytes, 1024);
    /* Another backend is another measurement, and becomes the one that is shown. */
    claim(fixture, &lease);
    made->rows[0][0].msd = 4; /* of the same displacement, which is known without this one */
    made->rows[0][0].wasserstein1 = 0.5;
    for (int i = 0; i < 4; i++)
        (void)snprintf(made->statistics[i].backend, STORE_BACKEND_SIZE, "cuda");
    (void)snprintf(made->tensor.backend, STORE_BACKEND_SIZE, "cuda");
    OK(tasks_record(fixture->store, &lease, &made->result, &err));
    count = 0;
    OK(statistics_list(fixture->store, content_id, count_rows, &count, &err));
    assert_int_equal(count, 8);
    OK(displacements_find(fixture->store, content_id, content_id, &made->rows[0][0], &moved, &err));
    assert_true(moved.msd == 3 && moved.wasserstein1 == 0.5);
    struct series_row *row = malloc(sizeof *row);
    OK(series_find(fixture->store, fixture->model_id, NULL, "step1", NULL, row, &err));
    assert_true(row->statistics[0].mean == 1000);
    assert_string_equal(row->same_as, "step0");
    OK(series_find(fixture->store, fixture->model_id, NULL, "step0", NULL, row, &err));
    assert_true(row->statistics[0].mean == 1);
    /* So where it was measured before; and where it was found the last time is what counts. */
    OK(contents_find_by_revision(fixture->store, ids[0], TENSOR, &tensor, &err));
    const int64_t measured_ms = tensor.measured_ms;
    clock_sleep_ms(2);
    (void)fixture_sweep(fixture, ids, 1, 0);
    claim(fixture, &lease);
    (void)snprintf(made->tensor.file_path, sizeof made->tensor.file_path, "moved.safetensors");
    fixture_digest("moved", made->tensor.file_digest);
    OK(tasks_record(fixture->store, &lease, &made->result, &err));
    OK(contents_find_by_revision(fixture->store, ids[0], TENSOR, &tensor, &err));
    assert_string_equal(tensor.file_path, "moved.safetensors");
    assert_string_equal(tensor.file_digest, made->tensor.file_digest);
    OK(series_find(fixture->store, fixture->model_id, NULL, "step0", NULL, row, &err));
    assert_true(row->statistics[0].mean == 1000);
    assert_true(tensor.measured_ms > measured_ms);
    /* What another content cost, and its rows of tokens, are its own. */
    (void)fixture_sweep(fixture, ids, 1, 0);
    claim(fixture, &lease);
    fixture_result(made, "other", 7);
    made->tensor.fetched_bytes = 0;
    made->tensor.token_rows = 49;
    OK(tasks_record(fixture->store, &lease, &made->result, &err));
    OK(contents_find_by_revision(fixture->store, ids[0], TENSOR, &tensor, &err));
    assert_int_equal(tensor.fetched_bytes, 0);
    assert_int_equal(tensor.token_rows, 49);
    free(row);
    free(made);
}

/* A result without numbers (all were there) still places the content and shows its numbers. */
static void test_known_content(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[3];
    struct task_lease lease;
    struct fixture_result *made = malloc(sizeof *made);
    struct series_row *row = malloc(sizeof *row);
    fixture_add_revisions(fixture, 2, ids);
    (void)fixture_sweep(fixture, ids, 2, 0);
    (void)fixture_measure(fixture, "same", 42);
    fixture_result(made, "same", 0);
    made->tensor.statistics_count = 0;
    made->tensor.fetched_bytes = made->result.bytes_fetched = 0;
    claim(fixture, &lease);
    OK(tasks_record(fixture->store, &lease, &made->result, &err));
    OK(series_find(fixture->store, fixture->model_id, NULL, "step1", NULL, row, &err));
    assert_true(row->statistics[0].mean == 42);
    assert_int_equal(row->tensor.fetched_bytes, 0);
    assert_string_equal(row->same_as, "step0");
    free(row);
    free(made);
}

/* Extreme and absent numbers come back as they went in: NaN is "not computed". */
static void test_special_numbers(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[2];
    struct task_lease lease;
    struct content_row content;
    struct statistics_row found;
    struct fixture_result *made = malloc(sizeof *made);
    fixture_add_revisions(fixture, 1, ids);
    (void)fixture_sweep(fixture, ids, 1, 0);
    fixture_result(made, "special", 1);
    made->statistics[0].minimum = -HUGE_VAL;
    made->statistics[0].maximum = 1e-310; /* denormal */
    made->statistics[0].mean = 0.1;
    made->statistics[0].variance = (double)NAN;
    made->statistics[0].elements = INT64_MAX;
    claim(fixture, &lease);
    OK(tasks_record(fixture->store, &lease, &made->result, &err));
    OK(contents_find(fixture->store, &made->tensor.content, &content, &err));
    found = find_statistics(fixture, content.id, &made->statistics[0]);
    assert_true(found.minimum == -HUGE_VAL);
    assert_true(found.maximum == 1e-310);
    assert_true(found.mean == 0.1);
    assert_true(isnan(found.variance));
    assert_true(found.elements == INT64_MAX);
    free(made);
}

static void expect_refused(struct fixture *fixture, const struct task_lease *lease,
                           struct fixture_result *made, int code)
{
    struct content_row content;
    FAILS(code, tasks_record(fixture->store, lease, &made->result, &err));
    FAILS(ERR_NOT_FOUND, contents_find(fixture->store, &made->tensor.content, &content, &err));
}

/* One wrong part and nothing of the result is recorded; the task is still claimed and can be handed in right.
 */
static void test_refused_as_a_whole(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[2];
    struct task_lease lease;
    struct task_row task;
    struct fixture_result *made = malloc(sizeof *made);
    fixture_add_revisions(fixture, 1, ids);
    (void)fixture_sweep(fixture, ids, 1, 0);
    claim(fixture, &lease);
    fixture_result(made, "wrong", 1);
    fixture_displace(made, TASK_LINK_FIRST, ids[0], 4711, 1); /* no such content */
    expect_refused(fixture, &lease, made, ERR_NOT_FOUND);
    fixture_result(made, "wrong", 1);
    made->statistics[3].token_rows = 0;
    expect_refused(fixture, &lease, made, ERR_INVALID);
    fixture_result(made, "wrong", 1);
    made->tensor.content.digest[5] = 'G';
    expect_refused(fixture, &lease, made, ERR_INVALID);
    fixture_result(made, "wrong", 1);
    made->tensor.content.rows = INT64_MAX;
    expect_refused(fixture, &lease, made, ERR_INVALID);
    fixture_result(made, "wrong", 1);
    made->tensor.token_rows = made->tensor.content.rows + 1;
    expect_refused(fixture, &lease, made, ERR_INVALID);
    fixture_result(made, "wrong", 1);
    made->statistics[0].nan_count = -1;
    expect_refused(fixture, &lease, made, ERR_INVALID);
    fixture_result(made, "wrong", 1);
    made->tensor.statistics_count = 100000;
    expect_refused(fixture, &lease, made, ERR_LIMIT);
    fixture_result(made, "wrong", 1);
    struct perplexity_row perplexity = {.weights_digest = "ab", .definition = 1}; /* of other weights */
    (void)snprintf(made->result.weights_digest, sizeof made->result.weights_digest, "ba");
    perplexity.dataset_digest[0] = perplexity.backend[0] = perplexity.precision[0] = 'c';
    made->result.perplexities = &perplexity;
    made->result.perplexity_count = 1;
    expect_refused(fixture, &lease, made, ERR_INVALID);
    OK(tasks_get(fixture->store, lease.task_id, &task, &err));
    assert_int_equal(task.state, TASK_STATE_CLAIMED);
    fixture_result(made, "right", 1);
    OK(tasks_record(fixture->store, &lease, &made->result, &err));
    fixture_check_database(fixture);
    free(made);
}

/* A part leaves its rows and changes nothing of the task, which then fails. */
static void test_part(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[2];
    struct task_lease lease;
    struct task_row task;
    struct content_row content;
    struct model_row before, after;
    struct fixture_result *made = malloc(sizeof *made);
    const struct err reason = {.code = ERR_NOT_FOUND, .message = "no such texts"};
    fixture_add_revisions(fixture, 1, ids);
    (void)fixture_sweep(fixture, ids, 1, 0);
    claim(fixture, &lease);
    fixture_result(made, "step0", 1);
    made->result.is_part = 1;
    OK(tasks_record(fixture->store, &lease, &made->result, &err));
    OK(contents_find(fixture->store, &made->tensor.content, &content, &err));
    OK(tasks_get(fixture->store, lease.task_id, &task, &err));
    assert_int_equal(task.state, TASK_STATE_CLAIMED);
    for (int i = 0; i < 2; i++) { /* also where the revision was placed before */
        for (int variant = 0; variant < 4; variant++)
            made->statistics[variant].dip = i;
        OK(models_get(fixture->store, fixture->model_id, &before, &err));
        OK(tasks_record(fixture->store, &lease, &made->result, &err));
        OK(models_get(fixture->store, fixture->model_id, &after, &err));
        assert_true(after.version > before.version); /* the series shows something else */
    }
    OK(tasks_fail(fixture->store, &lease, &reason, NULL, NULL, &err));
    FAILS(ERR_CONFLICT, tasks_record(fixture->store, &lease, &made->result, &err));
    fixture_check_database(fixture);
    free(made);
}

/* Perplexities belong to weights; revisions with equal weights share them. */
static void test_perplexities(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[3];
    struct task_lease lease;
    struct perplexity_row row = {.mode = PERPLEXITY_MODE_LAST_WORD,
                                 .parameters = "{\"stride\":512}",
                                 .precision = "float32",
                                 .backend = "cpu",
                                 .definition = 1,
                                 .documents = 100,
                                 .tokens = 130,
                                 .nll_sum = 412.5,
                                 .perplexity = 61.9,
                                 .perplexity_stderr = 2.5,
                                 .accuracy = 0.25,
                                 .accuracy_stderr = (double)NAN,
                                 .seconds = 3};
    struct perplexity_row found;
    struct task_result result = {.perplexities = &row, .perplexity_count = 1, .bytes_fetched = 9};
    fixture_digest("weights", row.weights_digest);
    fixture_digest("data", row.dataset_digest);
    fixture_digest("tokenizer", row.tokenizer_digest);
    memcpy(result.weights_digest, row.weights_digest, sizeof result.weights_digest);
    fixture_add_revisions(fixture, 2, ids);
    (void)fixture_sweep(fixture, ids, 2, 0);
    for (int i = 0; i < 2; i++) {
        claim(fixture, &lease);
        OK(tasks_record(fixture->store, &lease, &result, &err));
    }
    OK(perplexities_find(fixture->store, &row, &found, &err));
    assert_true(found.perplexity == 61.9 && found.nll_sum == 412.5 && isnan(found.accuracy_stderr));
    assert_string_equal(found.parameters, row.parameters);
    assert_true(found.measured_ms > 0);
    struct series_row *line = malloc(sizeof *line);
    OK(series_find(fixture->store, fixture->model_id, NULL, "step1", NULL, line, &err));
    assert_int_equal(line->perplexity[PERPLEXITY_MODE_LAST_WORD].id, found.id);
    assert_string_equal(line->perplexity[PERPLEXITY_MODE_LAST_WORD].weights_digest, row.weights_digest);
    assert_true(line->perplexity[PERPLEXITY_MODE_LAST_WORD].accuracy == 0.25);
    assert_int_equal(line->perplexity[PERPLEXITY_MODE_TOKENS].id, 0);
    assert_int_equal(line->state, SERIES_STATE_MEASURED);
    assert_false(line->has_tensor);
    free(line);
    /* Each part of the key is looked at. */
    struct perplexity_row others[8];
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        others[i] = row;
    fixture_digest("other", others[0].weights_digest);
    fixture_digest("other", others[1].dataset_digest);
    fixture_digest("other", others[2].tokenizer_digest);
    others[3].mode = PERPLEXITY_MODE_TOKENS;
    others[4].parameters[0] = 0;
    (void)snprintf(others[5].precision, sizeof others[5].precision, "bfloat16");
    (void)snprintf(others[6].backend, sizeof others[6].backend, "cuda");
    others[7].definition = 2;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        FAILS(ERR_NOT_FOUND, perplexities_find(fixture->store, &others[i], &found, &err));
}

static uint64_t version_of(struct fixture *fixture, const char *model)
{
    int64_t id = 0;
    uint64_t version = 0;
    OK(models_version(fixture->store, model, &id, &version, &err));
    return version;
}

/* What is measured of a content is in the answers of all models that have it; what is only placed is not. */
static void test_gaps_of_others(void **state)
{
    struct fixture *fixture = *state;
    struct fixture other = *fixture;
    int64_t ids[3];
    struct task_lease lease;
    struct fixture_result *made = malloc(sizeof *made);
    fixture_add_revisions(fixture, 1, ids);
    (void)fixture_sweep(fixture, ids, 1, 0);
    (void)fixture_measure(fixture, "same", 1);
    OK(models_ensure(other.store, "garden/other", MODEL_KIND_HUB, &other.model_id, &err));
    fixture_add_revisions(&other, 2, ids);
    (void)fixture_sweep(&other, ids, 2, 0);
    uint64_t before = version_of(fixture, "garden/neox-tiny");
    fixture_result(made, "same", 1000);
    made->tensor.statistics_count = 0;
    claim(&other, &lease);
    OK(tasks_record(fixture->store, &lease, &made->result, &err));
    assert_true(version_of(fixture, "garden/neox-tiny") == before);
    made->tensor.statistics_count = 4;
    for (int i = 0; i < 4; i++)
        made->statistics[i].dip = 0.25;
    claim(&other, &lease);
    OK(tasks_record(fixture->store, &lease, &made->result, &err));
    assert_true(version_of(fixture, "garden/neox-tiny") > before);
    free(made);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_lookups),
        CASE(test_second_measurement),
        CASE(test_known_content),
        CASE(test_special_numbers),
        CASE(test_refused_as_a_whole),
        CASE(test_perplexities),
        CASE(test_gaps_of_others),
        CASE(test_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
