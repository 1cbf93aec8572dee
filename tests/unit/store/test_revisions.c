/* Models and revisions: what the hub lists is taken over, and what was before is kept. */
#include "daemon/base/buf.h"
#include "tests/unit/store/fixture.h"

struct list {
    size_t count;
    struct revision_row rows[64];
};

static int collect(void *context, const struct revision_row *row)
{
    struct list *list = context;
    assert_true(list->count < 64);
    list->rows[list->count++] = *row;
    return 0;
}

static void test_models(void **state)
{
    struct fixture *fixture = *state;
    struct model_row row;
    int64_t id = 0, again = 0;
    OK(models_ensure(fixture->store, "file:/runs/a b", MODEL_KIND_FOLDER, &id, &err));
    OK(models_ensure(fixture->store, "file:/runs/a b", MODEL_KIND_FOLDER, &again, &err));
    assert_int_equal(id, again);
    OK(models_get(fixture->store, id, &row, &err));
    assert_string_equal(row.name, "file:/runs/a b");
    assert_int_equal(row.kind, MODEL_KIND_FOLDER);
    assert_string_equal(row.tensor, "");
    assert_true(row.created_ms > 0);
    OK(models_find(fixture->store, "garden/neox-tiny", &row, &err));
    assert_int_equal(row.id, fixture->model_id);
    assert_string_equal(row.tensor, TENSOR);
    assert_int_equal(row.token_rows, 50);
    FAILS(ERR_NOT_FOUND, models_find(fixture->store, "no/model", &row, &err));
    FAILS(ERR_NOT_FOUND, models_get(fixture->store, 99, &row, &err));
    FAILS(ERR_INVALID, models_ensure(fixture->store, "", MODEL_KIND_HUB, &id, &err));
    char *name = calloc(1, LIMIT_MODEL_NAME_BYTES + 2);
    memset(name, 'x', LIMIT_MODEL_NAME_BYTES + 1);
    FAILS(ERR_INVALID, models_ensure(fixture->store, name, MODEL_KIND_HUB, &id, &err));
    name[LIMIT_MODEL_NAME_BYTES] = 0;
    OK(models_ensure(fixture->store, name, MODEL_KIND_HUB, &id, &err));
    OK(models_get(fixture->store, id, &row, &err));
    assert_string_equal(row.name, name);
    free(name);
}

/* Of the names without a step the hub's own, and all of them counted. */
static void test_passed_over(void **state)
{
    static const char none[] = "0000000000000000000000000000000000000000";
    struct fixture *fixture = *state;
    struct revision_row rows[] = {
        {.name = "main", .commit = "c"},      {.name = "seed-b", .commit = "c"},
        {.name = "refs/pr/1", .commit = "c"}, {.name = "0123abc", .commit = "0123abc"},
        {.name = "seed-a", .commit = "d"},    {.name = "nothing", .commit = ""},
        {.name = "step7", .commit = "c"},
    };
    struct list list = {.count = 0};
    int64_t count = -1;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        rows[i].step = i == 6 ? 7 : REVISIONS_STEP_NONE;
    memcpy(rows[5].commit, none, sizeof none);
    OK(revisions_update(fixture->store, fixture->model_id, rows, sizeof rows / sizeof rows[0], 1, NULL,
                        &err));
    OK(revisions_list_passed_over(fixture->store, fixture->model_id, 1, collect, &list, &err));
    assert_int_equal(list.count, 1);
    assert_string_equal(list.rows[0].name, "seed-a");
    OK(revisions_count_passed_over(fixture->store, fixture->model_id, &count, &err));
    assert_int_equal(count, 2);
}

static int collect_name(void *context, const struct model_row *row)
{
    struct buf *names = context;
    return buf_appendf(names, "%s;", row->name);
}

static void add_model(struct fixture *fixture, const char *name)
{
    int64_t id = 0;
    struct revision_row row = {.name = "main", .commit = "c", .step = REVISIONS_STEP_NONE};
    OK(models_ensure(fixture->store, name, MODEL_KIND_HUB, &id, &err));
    OK(revisions_update(fixture->store, id, &row, 1, 1, NULL, &err));
}

static void test_models_list(void **state)
{
    struct fixture *fixture = *state;
    int64_t id = 0;
    struct buf names;
    buf_init(&names, 256);
    add_model(fixture, "b/b");
    add_model(fixture, "a/a");
    add_model(fixture, "c/c");
    OK(models_ensure(fixture->store, "a/nothing", MODEL_KIND_HUB, &id, &err)); /* nothing is known of it */
    OK(models_list(fixture->store, "", 2, collect_name, &names, &err));
    assert_string_equal(buf_text(&names), "a/a;b/b;");
    buf_clear(&names);
    OK(models_list(fixture->store, "b/b", 2, collect_name, &names, &err));
    assert_string_equal(buf_text(&names), "c/c;");
    buf_free(&names);
}

/* An unchanged description is no change; a changed one is. */
static void test_describe(void **state)
{
    struct fixture *fixture = *state;
    struct model_row row, after;
    uint64_t before = store_version(fixture->store);
    OK(models_get(fixture->store, fixture->model_id, &row, &err));
    OK(models_describe(fixture->store, &row, &err));
    assert_int_equal(store_version(fixture->store), before);
    row.layers = 6;
    OK(models_describe(fixture->store, &row, &err));
    assert_true(store_version(fixture->store) > before);
    OK(models_get(fixture->store, fixture->model_id, &after, &err));
    assert_int_equal(after.layers, 6);
    assert_true(after.version > row.version);
}

/* Names in any order come back in step order, numerically; those without a step last. */
static void test_step_order(void **state)
{
    struct fixture *fixture = *state;
    static const int64_t STEPS[] = {1000, REVISIONS_STEP_NONE, 2, 143000, 0, 512};
    static const char *const EXPECTED[] = {"step0", "step2", "step512", "step1000", "step143000", "main"};
    struct revision_row rows[6];
    struct list *list = calloc(1, sizeof *list);
    for (int i = 0; i < 6; i++)
        fixture_revision(&rows[i], STEPS[i], "c");
    OK(revisions_update(fixture->store, fixture->model_id, rows, 6, 1, NULL, &err));
    OK(revisions_list(fixture->store, fixture->model_id, NULL, 64, collect, list, &err));
    assert_int_equal(list->count, 6);
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(list->rows[i].name, EXPECTED[i]);
    assert_int_equal(list->rows[5].step, REVISIONS_STEP_NONE);
    for (size_t i = 0; i < 6; i++) {
        struct revision_key key;
        revision_key_of(&list->rows[i], &key);
        struct list *rest = calloc(1, sizeof *rest);
        OK(revisions_list(fixture->store, fixture->model_id, &key, 64, collect, rest, &err));
        assert_int_equal(rest->count, 5 - i);
        if (rest->count)
            assert_string_equal(rest->rows[0].name, EXPECTED[i + 1]);
        free(rest);
    }
    free(list);
}

/* New, moved, moved back, gone: the old rows stay, one row per name is current. */
static void test_changes(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[4];
    struct revision_row rows[2], found;
    struct model_row model;
    fixture_add_revisions(fixture, 3, ids);
    OK(models_get(fixture->store, fixture->model_id, &model, &err));
    assert_int_equal(model.revision_count, 3);
    uint64_t version = model.version;

    fixture_revision(&rows[0], 0, "moved");
    fixture_revision(&rows[1], 7, "new");
    OK(revisions_update(fixture->store, fixture->model_id, rows, 2, 0, NULL, &err));
    assert_true(rows[0].id != ids[0]);
    OK(revisions_find(fixture->store, fixture->model_id, "step0", &found, &err));
    assert_int_equal(found.id, rows[0].id);
    int64_t moved_id = rows[0].id;
    OK(revisions_get(fixture->store, ids[0], &found, &err));
    assert_false(found.is_current);
    OK(models_get(fixture->store, fixture->model_id, &model, &err));
    assert_int_equal(model.revision_count, 4);
    assert_true(model.version > version);

    fixture_revision(&rows[0], 0, "commit 0");
    OK(revisions_update(fixture->store, fixture->model_id, rows, 2, 1, NULL, &err));
    assert_int_equal(rows[0].id, ids[0]);
    OK(revisions_find(fixture->store, fixture->model_id, "step0", &found, &err));
    assert_int_equal(found.id, ids[0]);
    FAILS(ERR_NOT_FOUND, revisions_find(fixture->store, fixture->model_id, "step1", &found, &err));

    OK(revisions_get(fixture->store, moved_id, &found, &err));
    assert_false(found.is_current);

    OK(models_get(fixture->store, fixture->model_id, &model, &err));
    version = model.version;
    OK(revisions_update(fixture->store, fixture->model_id, rows, 2, 1, NULL, &err));
    OK(models_get(fixture->store, fixture->model_id, &model, &err));
    assert_int_equal(model.version, version);
}

/* Another rule for names gives known revisions another place. */
static void test_order_is_corrected(void **state)
{
    struct fixture *fixture = *state;
    struct revision_row row, found;
    fixture_revision(&row, REVISIONS_STEP_NONE, "c");
    (void)snprintf(row.name, sizeof row.name, "ckpt_012");
    OK(revisions_update(fixture->store, fixture->model_id, &row, 1, 1, NULL, &err));
    int64_t id = row.id;
    row.step = 12;
    OK(revisions_update(fixture->store, fixture->model_id, &row, 1, 1, NULL, &err));
    assert_int_equal(row.id, id);
    OK(revisions_get(fixture->store, id, &found, &err));
    assert_int_equal(found.step, 12);
    assert_int_equal(found.stated, 0);
    row.stated = REVISION_STATES_STAGE | REVISION_STATES_TOKENS; /* both 0, as before, but said now */
    OK(revisions_update(fixture->store, fixture->model_id, &row, 1, 1, NULL, &err));
    OK(revisions_get(fixture->store, id, &found, &err));
    assert_int_equal(found.stated, REVISION_STATES_STAGE | REVISION_STATES_TOKENS);
    row.stage = 2;
    OK(revisions_update(fixture->store, fixture->model_id, &row, 1, 1, NULL, &err));
    OK(revisions_get(fixture->store, id, &found, &err));
    assert_int_equal(found.stage, 2);
    row.tokens = 5;
    OK(revisions_update(fixture->store, fixture->model_id, &row, 1, 1, NULL, &err));
    OK(revisions_get(fixture->store, id, &found, &err));
    assert_int_equal(found.tokens, 5);
    /* Also of a commit that comes back, and where nothing but what the numbers count is another. */
    struct revision_row moved = row;
    moved.commit[0] = moved.commit[0] == 'a' ? 'b' : 'a';
    OK(revisions_update(fixture->store, fixture->model_id, &moved, 1, 1, NULL, &err));
    row.step = 13;
    OK(revisions_update(fixture->store, fixture->model_id, &row, 1, 1, NULL, &err));
    OK(revisions_get(fixture->store, id, &found, &err));
    assert_int_equal(found.step, 13);
    const enum step_unit unit = STEP_UNIT_TOKENS;
    struct model_row was, is;
    OK(models_get(fixture->store, fixture->model_id, &was, &err));
    OK(revisions_update_counted(fixture->store, fixture->model_id, &unit, &row, 1, 1, NULL, &err));
    OK(models_get(fixture->store, fixture->model_id, &is, &err));
    assert_int_equal(is.step_unit, STEP_UNIT_TOKENS);
    assert_true(is.version > was.version);
}

/* How many of the current revisions were measured stays right through all of this. */
static void test_measured_count(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[4];
    struct model_row model;
    struct revision_row moved;
    struct task_row task;
    struct task_lease lease;
    struct fixture_result *made = malloc(sizeof *made);
    fixture_add_revisions(fixture, 3, ids);
    (void)fixture_sweep(fixture, ids, 2, 0);
    (void)fixture_measure(fixture, "step0", 1);
    (void)fixture_measure(fixture, "step1", 1);
    OK(models_get(fixture->store, fixture->model_id, &model, &err));
    assert_int_equal(model.measured_count, 2);
    (void)fixture_sweep(fixture, ids, 1, 0);
    (void)fixture_measure(fixture, "step0", 1); /* again: still two */
    (void)fixture_sweep(fixture, &ids[3], 1, 0);
    (void)fixture_measure(fixture, "main", 1); /* no step */
    (void)fixture_sweep(fixture, &ids[2], 1, 0);
    fixture_claim(fixture, "local/1", &task);
    task_lease_of(&task, &lease);
    fixture_result(made, "other", 1);
    (void)snprintf(made->tensor.tensor, sizeof made->tensor.tensor, "another.weight");
    OK(tasks_record(fixture->store, &lease, &made->result, &err));
    OK(models_get(fixture->store, fixture->model_id, &model, &err));
    assert_int_equal(model.measured_count, 2);
    (void)fixture_sweep(fixture, &ids[2], 1, 0);
    fixture_revision(&moved, 2, "moved");
    OK(revisions_update(fixture->store, fixture->model_id, &moved, 1, 0, NULL, &err));
    (void)fixture_measure(fixture, "step2", 1); /* what the branch was */
    OK(models_get(fixture->store, fixture->model_id, &model, &err));
    assert_int_equal(model.measured_count, 2);
    fixture_revision(&moved, 0, "moved");
    OK(revisions_update(fixture->store, fixture->model_id, &moved, 1, 0, NULL, &err));
    OK(models_get(fixture->store, fixture->model_id, &model, &err));
    assert_int_equal(model.measured_count, 1);
    (void)snprintf(model.tensor, sizeof model.tensor, "embed_in.weight");
    OK(models_describe(fixture->store, &model, &err));
    OK(models_get(fixture->store, fixture->model_id, &model, &err));
    assert_int_equal(model.measured_count, 0);
    free(made);
}

static void test_refusals(void **state)
{
    struct fixture *fixture = *state;
    struct revision_row rows[2];
    fixture_revision(&rows[0], 1, "a");
    fixture_revision(&rows[1], 1, "b");
    FAILS(ERR_INVALID, revisions_update(fixture->store, fixture->model_id, rows, 2, 1, NULL, &err));
    rows[1].name[0] = 0;
    FAILS(ERR_INVALID, revisions_update(fixture->store, fixture->model_id, rows, 2, 1, NULL, &err));
    fixture_revision(&rows[1], 2, "b");
    rows[1].step = -5;
    FAILS(ERR_INVALID, revisions_update(fixture->store, fixture->model_id, rows, 2, 1, NULL, &err));
    fixture_revision(&rows[1], 2, "b");
    FAILS(ERR_NOT_FOUND, revisions_update(fixture->store, 99, rows, 2, 1, NULL, &err));
    FAILS(ERR_LIMIT,
          revisions_update(fixture->store, fixture->model_id, rows, LIMIT_HUB_REFS + 1, 1, NULL, &err));
    FAILS(ERR_NOT_FOUND, revisions_get(fixture->store, 1, &rows[0], &err));
}

struct files {
    size_t count;
    char text[512];
};

static int collect_file(void *context, const struct revision_row *revision,
                        const struct revision_file_row *file)
{
    struct files *files = context;
    size_t length = strlen(files->text);
    (void)snprintf(files->text + length, sizeof files->text - length, "%s/%s %lld %s;", revision->name,
                   file->path, (long long)file->size_bytes, file->digest);
    files->count++;
    return 0;
}

static void test_files(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[3];
    struct revision_key key;
    struct revision_row row;
    struct files files = {0};
    struct revision_file_row rows[2] = {{.path = "b.bin", .size_bytes = 7, .digest = "bb"},
                                        {.path = "a.bin", .size_bytes = 5, .digest = "aa"}};
    fixture_add_revisions(fixture, 2, ids);
    OK(revisions_set_files(fixture->store, ids[1], rows, 2, &err));
    OK(revisions_set_files(fixture->store, ids[0], rows, 2, &err));
    OK(revisions_set_files(fixture->store, ids[0], rows, 1, &err));
    OK(revisions_list_files(fixture->store, fixture->model_id, NULL, 10, collect_file, &files, &err));
    assert_string_equal(files.text, "step0/b.bin 7 bb;step1/a.bin 5 aa;step1/b.bin 7 bb;");
    OK(revisions_get(fixture->store, ids[0], &row, &err));
    revision_key_of(&row, &key);
    files = (struct files){0};
    OK(revisions_list_files(fixture->store, fixture->model_id, &key, 1, collect_file, &files, &err));
    assert_int_equal(files.count, 2);
    FAILS(ERR_NOT_FOUND, revisions_set_files(fixture->store, 99, rows, 2, &err));
    rows[0].digest[0] = 0;
    FAILS(ERR_INVALID, revisions_set_files(fixture->store, ids[0], rows, 2, &err));
}

/* Recorded before the list was known, of another file than that has: forgotten, and counted. What the list
 * confirms stays. */
static void test_files_that_contradict(void **state)
{
    struct fixture *fixture = *state;
    struct sweep_request request = {.model_id = fixture->model_id, .request = "{}"};
    struct revision_tensor_row row;
    struct model_row model;
    int64_t ids[4], sweep = 0;
    int forgotten = 9;
    fixture_add_revisions(fixture, 3, ids);
    const struct task_plan tasks[] = {{.revision_id = ids[0], .ordinal = 0},
                                      {.revision_id = ids[1], .ordinal = 1}};
    OK(sweeps_create(fixture->store, &request, &sweep, NULL, &err));
    OK(tasks_plan(fixture->store, sweep, tasks, 2, &err));
    OK(sweeps_start(fixture->store, sweep, &err));
    (void)fixture_measure(fixture, "same", 1);
    (void)fixture_measure(fixture, "same", 1);
    OK(contents_find_by_revision(fixture->store, ids[1], TENSOR, &row, &err));
    struct revision_file_row file = {.path = "model.safetensors", .size_bytes = 1};
    memcpy(file.digest, row.file_digest, sizeof file.digest);
    OK(revisions_set_listed_files(fixture->store, ids[1], &file, 1, &forgotten, &err));
    assert_int_equal(forgotten, 0);
    fixture_digest("another", file.digest);
    OK(revisions_set_listed_files(fixture->store, ids[0], &file, 1, &forgotten, &err));
    assert_int_equal(forgotten, 1);
    FAILS(ERR_NOT_FOUND, contents_find_by_revision(fixture->store, ids[0], TENSOR, &row, &err));
    OK(contents_find_by_revision(fixture->store, ids[1], TENSOR, &row, &err));
    struct series_row *line = malloc(sizeof *line);
    OK(series_find(fixture->store, fixture->model_id, NULL, "step1", NULL, line, &err));
    assert_string_equal(line->same_as, "");
    free(line);
    OK(models_get(fixture->store, fixture->model_id, &model, &err));
    assert_int_equal(model.measured_count, 1);
}

/* Records a task as scored alone, of a file with the digest of this word. */
static int score(struct fixture *fixture, const char *word, enum perplexity_mode mode, struct err *err)
{
    struct task_row task;
    struct task_lease lease;
    struct revision_file_row file = {.path = "model.safetensors"};
    struct perplexity_row row = {.mode = mode, .precision = "float32", .backend = "cpu", .definition = 1};
    struct task_result result = {
        .perplexities = &row, .perplexity_count = 1, .scored_files = &file, .scored_file_count = 1};
    fixture_digest(word, file.digest);
    fixture_digest(word, row.weights_digest);
    fixture_digest("texts", row.dataset_digest);
    memcpy(result.weights_digest, row.weights_digest, sizeof result.weights_digest);
    fixture_claim(fixture, "local/1", &task);
    task_lease_of(&task, &lease);
    return tasks_record(fixture->store, &lease, &result, err);
}

static int has_perplexity(struct fixture *fixture, const char *revision, enum perplexity_mode mode)
{
    struct series_row *line = malloc(sizeof *line);
    OK(series_find(fixture->store, fixture->model_id, NULL, revision, NULL, line, &err));
    int has = line->perplexity[mode].id != 0;
    free(line);
    return has;
}

/* So with perplexities, which belong to files: of a list that comes later, and of one that came first. */
static void test_perplexities_of_other_files(void **state)
{
    struct fixture *fixture = *state;
    struct revision_file_row file = {.path = "model.safetensors", .size_bytes = 1};
    struct model_row was, is;
    int64_t ids[4];
    int forgotten = 9;
    fixture_add_revisions(fixture, 3, ids);
    /* Of a mode that is scored anew before there is a list, the newer files count. */
    for (int i = 0; i < 2; i++) {
        (void)fixture_sweep(fixture, &ids[2], 1, 0);
        OK(score(fixture, i == 0 ? "another" : "listed", PERPLEXITY_MODE_TOKENS, &err));
    }
    fixture_digest("listed", file.digest);
    OK(revisions_set_listed_files(fixture->store, ids[2], &file, 1, &forgotten, &err));
    assert_int_equal(forgotten, 0);
    assert_true(has_perplexity(fixture, "step2", PERPLEXITY_MODE_TOKENS));
    (void)fixture_sweep(fixture, ids, 2, 0);
    OK(score(fixture, "listed", PERPLEXITY_MODE_TOKENS, &err));
    OK(score(fixture, "another", PERPLEXITY_MODE_TOKENS, &err));
    (void)fixture_sweep(fixture, &ids[1], 1, 0); /* measured again, for what the list confirms */
    OK(score(fixture, "listed", PERPLEXITY_MODE_LAST_WORD, &err));
    fixture_digest("listed", file.digest);
    OK(revisions_set_listed_files(fixture->store, ids[0], &file, 1, &forgotten, &err));
    assert_int_equal(forgotten, 0);
    assert_true(has_perplexity(fixture, "step0", PERPLEXITY_MODE_TOKENS));
    OK(models_get(fixture->store, fixture->model_id, &was, &err));
    OK(revisions_set_listed_files(fixture->store, ids[1], &file, 1, &forgotten, &err));
    assert_int_equal(forgotten, 1);
    assert_false(has_perplexity(fixture, "step1", PERPLEXITY_MODE_TOKENS));
    assert_true(has_perplexity(fixture, "step1", PERPLEXITY_MODE_LAST_WORD));
    OK(models_get(fixture->store, fixture->model_id, &is, &err));
    assert_true(is.version > was.version);
    /* What was confirmed is not asked for again. */
    fixture_digest("changed", file.digest);
    OK(revisions_set_listed_files(fixture->store, ids[0], &file, 1, &forgotten, &err));
    assert_int_equal(forgotten, 0);
    fixture_digest("listed", file.digest);
    OK(revisions_set_listed_files(fixture->store, ids[0], &file, 1, &forgotten, &err));
    (void)fixture_sweep(fixture, ids, 1, 0);
    FAILS(ERR_MISMATCH, score(fixture, "another", PERPLEXITY_MODE_LAST_WORD, &err));
    assert_false(has_perplexity(fixture, "step0", PERPLEXITY_MODE_LAST_WORD));
    fixture_check_database(fixture);
}

struct numbers {
    int64_t ids[8];
    size_t count;
};

static int collect_id(void *context, int64_t revision_id)
{
    struct numbers *numbers = context;
    assert_true(numbers->count < 8);
    numbers->ids[numbers->count++] = revision_id;
    return 0;
}

/* What the tasks are of or measure against, each once, in their order, without what has files. */
static void test_unlisted(void **state)
{
    struct fixture *fixture = *state;
    struct numbers numbers = {.count = 0};
    struct sweep_request request = {.model_id = fixture->model_id, .request = "{}"};
    struct revision_file_row file = {.path = "a.bin", .digest = "aa"};
    int64_t ids[5], sweep = 0; /* with main */
    fixture_add_revisions(fixture, 4, ids);
    const struct task_plan tasks[] = {
        {.revision_id = ids[3],
         .ordinal = 1,
         .reference_revision_id = ids[0],
         .previous_revision_id = ids[2]},
        {.revision_id = ids[2],
         .ordinal = 0,
         .reference_revision_id = ids[0],
         .previous_revision_id = ids[1]},
    };
    OK(sweeps_create(fixture->store, &request, &sweep, NULL, &err));
    OK(tasks_plan(fixture->store, sweep, tasks, 2, &err));
    OK(revisions_set_files(fixture->store, ids[1], &file, 1, &err));
    OK(revisions_list_unlisted(fixture->store, sweep, collect_id, &numbers, &err));
    assert_int_equal(numbers.count, 3);
    assert_int_equal(numbers.ids[0], ids[0]);
    assert_int_equal(numbers.ids[1], ids[2]);
    assert_int_equal(numbers.ids[2], ids[3]);
    OK(revisions_list_unlisted(fixture->store, sweep + 1, collect_id, &numbers, &err));
    assert_int_equal(numbers.count, 3);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_models),         CASE(test_models_list),
        CASE(test_describe),       CASE(test_step_order),
        CASE(test_changes),        CASE(test_order_is_corrected),
        CASE(test_measured_count), CASE(test_refusals),
        CASE(test_files),          CASE(test_files_that_contradict),
        CASE(test_passed_over),    CASE(test_perplexities_of_other_files),
        CASE(test_unlisted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
