/* Folders and commits of a repository that are revisions: by a rule, and without one. */
#include "tests/unit/base/fixture.h"

#include "daemon/base/buf.h"
#include "daemon/hub/hub_json.h"
#include "daemon/sweep/places.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

/* A repository of one branch, main, with these files and titles, the newest first. */
struct fake {
    struct repository repository;
    const char *const *paths, *const *titles;
    int tree_code, history_code; /* why it has no lists of files, no histories */
    int tree_count, history_count;
};

static int list_tree(struct repository *repository, const char *commit, struct repository_tree **ret_tree,
                     struct err *err)
{
    struct fake *fake = (struct fake *)repository;
    struct repository_tree *tree = calloc(1, sizeof *tree);
    fake->tree_count++;
    if (fake->tree_code) {
        repository_tree_free(tree);
        return err_set(err, (enum err_code)fake->tree_code, "no files here");
    }
    for (size_t i = 0; fake->paths && fake->paths[i]; i++)
        (void)hub_json_append_file(tree, fake->paths[i], i, COMMIT, "", err);
    (void)hub_json_finish_tree(tree, err);
    (void)snprintf(tree->commit, sizeof tree->commit, "%s", commit);
    *ret_tree = tree;
    return 0;
}

static int list_commits(struct repository *repository, const char *revision,
                        struct repository_commits **ret_commits, struct err *err)
{
    struct fake *fake = (struct fake *)repository;
    assert_string_equal(revision, COMMIT);
    fake->history_count++;
    if (fake->history_code)
        return err_set(err, (enum err_code)fake->history_code, "no histories here");
    struct repository_commits *commits = calloc(1, sizeof *commits);
    commits->rows = calloc(64, sizeof *commits->rows);
    for (; fake->titles && fake->titles[commits->count]; commits->count++) {
        struct repository_commit *row = &commits->rows[commits->count];
        row->title = strdup(fake->titles[commits->count]);
        (void)snprintf(row->id, sizeof row->id, "%040zu", commits->count);
    }
    *ret_commits = commits;
    return 0;
}

static int resolve(struct repository *repository, const char *revision, char *commit, struct err *err)
{
    (void)repository;
    (void)commit;
    return err_set(err, ERR_NOT_FOUND, "revision %s: there is none", revision);
}

static const struct repository_ops ops = {
    .list_tree = list_tree, .list_commits = list_commits, .resolve = resolve};

/* What is found, in order: names, of commits with the last digits of their ids. */
static void expect(struct fake *fake, const char *rule, const char *expected, const char *looked)
{
    struct repository_ref main_ref = {.name = (char[]){"main"}, .commit = COMMIT};
    const struct repository_refs refs = {.count = 1, .rows = &main_ref};
    fake->repository = (struct repository){.ops = &ops, .name = "a/b"};
    const struct places_search search = {&fake->repository, &refs, rule};
    struct places places;
    struct buf text;
    buf_init(&text, 4096);
    OK(places_find(&search, &places, &err));
    for (size_t i = 0; i < places.count; i++)
        (void)buf_appendf(&text, "%s%s%s%s", i ? "; " : "", places.rows[i].name,
                          places.rows[i].tree ? "" : "=",
                          places.rows[i].tree ? "" : places.rows[i].commit + 38);
    assert_string_equal(buf_text(&text), expected);
    assert_string_equal(places.looked, looked);
    buf_free(&text);
    places_free(&places);
}

static void test_folders(void **state)
{
    static const char *const paths[] = {
        "README.md",
        "config.json",
        "checkpoint-1000/config.json",
        "checkpoint-1000/model.safetensors",
        "checkpoint-1000/deep/step5/config.json",
        "checkpoint-500/pytorch_model-00001-of-00002.bin",
        "checkpoint-500-old/config.json",
        "checkpoint-7/notes.txt",
        "runs/b/step-20/config.json",
        "runs/b/step-30/config.json",
        NULL,
    };
    static const char *const titles[] = {"Training in progress, step 1", NULL};
    struct fake fake = {.paths = paths, .titles = titles};
    (void)state;
    /* Of two places that hold two each the first counts. */
    expect(&fake, NULL, "main:checkpoint-1000; main:checkpoint-500",
           "6 folders of main that hold checkpoints, such as \"main:checkpoint-500-old\"");
    assert_int_equal(fake.history_count, 0);
    expect(&fake, "main:runs/b/step-{step}", "main:runs/b/step-20; main:runs/b/step-30",
           "6 folders of main that hold checkpoints, such as \"main:checkpoint-1000\"");
    expect(&fake, "main:*step{step}", "main:checkpoint-1000/deep/step5",
           "6 folders of main that hold checkpoints, such as \"main:checkpoint-1000\"");
    expect(&fake, "main:chekpoint-{step}", "",
           "6 folders of main that hold checkpoints, such as \"main:checkpoint-1000\"");
    expect(&fake, "step{step}", "", ""); /* of branches */
    struct places places;
    const struct places_search search = {&fake.repository, NULL, "dev:step{step}"};
    FAILS(ERR_NOT_FOUND, "the rule \"dev:step{step}\": revision dev", places_find(&search, &places, &err));
    places_free(&places);
}

static void test_commits(void **state)
{
    static const char *const titles[] = {
        "End of training",
        "Training in progress, step 1000",
        "Training in progress, epoch 2",
        "Training in progress, step 500",
        "Training in progress, step 1000",
        "initial commit",
        NULL,
    };
    static const char *const epochs[] = {"Training in progress, epoch 10", "Training in progress, epoch 9",
                                         "x", NULL};
    static const char *const numbers[] = {"200", "100", "x", NULL}; /* each is the whole title */
    struct fake fake = {.titles = titles};
    (void)state;
    /* The newest of a title, and no epochs beside steps. */
    expect(&fake, NULL, "main^Training in progress, step 1000=01; main^Training in progress, step 500=03",
           "0 folders of main that hold checkpoints, 6 commits of main, such as \"End of training\"");
    assert_int_equal(fake.tree_count, 1);
    expect(&fake, "main^Training in progress, epoch {step}", "main^Training in progress, epoch 2=02",
           "6 commits of main, such as \"End of training\"");
    assert_int_equal(fake.tree_count, 1);
    fake.titles = epochs;
    expect(&fake, NULL, "main^Training in progress, epoch 10=00; main^Training in progress, epoch 9=01",
           "0 folders of main that hold checkpoints, 3 commits of main, such as \"x\"");
    fake.titles = numbers;
    expect(&fake, "main^{step}", "main^100=01; main^200=00", "3 commits of main, such as \"x\"");
}

/* A mirror without histories has no such revisions; one that fails may have what is known. */
static void test_histories_that_are_not_told(void **state)
{
    static const struct {
        int history_code, code, is_partial;
    } cases[] = {
        {ERR_UNSUPPORTED, 0, 0},
        {ERR_NOT_FOUND, 0, 0},
        {ERR_HTTP, 0, 1},
        {ERR_GATED, 0, 1},
        {ERR_NETWORK, ERR_NETWORK, 0},
        {ERR_CANCELLED, ERR_CANCELLED, 0},
        {ERR_FORMAT, 0, 1},
        {ERR_LIMIT, 0, 1},
    };
    struct repository_ref main_ref = {.name = (char[]){"main"}, .commit = COMMIT};
    const struct repository_refs refs = {.count = 1, .rows = &main_ref};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fake fake = {.repository = {.ops = &ops, .name = "a/b"},
                            .history_code = cases[i].history_code};
        const struct places_search search = {&fake.repository, &refs, NULL};
        struct places places;
        struct err err = ERR_INIT;
        assert_int_equal(places_find(&search, &places, &err), cases[i].code);
        assert_int_equal(places.is_partial, cases[i].is_partial);
        assert_int_equal(places.failure.code, cases[i].is_partial ? cases[i].history_code : 0);
        assert_int_equal(places.count, 0);
        places_free(&places);
    }
    const struct repository_refs cached = {.is_partial = 1, .count = 1, .rows = &main_ref};
    struct fake fake = {.repository = {.ops = &ops, .name = "a/b"}, .history_code = ERR_NOT_FOUND};
    const struct places_search search = {&fake.repository, &cached, NULL};
    struct places places;
    OK(places_find(&search, &places, &err));
    assert_string_equal(places.looked,
                        "0 folders of main that hold checkpoints (offline, commits are not known)");
    places_free(&places);
}

/* The Trainer titles the commits that push folders alike: while folders are not told, they are no revisions.
 */
static void test_folders_that_are_not_told(void **state)
{
    static const char *const titles[] = {"Training in progress, step 5", NULL};
    static const int codes[] = {ERR_HTTP, ERR_GATED, ERR_FORMAT, ERR_LIMIT};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        struct fake fake = {.titles = titles, .tree_code = codes[i]};
        expect(&fake, NULL, "", "folders of main (which the hub does not tell now)");
        assert_int_equal(fake.history_count, 0);
    }
    struct fake fake = {.titles = titles, .tree_code = ERR_NOT_FOUND};
    expect(&fake, NULL, "main^Training in progress, step 5=00", "1 commit of main");
}

/* The commit of a folder is of what lies in it, and of nothing else. */
static void test_commits_of_folders(void **state)
{
    static const char *const before[] = {"checkpoint-5/config.json", "checkpoint-6/config.json", NULL};
    static const char *const after[] = {"checkpoint-5/config.json", "checkpoint-6/config.json", "a", NULL};
    static const char *const other[] = {"checkpoint-5/config.json", "checkpoint-6/config.json",
                                        "checkpoint-6/a", NULL};
    const char *const *const pushes[] = {before, after, other};
    char commits[3][2][REPOSITORY_COMMIT_SIZE];
    struct repository_ref main_ref = {.name = (char[]){"main"}, .commit = COMMIT};
    const struct repository_refs refs = {.count = 1, .rows = &main_ref};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct fake fake = {.repository = {.ops = &ops, .name = "a/b"}, .paths = pushes[i]};
        const struct places_search search = {&fake.repository, &refs, NULL};
        struct places places;
        OK(places_find(&search, &places, &err));
        assert_int_equal(places.count, 2);
        for (size_t row = 0; row < 2; row++) {
            assert_string_equal(places.rows[row].commit, places.rows[row].tree->commit);
            memcpy(commits[i][row], places.rows[row].commit, REPOSITORY_COMMIT_SIZE);
        }
        assert_string_equal(places.rows[0].tree->files[0].path, "config.json");
        places_free(&places);
    }
    assert_string_not_equal(commits[0][0], commits[0][1]);
    assert_memory_equal(commits[0], commits[1], sizeof commits[0]);
    assert_string_equal(commits[0][0], commits[2][0]);
    assert_string_not_equal(commits[0][1], commits[2][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_commits),
        cmocka_unit_test(test_histories_that_are_not_told),
        cmocka_unit_test(test_folders_that_are_not_told),
        cmocka_unit_test(test_commits_of_folders),
    };
    return cmocka_run_group_tests_name("sweep/places", tests, NULL, NULL);
}
