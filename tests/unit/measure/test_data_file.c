#include "tests/unit/base/fixture.h"

#include "daemon/measure/data_file.h"

#define NAME "owner/texts"

/* A tree of these paths; the rows are static. */
static struct repository_tree tree_of(const char *const *paths)
{
    static struct repository_file files[32];
    struct repository_tree tree = {.files = files};
    for (; paths[tree.count]; tree.count++)
        files[tree.count].path = (char *)(uintptr_t)paths[tree.count];
    return tree;
}

#define CHOOSES(want, ...)                                                                                   \
    do {                                                                                                     \
        struct repository_tree tree = tree_of((const char *const[]){__VA_ARGS__, NULL});                     \
        const struct repository_file *file = NULL;                                                           \
        OK(data_file_choose(&tree, NAME, &file, &err));                                                      \
        assert_string_equal(file->path, want);                                                               \
    } while (0)

#define REFUSES(code, words, ...)                                                                            \
    do {                                                                                                     \
        struct repository_tree tree = tree_of((const char *const[]){__VA_ARGS__, NULL});                     \
        const struct repository_file *file = NULL;                                                           \
        FAILS(code, words, data_file_choose(&tree, NAME, &file, &err));                                      \
        assert_null(file);                                                                                   \
    } while (0)

/* What EleutherAI/lambada_openai holds: the default configuration and its translations. */
#define LAMBADA                                                                                              \
    ".gitattributes", "README.md", "data/lambada_test.jsonl", "data/lambada_test_de.jsonl",                  \
        "data/lambada_test_en.jsonl", "data/lambada_test_es.jsonl", "data/lambada_test_fr.jsonl",            \
        "data/lambada_test_it.jsonl", "lambada_openai.py", "translation_script.py"

static void test_lambada(void **state)
{
    (void)state;
    CHOOSES("data/lambada_test.jsonl", LAMBADA);
    CHOOSES("data/lambada_test_en.jsonl", "data/lambada_test_de.jsonl", "data/lambada_test_en.jsonl",
            "data/lambada_test_fr.jsonl");
}

static void test_rules(void **state)
{
    (void)state;
    CHOOSES("corpus.txt", "README.md", "corpus.txt");
    CHOOSES("a.jsonl.zst", "LICENSE.txt", "README.txt", "a.jsonl.zst");
    CHOOSES("data/test.jsonl", "data/awkward.jsonl", "data/test.jsonl");
    CHOOSES("test/part.jsonl.gz", "test/part.jsonl.gz", "train/part.jsonl.gz");
    CHOOSES("x-validation.txt", "x-train.txt", "x-validation.txt");
    CHOOSES("test.jsonl", "test.jsonl", "validation.jsonl", "train.jsonl");
    CHOOSES("test.jsonl", "test.jsonl", "test.jsonl.gz");
    CHOOSES("en/dev.txt", "de/dev.txt", "en/dev.txt");
}

/* A word within a word is none: "contest" holds no test. */
static void test_words(void **state)
{
    (void)state;
    REFUSES(ERR_INVALID, "owner/texts:FILE; it has contest.jsonl, latest.jsonl", "contest.jsonl",
            "latest.jsonl");
    CHOOSES("a.test.jsonl", "a.test.jsonl", "greatest.jsonl", "tests.jsonl");
    REFUSES(ERR_INVALID, "", "te\xcc\x81st.jsonl", "test\xc3\xa9.jsonl");
}

static void test_refusals(void **state)
{
    (void)state;
    REFUSES(ERR_NOT_FOUND, "no .jsonl or .txt file", "README.md", "data.parquet", ".jsonl", ".txt.gz");
    REFUSES(ERR_NOT_FOUND, "file:/PATH", "only.py");
    REFUSES(ERR_NOT_FOUND, NAME, NULL);
    REFUSES(ERR_INVALID, "and 2 more", "a.txt", "b.txt", "c.txt", "d.txt", "e.txt", "f.txt", "g.txt", "h.txt",
            "i.txt", "j.txt", "k.txt", "l.txt", "m.txt", "n.txt");
}

static void test_missing_file_lists_the_others(void **state)
{
    (void)state;
    struct repository_tree tree = tree_of((const char *const[]){LAMBADA, NULL});
    const struct repository_file *file = NULL;
    OK(data_file_find(&tree, NAME, "data/lambada_test_it.jsonl", &file, &err));
    assert_string_equal(file->path, "data/lambada_test_it.jsonl");
    FAILS(ERR_NOT_FOUND,
          "no file data/test.jsonl; it has data/lambada_test.jsonl, data/lambada_test_de.jsonl",
          data_file_find(&tree, NAME, "data/test.jsonl", &file, &err));
    struct repository_tree bare = tree_of((const char *const[]){"README.md", NULL});
    FAILS(ERR_INVALID, "backslash", data_file_find(&bare, NAME, "we\\ird.jsonl", &file, &err));
    FAILS(ERR_NOT_FOUND, "no .jsonl or .txt file at all", data_file_find(&bare, NAME, "x", &file, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lambada),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_missing_file_lists_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
