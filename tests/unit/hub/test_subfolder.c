/* What lies in a folder of a branch: all of it, nothing beside it, and a commit of that alone. */
#include "daemon/hub/subfolder.h"
#include "tests/unit/base/fixture.h"

#include "daemon/base/buf.h"
#include "daemon/hub/hub_json.h"

#define OID "0123456789abcdef0123456789abcdef01234567"
#define OTHER "1123456789abcdef0123456789abcdef01234567"
#define SHA256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* A branch of these files: path, size, id. */
struct file {
    const char *path;
    uint64_t size_bytes;
    const char *git_oid, *sha256;
};

static struct repository_tree *tree_of(const struct file *files, size_t count)
{
    struct repository_tree *tree = calloc(1, sizeof *tree);
    struct err err = ERR_INIT;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(hub_json_append_file(tree, files[i].path, files[i].size_bytes, files[i].git_oid,
                                              files[i].sha256, &err),
                         0);
    assert_int_equal(hub_json_finish_tree(tree, &err), 0);
    return tree;
}

/* Names that sort around those of the folder. */
static void test_its_files_alone(void **state)
{
    static const struct file files[] = {
        {"a", 1, OID, ""},
        {"a-b/config.json", 1, OID, ""},
        {"a.b/config.json", 1, OID, ""},
        {"a/b/c/deep.bin", 7, OID, SHA256},
        {"a/b/config.json", 5, OID, ""},
        {"a/b.json", 1, OID, ""},
        {"a/b0/config.json", 1, OID, ""},
        {"a0/b/config.json", 1, OID, ""},
        {"b/config.json", 1, OID, ""},
    };
    static const struct {
        const char *folder, *expected;
    } cases[] = {
        {"a/b", "c/deep.bin config.json"},
        {"a", "b.json b/c/deep.bin b/config.json b0/config.json"},
        {"a/b/c", "deep.bin"},
        {"a-b", "config.json"},
        {"b", "config.json"},
    };
    static const char *const absent[] = {"c", "a/b/config.json", "a/", "", "a/bb", "A"};
    struct repository_tree *branch = tree_of(files, COUNT_OF(files)), *none = tree_of(NULL, 0), *tree = NULL;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf text;
        buf_init(&text, 1000);
        OK(subfolder_take(branch, cases[i].folder, &tree, &err));
        for (size_t j = 0; j < tree->count; j++)
            (void)buf_appendf(&text, "%s%s", j ? " " : "", tree->files[j].path);
        assert_string_equal(buf_text(&text), cases[i].expected);
        assert_int_equal(strlen(tree->commit), REPOSITORY_COMMIT_SIZE - 1);
        buf_free(&text);
        repository_tree_free(tree);
    }
    OK(subfolder_take(branch, "a/b", &tree, &err));
    assert_int_equal(repository_tree_find(tree, "c/deep.bin")->size_bytes, 7);
    assert_string_equal(repository_tree_find(tree, "c/deep.bin")->sha256, SHA256);
    repository_tree_free(tree);
    for (size_t i = 0; i < COUNT_OF(absent); i++)
        FAILS(ERR_NOT_FOUND, "there is none", subfolder_take(branch, absent[i], &tree, &err));
    FAILS(ERR_NOT_FOUND, "there is none", subfolder_take(none, "a", &tree, &err));
    repository_tree_free(branch);
    repository_tree_free(none);
}

/* Each thing that makes another folder makes another commit. */
static void test_what_the_commit_is_of(void **state)
{
    static const struct {
        struct file files[2];
        size_t count;
        const char *folder;
        int is_same;
    } cases[] = {
        {{{"a/x", 1, OID, ""}, {"z", 1, OTHER, ""}}, 2, "a", 1},
        {{{"a/x", 1, OTHER, ""}}, 1, "a", 0},
        {{{"a/x", 2, OID, ""}}, 1, "a", 0},
        {{{"a/y", 1, OID, ""}}, 1, "a", 0},
        {{{"a/x", 1, OID, SHA256}}, 1, "a", 0},
        {{{"a/x", 1, OID, ""}, {"a/y", 1, OID, ""}}, 2, "a", 0},
        {{{"b/x", 1, OID, ""}}, 1, "b", 0}, /* two folders with equal files are two places */
    };
    static const struct file first[] = {{"a/x", 1, OID, ""}};
    struct repository_tree *branch = tree_of(first, 1), *tree = NULL;
    char commit[REPOSITORY_COMMIT_SIZE];
    (void)state;
    OK(subfolder_take(branch, "a", &tree, &err));
    memcpy(commit, tree->commit, sizeof commit);
    repository_tree_free(tree);
    repository_tree_free(branch);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        branch = tree_of(cases[i].files, cases[i].count);
        branch->is_partial = 1;
        OK(subfolder_take(branch, cases[i].folder, &tree, &err));
        if ((strcmp(tree->commit, commit) == 0) != cases[i].is_same)
            fail_msg("case %zu", i);
        assert_int_equal(tree->is_partial, 1);
        repository_tree_free(tree);
        repository_tree_free(branch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_its_files_alone),
        cmocka_unit_test(test_what_the_commit_is_of),
    };
    return cmocka_run_group_tests_name("hub/subfolder", tests, NULL, NULL);
}
