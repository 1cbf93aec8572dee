/* The list of revisions: which of a repository's refs and of the sweep's names are in it, once each, in
 * order. */
#include "tests/unit/store/fixture.h"

#include "daemon/base/limits.h"
#include "daemon/sweep/revision_list.h"
#include "store/models.h"

#include <stdlib.h>
#include <string.h>

/* A repository of refs alone. */
struct fake {
    struct repository repository;
    struct repository_ref *rows;
    size_t count;
    int is_partial;
    int resolved; /* how often a name was asked for */
};

static int fake_refs(struct repository *repository, struct repository_refs **ret_refs, struct err *fault)
{
    const struct fake *fake = (const struct fake *)repository;
    struct repository_refs *refs = calloc(1, sizeof *refs);
    (void)fault;
    refs->rows = calloc(fake->count, sizeof *refs->rows);
    for (size_t i = 0; i < fake->count; i++) {
        refs->rows[i] = fake->rows[i];
        refs->rows[i].name = strdup(fake->rows[i].name);
    }
    refs->count = fake->count;
    refs->is_partial = fake->is_partial;
    *ret_refs = refs;
    return 0;
}

/* Only pull requests are known besides the refs. */
static int fake_resolve(struct repository *repository, const char *revision, char *commit, struct err *fault)
{
    struct fake *fake = (struct fake *)repository;
    fake->resolved++;
    if (strncmp(revision, "refs/pr/", 8) != 0)
        return err_set(fault, ERR_NOT_FOUND, "%s is unknown", revision);
    memset(commit, 'd', REPOSITORY_COMMIT_SIZE - 1);
    commit[REPOSITORY_COMMIT_SIZE - 1] = '\0';
    return 0;
}

static const struct repository_ops ops = {.list_refs = fake_refs, .resolve = fake_resolve};

static struct repository_ref ref_of(const char *name, enum repository_ref_kind kind, char digit)
{
    struct repository_ref ref = {.name = strdup(name), .kind = kind};
    memset(ref.commit, digit, REPOSITORY_COMMIT_SIZE - 1);
    return ref;
}

static void free_names(struct fake *fake)
{
    for (size_t i = 0; i < fake->count; i++)
        free(fake->rows[i].name);
}

static void expect(const struct revision_list *list, const char *expected)
{
    struct buf text;
    buf_init(&text, 4096);
    for (size_t i = 0; i < list->count; i++)
        (void)buf_appendf(&text, "%s%s:%c", i ? " " : "", list->rows[i].row.name,
                          list->rows[i].row.commit[0]);
    assert_string_equal(buf_text(&text), expected);
    buf_free(&text);
}

static void test_each_name_once_in_order_of_steps(void **state)
{
    (void)state;
    char longest[LIMIT_REVISION_NAME_BYTES + 2];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    struct repository_ref rows[] = {ref_of("step100", REPOSITORY_REF_KIND_BRANCH, 'a'),
                                    ref_of("step3", REPOSITORY_REF_KIND_BRANCH, 'a'),
                                    ref_of("main", REPOSITORY_REF_KIND_BRANCH, 'a'),
                                    ref_of("step3", REPOSITORY_REF_KIND_TAG, 'b'),
                                    ref_of("step20", REPOSITORY_REF_KIND_TAG, 'b'),
                                    ref_of("refs/pr/1", REPOSITORY_REF_KIND_PULL_REQUEST, 'c'),
                                    ref_of(longest, REPOSITORY_REF_KIND_TAG, 'b'),
                                    ref_of("step20", REPOSITORY_REF_KIND_TAG, 'c')};
    struct fake fake = {{.ops = &ops, .name = "a/b"}, rows, sizeof rows / sizeof rows[0], 0, 0};
    char words[][10] = {"step3", "absent", "refs/pr/1", "absent", "main"};
    char *names[] = {words[0], words[1], words[2], words[3]};
    struct sweep_spec spec = {0};
    struct revision_list list;
    OK(revision_list_read(&list, &fake.repository, &spec, &err));
    expect(&list, "step3:a step20:b step100:a main:a");
    assert_int_equal(fake.resolved, 0);
    revision_list_free(&list);
    spec = (struct sweep_spec){.names = names, .name_count = 4, .reference = words[4]};
    OK(revision_list_read(&list, &fake.repository, &spec, &err));
    expect(&list, "step3:a step20:b step100:a absent:0 main:a refs/pr/1:d");
    assert_int_equal(fake.resolved, 2);
    revision_list_free(&list);
    fake.is_partial = 1; /* offline: nobody knows whether it exists */
    FAILS(ERR_NOT_FOUND, revision_list_read(&list, &fake.repository, &spec, &err));
    revision_list_free(&list);
    free_names(&fake);
}

/* Ten thousand mistyped names are not ten thousand requests; what is no branch is asked for all the same. */
static void test_many_absent_names(void **state)
{
    enum { COUNT = 1000 };
    static char words[COUNT + 1][16];
    static char *names[COUNT + 1];
    struct repository_ref rows[] = {ref_of("step3", REPOSITORY_REF_KIND_BRANCH, 'a')};
    struct fake fake = {{.ops = &ops, .name = "a/b"}, rows, 1, 0, 0};
    struct revision_list list;
    (void)state;
    for (int i = 0; i < COUNT; i++)
        (void)snprintf(words[i], sizeof words[i], "setp%d", i);
    (void)snprintf(words[COUNT], sizeof words[COUNT], "refs/pr/1");
    for (int i = 0; i <= COUNT; i++)
        names[i] = words[i];
    struct sweep_spec spec = {.names = names, .name_count = COUNT + 1};
    OK(revision_list_read(&list, &fake.repository, &spec, &err));
    assert_int_equal(list.count, COUNT + 2);
    assert_int_equal(revision_list_find(&list, "refs/pr/1")->row.commit[0], 'd');
    assert_string_equal(revision_list_find(&list, "setp999")->row.commit, REVISION_NO_COMMIT);
    assert_int_equal(fake.resolved, 101);
    revision_list_free(&list);
    free_names(&fake);
}

/* As many refs as a repository may have, each name twice, five times: looking at all pairs would take ten
 * minutes. */
static void test_many_refs(void **state)
{
    (void)state;
    struct fake fake = {
        {.ops = &ops, .name = "a/b"}, calloc(LIMIT_HUB_REFS, sizeof *fake.rows), LIMIT_HUB_REFS, 0, 0};
    struct sweep_spec spec = {0};
    struct revision_list list;
    for (int i = 0; i < LIMIT_HUB_REFS; i++) {
        int is_tag = i >= LIMIT_HUB_REFS / 2;
        char name[32];
        /* 7919 is prime: all steps, in disorder */
        (void)snprintf(name, sizeof name, "step%lld",
                       i % (LIMIT_HUB_REFS / 2) * 7919LL % (LIMIT_HUB_REFS / 2));
        fake.rows[i] =
            ref_of(name, is_tag ? REPOSITORY_REF_KIND_TAG : REPOSITORY_REF_KIND_BRANCH, is_tag ? 'b' : 'a');
    }
    for (int k = 0; k < 5; k++) {
        OK(revision_list_read(&list, &fake.repository, &spec, &err));
        assert_int_equal(list.count, LIMIT_HUB_REFS / 2);
        for (size_t i = 0; i < list.count; i++) {
            assert_int_equal(list.rows[i].row.step, i);
            assert_int_equal(list.rows[i].row.commit[0], 'a');
        }
        revision_list_free(&list);
    }
    free_names(&fake);
    free(fake.rows);
}

/* "name", with a star where the store alone knows it and a minus where the store does not have it as current,
 * of each revision. */
static void expect_stored(struct fixture *fixture, const struct revision_list *list, const char *expected)
{
    struct buf text;
    buf_init(&text, 4096);
    for (size_t i = 0; i < list->count; i++) {
        struct revision_row row;
        OK(revisions_get(fixture->store, list->rows[i].row.id, &row, &err));
        assert_string_equal(row.name, list->rows[i].row.name);
        assert_string_equal(row.commit, list->rows[i].row.commit);
        (void)buf_appendf(&text, "%s%s%s%s", i ? " " : "", row.name, list->rows[i].is_remembered ? "*" : "",
                          row.is_current ? "" : "-");
    }
    assert_string_equal(buf_text(&text), expected);
    buf_free(&text);
}

/* Offline: what the cache lacks stays known, in its place among the rest, and is not taken for gone. */
static void test_a_part_is_made_whole(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[4];
    fixture_add_revisions(fixture, 3, ids); /* step0, step1, step2, main */
    struct repository_ref rows[] = {ref_of("step1", REPOSITORY_REF_KIND_BRANCH, 'a'),
                                    ref_of("step3", REPOSITORY_REF_KIND_BRANCH, 'a')};
    struct fake fake = {{.ops = &ops, .name = "a/b"}, rows, 2, 1, 0};
    struct sweep_spec spec = {0};
    struct revision_list list;
    struct revision_row row;
    OK(revision_list_read(&list, &fake.repository, &spec, &err));
    expect(&list, "step1:a step3:a");
    OK(revision_list_remember(&list, fixture->store, fixture->model_id, "a/b", &spec, &err));
    OK(revision_list_store(&list, fixture->store, fixture->model_id, NULL, &err));
    expect_stored(fixture, &list, "step0* step1 step2* step3 main*");
    assert_int_equal(list.rows[0].row.id, ids[0]);
    assert_int_equal(list.rows[4].row.id, ids[3]);
    OK(revisions_get(fixture->store, ids[1], &row, &err));
    assert_false(row.is_current); /* the cache has another commit of it */
    revision_list_free(&list);
    fake.is_partial = 0; /* online, and all the others are gone */
    OK(revision_list_read(&list, &fake.repository, &spec, &err));
    OK(revision_list_remember(&list, fixture->store, fixture->model_id, "a/b", &spec, &err));
    OK(revision_list_store(&list, fixture->store, fixture->model_id, NULL, &err));
    expect_stored(fixture, &list, "step1 step3");
    for (size_t i = 0; i < 4; i++) {
        OK(revisions_get(fixture->store, ids[i], &row, &err));
        assert_false(row.is_current);
    }
    revision_list_free(&list);
    free_names(&fake);
}

/* Instead of realloc(): the linker has this one called (tests/CMakeLists.txt). */
static int is_out_of_memory;
void *__real_realloc(void *block, size_t size);

void *__wrap_realloc(void *block, size_t size)
{
    return is_out_of_memory ? NULL : __real_realloc(block, size);
}

/* What there is no memory for would count as gone. */
static void test_a_part_that_cannot_be_made_whole(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[4];
    fixture_add_revisions(fixture, 3, ids);
    struct repository_ref rows[] = {ref_of("step1", REPOSITORY_REF_KIND_BRANCH, 'a')};
    struct fake fake = {{.ops = &ops, .name = "a/b"}, rows, 1, 1, 0};
    struct sweep_spec spec = {0};
    struct revision_list list;
    OK(revision_list_read(&list, &fake.repository, &spec, &err));
    list.capacity = list.count;
    is_out_of_memory = 1;
    FAILS(ERR_NO_MEMORY,
          revision_list_remember(&list, fixture->store, fixture->model_id, "a/b", &spec, &err));
    is_out_of_memory = 0;
    revision_list_free(&list);
    free_names(&fake);
}

/* Names in order, with a star for what a trainer has deleted and the store has measured. */
static void expect_folder(struct fixture *fixture, struct fake *fake, const char *expected)
{
    const struct sweep_spec spec = {0};
    struct revision_list list;
    OK(revision_list_read(&list, &fake->repository, &spec, &err));
    OK(revision_list_remember(&list, fixture->store, fixture->model_id, "file:/run", &spec, &err));
    OK(revision_list_store(&list, fixture->store, fixture->model_id, NULL, &err));
    expect_stored(fixture, &list, expected);
    revision_list_free(&list);
}

/* What was measured stays when its trainer deletes it, also while nothing at all is there: a folder that is
 * not mounted for a while. Another run in the folder takes its place. */
static void test_deleted_checkpoints(void **state)
{
    struct fixture *fixture = *state;
    int64_t ids[3];
    struct repository_ref rows[] = {ref_of("step0", REPOSITORY_REF_KIND_BRANCH, 'a'),
                                    ref_of("step1", REPOSITORY_REF_KIND_BRANCH, 'b'),
                                    ref_of("step2", REPOSITORY_REF_KIND_BRANCH, 'c')};
    struct fake fake = {{.ops = &ops, .name = "file:/run"}, rows, 3, 0, 0};
    expect_folder(fixture, &fake, "step0 step1 step2");
    for (int64_t id = 1; id <= 3; id++)
        ids[id - 1] = id;
    (void)fixture_sweep(fixture, ids, 2, 0); /* step2 is not measured */
    (void)fixture_measure(fixture, "a", 1);
    (void)fixture_measure(fixture, "b", 2);
    fake.rows = rows + 2;
    fake.count = 1;
    expect_folder(fixture, &fake, "step0* step1* step2");
    fake.count = 0;
    expect_folder(fixture, &fake, "step0* step1*");
    fake.count = 1;
    expect_folder(fixture, &fake, "step0* step1* step2");
    struct repository_ref other = ref_of("step1", REPOSITORY_REF_KIND_BRANCH, 'd');
    fake.rows = &other; /* another run, which has come this far */
    expect_folder(fixture, &fake, "step0* step1");
    free(other.name);
    fake.rows = rows;
    fake.count = 3;
    free_names(&fake);
}

/* A series is of one unit, which the model gets with its revisions: names that count another are no steps of
 * it. */
static void test_one_unit(void **state)
{
    struct fixture *fixture = *state;
    struct repository_ref rows[] = {ref_of("240b_tokens", REPOSITORY_REF_KIND_BRANCH, 'a'),
                                    ref_of("step5", REPOSITORY_REF_KIND_BRANCH, 'b'),
                                    ref_of("20b_tokens", REPOSITORY_REF_KIND_BRANCH, 'c'),
                                    ref_of("step6", REPOSITORY_REF_KIND_BRANCH, 'd')};
    struct fake fake = {{.ops = &ops, .name = "a/b"}, rows, 3, 0, 0};
    const struct sweep_spec spec = {0};
    struct revision_list list;
    struct revision_row row;
    struct model_row model;
    OK(revision_list_read(&list, &fake.repository, &spec, &err));
    expect(&list, "20b_tokens:c 240b_tokens:a step5:b");
    OK(revision_list_store(&list, fixture->store, fixture->model_id, NULL, &err));
    OK(models_get(fixture->store, fixture->model_id, &model, &err));
    assert_int_equal(model.step_unit, STEP_UNIT_TOKENS);
    OK(revisions_get(fixture->store, list.rows[2].row.id, &row, &err));
    assert_int_equal(row.step, REVISIONS_STEP_NONE);
    assert_int_equal(model.revision_count, 2);
    const uint64_t version = model.version;
    OK(revision_list_store(&list, fixture->store, fixture->model_id, NULL, &err)); /* nothing is new */
    OK(models_get(fixture->store, fixture->model_id, &model, &err));
    assert_int_equal(model.version, version);
    revision_list_free(&list);
    fake.count = 4; /* as many of each: steps */
    OK(revision_list_read(&list, &fake.repository, &spec, &err));
    expect(&list, "step5:b step6:d 20b_tokens:c 240b_tokens:a");
    OK(revision_list_store(&list, fixture->store, fixture->model_id, NULL, &err));
    OK(models_get(fixture->store, fixture->model_id, &model, &err));
    assert_int_equal(model.step_unit, STEP_UNIT_STEPS);
    assert_true(model.version > version);
    revision_list_free(&list);
    free_names(&fake);
}

/* A look at which the hub tells of none of the places where the steps are changes nothing of what they
 * count. */
static void test_a_part_without_steps_keeps_the_unit(void **state)
{
    struct fixture *fixture = *state;
    struct repository_ref rows[] = {ref_of("chck_1M", REPOSITORY_REF_KIND_BRANCH, 'a')};
    struct fake fake = {{.ops = &ops, .name = "a/b"}, rows, 1, 0, 0};
    const struct sweep_spec spec = {0};
    struct revision_list list;
    struct model_row model;
    OK(revision_list_read(&list, &fake.repository, &spec, &err));
    OK(revision_list_store(&list, fixture->store, fixture->model_id, NULL, &err));
    revision_list_free(&list);
    OK(models_get(fixture->store, fixture->model_id, &model, &err));
    assert_int_equal(model.step_unit, STEP_UNIT_WORDS);
    const uint64_t version = model.version;
    list = (struct revision_list){.is_partial = 1};
    OK(revision_list_store(&list, fixture->store, fixture->model_id, NULL, &err));
    OK(models_get(fixture->store, fixture->model_id, &model, &err));
    assert_int_equal(model.step_unit, STEP_UNIT_WORDS);
    assert_int_equal(model.version, version);
    free_names(&fake);
}

/* A part alone may be of two units equally; with what the store knows it is of one, and its names are read
 * again. */
static void test_a_part_gets_the_unit_of_the_whole(void **state)
{
    struct fixture *fixture = *state;
    struct repository_ref rows[] = {ref_of("chck_3M", REPOSITORY_REF_KIND_BRANCH, 'a'),
                                    ref_of("chck_4M", REPOSITORY_REF_KIND_BRANCH, 'b'),
                                    ref_of("chck_1M", REPOSITORY_REF_KIND_BRANCH, 'c'),
                                    ref_of("step5", REPOSITORY_REF_KIND_BRANCH, 'd')};
    struct fake fake = {{.ops = &ops, .name = "a/b"}, rows, 2, 0, 0};
    const struct sweep_spec spec = {0};
    struct revision_list list;
    OK(revision_list_read(&list, &fake.repository, &spec, &err));
    OK(revision_list_store(&list, fixture->store, fixture->model_id, NULL, &err));
    revision_list_free(&list);
    fake.rows = rows + 2;
    fake.is_partial = 1;
    OK(revision_list_read(&list, &fake.repository, &spec, &err));
    expect(&list, "step5:d chck_1M:c");
    OK(revision_list_remember(&list, fixture->store, fixture->model_id, "a/b", &spec, &err));
    assert_int_equal(list.unit, STEP_UNIT_WORDS);
    OK(revision_list_store(&list, fixture->store, fixture->model_id, NULL, &err));
    expect_stored(fixture, &list, "chck_1M chck_3M* chck_4M* step5");
    assert_int_equal(list.rows[0].row.step, 1000000);
    revision_list_free(&list);
    fake.rows = rows;
    fake.count = 4;
    free_names(&fake);
}

/* Numbers and what they count change together or not at all. */
static void test_a_list_that_fails_leaves_the_unit(void **state)
{
    struct fixture *fixture = *state;
    struct repository_ref rows[] = {ref_of("chck_1M", REPOSITORY_REF_KIND_BRANCH, 'a'),
                                    ref_of("chck_2M", REPOSITORY_REF_KIND_BRANCH, 'b')};
    struct fake fake = {{.ops = &ops, .name = "a/b"}, rows, 2, 0, 0};
    const struct sweep_spec spec = {0};
    struct revision_list list;
    struct model_row before, model;
    OK(models_get(fixture->store, fixture->model_id, &before, &err));
    OK(revision_list_read(&list, &fake.repository, &spec, &err));
    memcpy(list.rows[1].row.name, list.rows[0].row.name, sizeof list.rows[0].row.name);
    FAILS(ERR_INVALID, revision_list_store(&list, fixture->store, fixture->model_id, NULL, &err));
    OK(models_get(fixture->store, fixture->model_id, &model, &err));
    assert_int_equal(model.step_unit, STEP_UNIT_STEPS);
    assert_int_equal(model.version, before.version);
    revision_list_free(&list);
    free_names(&fake);
}

/* A run that counts otherwise than the deleted one before it in the folder is the series from its first
 * checkpoint on. */
static void test_what_is_there_gives_the_unit(void **state)
{
    struct fixture *fixture = *state;
    struct repository_ref rows[] = {ref_of("chck_1M", REPOSITORY_REF_KIND_BRANCH, 'a'),
                                    ref_of("chck_2M", REPOSITORY_REF_KIND_BRANCH, 'b'),
                                    ref_of("step1", REPOSITORY_REF_KIND_BRANCH, 'c')};
    struct fake fake = {{.ops = &ops, .name = "file:/run"}, rows, 2, 0, 0};
    struct model_row model;
    int64_t ids[] = {1, 2};
    expect_folder(fixture, &fake, "chck_1M chck_2M");
    (void)fixture_sweep(fixture, ids, 2, 0);
    (void)fixture_measure(fixture, "a", 1);
    (void)fixture_measure(fixture, "b", 2);
    fake.rows = rows + 2;
    fake.count = 1;
    expect_folder(fixture, &fake, "step1");
    OK(models_get(fixture->store, fixture->model_id, &model, &err));
    assert_int_equal(model.step_unit, STEP_UNIT_STEPS);
    fake.rows = rows;
    fake.count = 3;
    free_names(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_name_once_in_order_of_steps),
        cmocka_unit_test(test_many_absent_names),
        cmocka_unit_test(test_many_refs),
        cmocka_unit_test_setup_teardown(test_a_part_is_made_whole, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_a_part_that_cannot_be_made_whole, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_deleted_checkpoints, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_one_unit, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_a_part_without_steps_keeps_the_unit, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_a_part_gets_the_unit_of_the_whole, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_a_list_that_fails_leaves_the_unit, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_what_is_there_gives_the_unit, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests_name("sweep/revision_list", tests, NULL, NULL);
}
