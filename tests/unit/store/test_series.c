/* The series: what a page of rows says of measured, pending, failed and equal revisions. */
#include "tests/unit/store/fixture.h"

struct page {
    size_t count;
    struct series_row rows[64];
};

static int collect(void *context, const struct series_row *row)
{
    struct page *page = context;
    assert_true(page->count < 64);
    page->rows[page->count++] = *row;
    return 0;
}

static struct page *read_page(struct fixture *fixture, const struct series_query *query)
{
    struct page *page = calloc(1, sizeof *page);
    struct series_query whole = *query;
    whole.model_id = fixture->model_id;
    whole.step_max = query->step_max ? query->step_max : INT64_MAX;
    whole.limit = query->limit ? query->limit : 64;
    OK(series_read(fixture->store, &whole, NULL, collect, page, &err));
    return page;
}

/* A series without measurements has its revisions in step order, main only when asked for. */
static void test_unmeasured_in_step_order(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[13];
    fixture_add_revisions(fixture, 12, ids);
    struct page *page = read_page(fixture, &(struct series_query){0});
    assert_int_equal(page->count, 12);
    for (size_t i = 0; i < 12; i++) {
        assert_int_equal(page->rows[i].revision.step, i);
        assert_int_equal(page->rows[i].state, SERIES_STATE_UNMEASURED);
        assert_false(page->rows[i].has_tensor);
        assert_string_equal(page->rows[i].tensor.tensor, TENSOR);
        assert_true(isnan(page->rows[i].statistics[0].mean));
        assert_true(isnan(page->rows[i].displacement[0].msd));
        assert_int_equal(page->rows[i].perplexity[0].id, 0);
    }
    free(page);
    page = read_page(fixture, &(struct series_query){.is_stepless_included = 1});
    assert_int_equal(page->count, 13);
    assert_string_equal(page->rows[12].revision.name, "main");
    free(page);
}

/* Every number arrives in the column that it was recorded in. */
static void test_measured(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[4];
    struct task_row task;
    struct task_lease lease;
    fixture_add_revisions(fixture, 3, ids);
    (void)fixture_sweep(fixture, ids, 3, 0);
    int64_t first = fixture_measure(fixture, "step0", 100);
    int64_t second = fixture_measure(fixture, "step1", 200);
    struct fixture_result *made = malloc(sizeof *made);
    fixture_result(made, "step2", 300);
    fixture_displace(made, TASK_LINK_FIRST, ids[0], first, 5);
    fixture_displace(made, TASK_LINK_PREVIOUS, ids[1], second, 7);
    fixture_claim(fixture, "local/1", &task);
    task_lease_of(&task, &lease);
    OK(tasks_record(fixture->store, &lease, &made->result, &err));
    struct page *page = read_page(fixture, &(struct series_query){0});
    const struct series_row *row = &page->rows[2];
    assert_int_equal(row->state, SERIES_STATE_MEASURED);
    assert_string_equal(row->error_code, "");
    assert_string_equal(row->tensor.content.digest, made->tensor.content.digest);
    assert_string_equal(row->tensor.file_digest, made->tensor.file_digest);
    assert_int_equal(row->tensor.fetched_bytes, 1024);
    assert_int_equal(row->tensor.content.columns, 8);
    assert_string_equal(row->reference, "step0");
    assert_string_equal(row->lag1_reference, "step1");
    assert_string_equal(row->same_as, "");
    for (int i = 0; i < SERIES_VARIANT_COUNT; i++) {
        assert_true(row->has_statistics[i]);
        assert_int_equal(row->statistics[i].elements, i % 2 ? 400 : 512);
        assert_int_equal(row->statistics[i].nan_count, 1 + i);
        assert_int_equal(row->statistics[i].token_rows, i % 2 ? 50 : 0);
        assert_int_equal(row->statistics[i].is_centred, i / 2);
        assert_true(row->statistics[i].mean == 300 + i);
        assert_true(row->statistics[i].variance == 310 + i);
        assert_true(row->statistics[i].valley_to_peak == 320 + i);
        assert_true(isnan(row->statistics[i].skewness));
    }
    static const double MSD[] = {5, 6, 7, 8};
    for (int i = 0; i < SERIES_DISPLACEMENT_COUNT; i++) {
        assert_true(row->has_displacement[i]);
        assert_true(row->displacement[i].msd == MSD[i]);
        assert_int_equal(row->displacement[i].token_rows, i % 2 ? 50 : 0);
        assert_string_equal(row->displacement[i].backend, "cpu");
        assert_int_equal(row->displacement[i].definition, 1);
    }
    assert_false(page->rows[0].has_displacement[0]);
    assert_string_equal(page->rows[0].reference, "");
    free(made);
    free(page);
}

/* Records three revisions, each with its displacement from the one before, and the last one's reference is
 * the second; then the last one's from the first, in a sweep that leaves out the second, which `is_gone` by
 * then, or not. `last` names the last one's bytes then. */
static void measure_thinned(struct fixture *fixture, int64_t definition, int64_t token_rows, int is_gone,
                            const char *last)
{
    int64_t ids[4], contents[3];
    struct task_row task;
    struct task_lease lease;
    struct fixture_result *made = malloc(sizeof *made);
    fixture_add_revisions(fixture, 3, ids);
    (void)fixture_sweep(fixture, ids, 3, 0);
    for (int i = 0; i < 5; i++) { /* steps 0, 1, 2, and then 0 and 2 again */
        const int step = i < 3 ? i : 2 * (i - 3), before = i < 3 ? i - 1 : 0;
        char name[16];
        struct content_row content;
        struct revision_row left[2];
        fixture_revision(&left[0], 0, "commit 0");
        fixture_revision(&left[1], 2, "commit 2");
        if (i == 3 && is_gone)
            OK(revisions_update(fixture->store, fixture->model_id, left, 2, 1, NULL, &err));
        if (i == 3)
            (void)fixture_sweep(fixture, (const int64_t[]){ids[0], ids[2]}, 2, 0);
        (void)snprintf(name, sizeof name, "step%d", step);
        fixture_result(made, i == 4 ? last : name, 100 * step);
        if (step > 0)
            fixture_displace(made, TASK_LINK_PREVIOUS, ids[before], contents[before], i == 4 ? 70 : 7);
        if (step == 2)
            fixture_displace(made, TASK_LINK_FIRST, ids[before], contents[before], i == 4 ? 70 : 7);
        for (size_t k = 0; i == 4 && k < 2; k++)
            made->displacements[0].definition = made->rows[0][k].definition = definition;
        if (i == 4)
            made->displacements[0].token_rows = made->rows[0][1].token_rows = token_rows;
        fixture_claim(fixture, "local/1", &task);
        task_lease_of(&task, &lease);
        assert_int_equal(task.revision_id, ids[step]);
        OK(tasks_record(fixture->store, &lease, &made->result, &err));
        OK(contents_find(fixture->store, &made->tensor.content, &content, &err));
        contents[step] = content.id;
    }
    free(made);
}

static void check_last_neighbour(struct fixture *fixture, const char *name, double msd)
{
    struct page *page = read_page(fixture, &(struct series_query){0});
    assert_string_equal(page->rows[page->count - 1].lag1_reference, name);
    assert_true(page->rows[page->count - 1].displacement[2].msd == msd);
    free(page);
}

/* What is known of the revision right before is not given up for a sweep that leaves that one out; the
 * reference is what the newer sweep named. */
static void test_a_nearer_neighbour_stays(void **state)
{
    measure_thinned(*state, 1, 50, 0, "step2");
    check_last_neighbour(*state, "step1", 7);
    struct page *page = read_page(*state, &(struct series_query){0});
    assert_string_equal(page->rows[2].reference, "step0");
    assert_true(page->rows[2].displacement[0].msd == 70);
    free(page);
}

static void test_a_nearer_neighbour_of_other_rows_gives_way(void **state)
{
    measure_thinned(*state, 1, 49, 0, "step2");
    check_last_neighbour(*state, "step0", 70);
}

static void test_a_nearer_neighbour_of_an_older_definition_gives_way(void **state)
{
    measure_thinned(*state, 2, 50, 0, "step2");
    check_last_neighbour(*state, "step0", 70);
}

static void test_a_nearer_neighbour_that_is_gone_gives_way(void **state)
{
    measure_thinned(*state, 1, 50, 1, "step2");
    check_last_neighbour(*state, "step0", 70);
}

static void test_a_nearer_neighbour_of_other_bytes_gives_way(void **state)
{
    measure_thinned(*state, 1, 50, 0, "other bytes");
    check_last_neighbour(*state, "step0", 70);
}

/* Bounds on steps and the cursor cut the same rows out, whatever the size of a page. */
static void test_bounds_and_cursor(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[31], count = 0;
    fixture_add_revisions(fixture, 30, ids);
    for (int limit = 1; limit <= 31; limit++) {
        struct revision_key key = {0};
        int64_t step = 7;
        for (;;) {
            struct series_query query = {.step_min = 7, .step_max = 22, .limit = limit};
            query.after = step > 7 ? &key : NULL;
            struct page *page = read_page(fixture, &query);
            size_t rows = page->count;
            for (size_t i = 0; i < rows; i++)
                assert_int_equal(page->rows[i].revision.step, step++);
            if (rows)
                revision_key_of(&page->rows[rows - 1].revision, &key);
            free(page);
            if (rows < (size_t)limit)
                break;
        }
        assert_int_equal(step, 23);
    }
    struct series_query query = {.model_id = fixture->model_id, .step_min = 7, .step_max = 22, .limit = 1};
    OK(series_count(fixture->store, &query, &count, &err));
    assert_int_equal(count, 16);
    query.step_min = 0;
    query.step_max = INT64_MAX;
    OK(series_count(fixture->store, &query, &count, &err));
    assert_int_equal(count, 30);
    query.is_stepless_included = 1;
    OK(series_count(fixture->store, &query, &count, &err));
    assert_int_equal(count, 31);
}

/* Stages order before steps, and bounds hold within each stage. */
static void test_stages(void **state)
{
    struct fixture *fixture = *state;
    struct revision_row rows[6];
    for (int i = 0; i < 6; i++) {
        fixture_revision(&rows[i], (i % 3) * 1000, "c");
        rows[i].stage = 2 - i / 3;
        (void)snprintf(rows[i].name, sizeof rows[i].name, "stage%d-step%d", 2 - i / 3, i % 3 * 1000);
    }
    OK(revisions_update(fixture->store, fixture->model_id, rows, 6, 1, NULL, &err));
    struct page *page = read_page(fixture, &(struct series_query){0});
    assert_int_equal(page->count, 6);
    assert_string_equal(page->rows[0].revision.name, "stage1-step0");
    assert_string_equal(page->rows[2].revision.name, "stage1-step2000");
    assert_string_equal(page->rows[3].revision.name, "stage2-step0");
    free(page);
    page = read_page(fixture, &(struct series_query){.step_min = 1000, .step_max = 1500});
    assert_int_equal(page->count, 2);
    assert_string_equal(page->rows[0].revision.name, "stage1-step1000");
    assert_string_equal(page->rows[1].revision.name, "stage2-step1000");
    free(page);
}

/* Pending, failed with its error, failed but measured before. */
static void test_states(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[4];
    struct task_row task;
    struct task_lease lease;
    struct err reason = ERR_INIT;
    fixture_add_revisions(fixture, 3, ids);
    (void)fixture_sweep(fixture, ids, 3, 0);
    (void)fixture_measure(fixture, "step0", 1);
    fixture_claim(fixture, "local/1", &task);
    task_lease_of(&task, &lease);
    (void)err_set(&reason, ERR_FORMAT, "model.safetensors: header: truncated");
    OK(tasks_fail(fixture->store, &lease, &reason, NULL, NULL, &err));
    struct page *page = read_page(fixture, &(struct series_query){0});
    assert_int_equal(page->rows[0].state, SERIES_STATE_MEASURED);
    assert_int_equal(page->rows[1].state, SERIES_STATE_FAILED);
    assert_string_equal(page->rows[1].error_code, "format");
    assert_string_equal(page->rows[1].error_message, "model.safetensors: header: truncated");
    assert_int_equal(page->rows[2].state, SERIES_STATE_PENDING);
    free(page);
    (void)fixture_measure(fixture, "step2", 1);
    (void)fixture_sweep(fixture, ids, 1, 0);
    fixture_claim(fixture, "local/1", &task);
    task_lease_of(&task, &lease);
    OK(tasks_fail(fixture->store, &lease, &reason, NULL, NULL, &err));
    page = read_page(fixture, &(struct series_query){0});
    assert_int_equal(page->rows[0].state, SERIES_STATE_MEASURED);
    assert_string_equal(page->rows[0].error_code, "format");
    free(page);
}

/* A finished task about another tensor does not make this one measured; a perplexity is the revision's own.
 */
static void test_state_is_of_the_asked_tensor(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[3];
    struct task_row task;
    struct task_lease lease;
    struct perplexity_row perplexity = {.mode = PERPLEXITY_MODE_TOKENS,
                                        .parameters = "{}",
                                        .precision = "float32",
                                        .backend = "cpu",
                                        .definition = 1,
                                        .perplexity = 61.9};
    struct task_result result = {.perplexities = &perplexity, .perplexity_count = 1};
    const struct series_query other = {.tensor = "another.weight"};
    fixture_digest("weights", perplexity.weights_digest);
    fixture_digest("data", perplexity.dataset_digest);
    fixture_digest("tokenizer", perplexity.tokenizer_digest);
    memcpy(result.weights_digest, perplexity.weights_digest, sizeof result.weights_digest);
    fixture_add_revisions(fixture, 2, ids);
    (void)fixture_sweep(fixture, ids, 2, 0);
    struct page *page = read_page(fixture, &other);
    assert_int_equal(page->rows[0].state, SERIES_STATE_PENDING); /* the task may be about it */
    free(page);
    (void)fixture_measure(fixture, "step0", 1);
    fixture_claim(fixture, "local/1", &task);
    task_lease_of(&task, &lease);
    OK(tasks_record(fixture->store, &lease, &result, &err));
    page = read_page(fixture, &(struct series_query){0});
    assert_int_equal(page->rows[0].state, SERIES_STATE_MEASURED);
    assert_int_equal(page->rows[1].state, SERIES_STATE_MEASURED);
    free(page);
    page = read_page(fixture, &other);
    assert_int_equal(page->rows[0].state, SERIES_STATE_UNMEASURED);
    assert_int_equal(page->rows[1].state, SERIES_STATE_MEASURED);
    assert_true(page->rows[1].perplexity[PERPLEXITY_MODE_TOKENS].id != 0);
    free(page);
}

/* After test_same_as, whose step0 has moved: what it was is nobody's first any more, nor is main before a
 * step, whoever is measured last; and the same content of another model is told by that model's revisions. */
static void check_same_as_beside(struct fixture *fixture, const int64_t *ids, int64_t moved_id)
{
    int64_t others[3];
    struct fixture other = *fixture;
    OK(models_ensure(other.store, "garden/other", MODEL_KIND_HUB, &other.model_id, &err));
    fixture_add_revisions(&other, 2, others);
    (void)fixture_sweep(&other, (const int64_t[]){others[2], others[1]}, 2, 0);
    (void)fixture_measure(&other, "equal", 1); /* main */
    struct page *page =
        read_page(&other, &(struct series_query){.tensor = TENSOR, .is_stepless_included = 1});
    assert_string_equal(page->rows[2].same_as, "");
    free(page);
    (void)fixture_measure(&other, "equal", 1); /* step1 */
    (void)fixture_sweep(fixture, (const int64_t[]){ids[4], moved_id}, 2, 0);
    (void)fixture_measure(fixture, "equal", 1); /* main */
    (void)fixture_measure(fixture, "other", 1); /* step0 */
    (void)fixture_sweep(&other, others, 1, 0);
    (void)fixture_measure(&other, "equal", 1); /* step0 */
    page = read_page(fixture, &(struct series_query){.is_stepless_included = 1});
    static const char *const expected[] = {"", "", "step0", "step1", "step1"};
    for (size_t i = 0; i < page->count; i++)
        assert_string_equal(page->rows[i].same_as, expected[i]);
    free(page);
    page = read_page(&other, &(struct series_query){.tensor = TENSOR, .is_stepless_included = 1});
    assert_string_equal(page->rows[0].same_as, "");
    assert_string_equal(page->rows[1].same_as, "step0");
    assert_string_equal(page->rows[2].same_as, "step0");
    free(page);
}

/* So is the next one where the first holds something else by now, or is in another place. */
static void check_same_as_after_changes(struct fixture *fixture, const int64_t *ids)
{
    struct revision_row moved;
    struct series_row *row = malloc(sizeof *row);
    (void)fixture_sweep(fixture, &ids[1], 1, 0);
    (void)fixture_measure(fixture, "changed", 1);
    OK(series_find(fixture->store, fixture->model_id, NULL, "main", NULL, row, &err));
    assert_string_equal(row->same_as, "step3");
    fixture_revision(&moved, 2, "commit 2");
    moved.step = REVISIONS_STEP_NONE;
    OK(revisions_update(fixture->store, fixture->model_id, &moved, 1, 0, NULL, &err));
    (void)fixture_sweep(fixture, &ids[2], 1, 0);
    (void)fixture_measure(fixture, "equal", 1);
    moved.step = 2;
    OK(revisions_update(fixture->store, fixture->model_id, &moved, 1, 0, NULL, &err));
    OK(series_find(fixture->store, fixture->model_id, NULL, "main", NULL, row, &err));
    assert_string_equal(row->same_as, "step2");
    free(row);
}

/* Equal content is told by the first revision in step order, also when that is measured last. */
static void test_same_as(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[5], order[4];
    fixture_add_revisions(fixture, 4, ids);
    order[0] = ids[3];
    order[1] = ids[1];
    order[2] = ids[2];
    order[3] = ids[0];
    (void)fixture_sweep(fixture, order, 4, 0);
    (void)fixture_measure(fixture, "equal", 1); /* step3 */
    (void)fixture_measure(fixture, "equal", 1); /* step1 */
    (void)fixture_measure(fixture, "other", 1); /* step2 */
    struct page *page = read_page(fixture, &(struct series_query){0});
    assert_string_equal(page->rows[1].same_as, "");
    assert_string_equal(page->rows[2].same_as, "");
    assert_string_equal(page->rows[3].same_as, "step1");
    free(page);
    (void)fixture_measure(fixture, "equal", 1); /* step0 */
    page = read_page(fixture, &(struct series_query){0});
    assert_string_equal(page->rows[0].same_as, "");
    assert_string_equal(page->rows[1].same_as, "step0");
    assert_string_equal(page->rows[2].same_as, "");
    assert_string_equal(page->rows[3].same_as, "step0");
    assert_int_equal(page->rows[1].tensor.content.id, page->rows[3].tensor.content.id);
    free(page);
    /* The first one moves to another commit: the next one is the first. */
    struct revision_row moved;
    fixture_revision(&moved, 0, "a new commit");
    OK(revisions_update(fixture->store, fixture->model_id, &moved, 1, 0, NULL, &err));
    page = read_page(fixture, &(struct series_query){0});
    assert_int_equal(page->rows[0].state, SERIES_STATE_UNMEASURED);
    assert_string_equal(page->rows[1].same_as, "");
    assert_string_equal(page->rows[3].same_as, "step1");
    free(page);
    check_same_as_beside(fixture, ids, moved.id);
    check_same_as_after_changes(fixture, ids);
}

/* One revision by name or by commit; an unknown one and an unknown model say so. */
static void test_find(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[3];
    struct revision_row moved;
    struct series_row *row = malloc(sizeof *row);
    fixture_add_revisions(fixture, 2, ids);
    (void)fixture_sweep(fixture, ids, 2, 0);
    (void)fixture_measure(fixture, "step0", 1);
    OK(series_find(fixture->store, fixture->model_id, NULL, "step0", NULL, row, &err));
    assert_int_equal(row->state, SERIES_STATE_MEASURED);
    char commit[STORE_DIGEST_SIZE];
    memcpy(commit, row->revision.commit, sizeof commit);
    fixture_revision(&moved, 0, "moved");
    OK(revisions_update(fixture->store, fixture->model_id, &moved, 1, 0, NULL, &err));
    OK(series_find(fixture->store, fixture->model_id, NULL, "step0", NULL, row, &err));
    assert_int_equal(row->state, SERIES_STATE_UNMEASURED);
    OK(series_find(fixture->store, fixture->model_id, NULL, "step0", commit, row, &err));
    assert_int_equal(row->state, SERIES_STATE_MEASURED);
    assert_false(row->revision.is_current);
    FAILS(ERR_NOT_FOUND, series_find(fixture->store, fixture->model_id, NULL, "step9", NULL, row, &err));
    FAILS(ERR_NOT_FOUND, series_find(fixture->store, 999, NULL, "step0", NULL, row, &err));
    struct series_query query = {.model_id = fixture->model_id, .step_max = INT64_MAX};
    FAILS(ERR_INVALID, series_read(fixture->store, &query, NULL, collect, NULL, &err));
    free(row);
}

/* The version of the series grows with what it shows, and with nothing else. */
static void test_version(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[3], id = 0;
    uint64_t before = 0, after = 0;
    struct task_row task;
    struct task_lease lease;
    fixture_add_revisions(fixture, 2, ids);
    OK(models_version(fixture->store, "garden/neox-tiny", &id, &before, &err));
    assert_int_equal(id, fixture->model_id);
    fixture_add_revisions(fixture, 2, ids); /* nothing new */
    OK(models_version(fixture->store, "garden/neox-tiny", &id, &after, &err));
    assert_int_equal(before, after);
    (void)fixture_sweep(fixture, ids, 2, 0);
    OK(models_version(fixture->store, "garden/neox-tiny", &id, &after, &err));
    assert_true(after > before);
    before = after;
    fixture_claim(fixture, "local/1", &task);
    task_lease_of(&task, &lease);
    OK(tasks_heartbeat(fixture->store, &lease, LEASE_MS, 10, &err));
    OK(models_version(fixture->store, "garden/neox-tiny", &id, &after, &err));
    assert_int_equal(before, after);
    (void)fixture_measure(fixture, "step1", 1);
    OK(models_version(fixture->store, "garden/neox-tiny", &id, &after, &err));
    assert_true(after > before);
    FAILS(ERR_NOT_FOUND, models_version(fixture->store, "no/model", &id, &after, &err));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_unmeasured_in_step_order),
        CASE(test_measured),
        CASE(test_a_nearer_neighbour_stays),
        CASE(test_a_nearer_neighbour_of_other_rows_gives_way),
        CASE(test_a_nearer_neighbour_of_an_older_definition_gives_way),
        CASE(test_a_nearer_neighbour_that_is_gone_gives_way),
        CASE(test_a_nearer_neighbour_of_other_bytes_gives_way),
        CASE(test_bounds_and_cursor),
        CASE(test_stages),
        CASE(test_states),
        CASE(test_state_is_of_the_asked_tensor),
        CASE(test_same_as),
        CASE(test_find),
        CASE(test_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
