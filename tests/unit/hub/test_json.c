/* The hub's replies as objects. */
#include "daemon/hub/hub_json.h"

#include "daemon/base/buf.h"
#include "daemon/base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define SHA256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct err err;

static void refs(void **state)
{
    static const char text[] =
        "{\"tags\": [{\"name\": \"v1\", \"ref\": \"refs/tags/v1\", \"targetCommit\": \"" COMMIT
        "\"}], \"branches\": [{\"name\": \"main\", \"targetCommit\": \"" COMMIT
        "\"}, {\"name\": \"a/b\", \"targetCommit\": \"" COMMIT
        "\"}], \"converts\": [{}], \"pullRequests\": [{\"name\": \"pr/1\", "
        "\"ref\": \"refs/pr/1\", \"targetCommit\": \"" COMMIT "\"}]}";
    static const char more[] = "{\"branches\": [{\"name\": \"z\", \"targetCommit\": \"" COMMIT "\"}]}";
    struct repository_refs *list = calloc(1, sizeof *list);
    char longer[1000], name[LIMIT_REVISION_NAME_BYTES + 1];
    (void)state;
    /* One that nobody can ask for must not cost the others. */
    memset(name, 'x', LIMIT_REVISION_NAME_BYTES);
    name[LIMIT_REVISION_NAME_BYTES] = 0;
    (void)snprintf(longer, sizeof longer,
                   "{\"branches\": [{\"name\": \"%s\", \"targetCommit\": \"" COMMIT "\"}]}", name);
    assert_int_equal(hub_json_parse_refs_page(longer, strlen(longer), list, &err), 0);
    assert_int_equal(list->count, 0);
    assert_int_equal(hub_json_parse_refs_page(text, sizeof text - 1, list, &err), 0);
    assert_int_equal(list->count, 4);
    assert_int_equal(hub_json_parse_refs_page(more, sizeof more - 1, list, &err), 0);
    assert_int_equal(list->count, 5);
    assert_string_equal(list->rows[4].name, "z");
    assert_string_equal(list->rows[0].name, "main");
    assert_string_equal(list->rows[1].name, "a/b");
    assert_int_equal(list->rows[2].kind, REPOSITORY_REF_KIND_TAG);
    assert_string_equal(list->rows[3].name, "refs/pr/1");
    assert_int_equal(list->rows[3].kind, REPOSITORY_REF_KIND_PULL_REQUEST);
    assert_string_equal(list->rows[3].commit, COMMIT);
    repository_refs_free(list);
}

static void bad_refs(void **state)
{
#define BRANCH(name, commit) "{\"branches\": [{\"name\": \"" name "\", \"targetCommit\": \"" commit "\"}]}"
    static const char upper[] = BRANCH("a", "0123456789ABCDEF0123456789abcdef01234567");
    static const char empty[] = BRANCH("", COMMIT);
    static const char line[] = BRANCH("a\\nb", COMMIT);
    static const char *const texts[] = {"",
                                        "[]",
                                        "{}",
                                        "{\"branches\": {}}",
                                        "{\"branches\": [1]}",
                                        "{\"branches\": [{\"name\": \"x\"}]}",
                                        "{\"branches\": []} x",
                                        upper,
                                        empty,
                                        line};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct repository_refs *list = calloc(1, sizeof *list);
        assert_int_equal(hub_json_parse_refs_page(texts[i], strlen(texts[i]), list, &err), ERR_FORMAT);
        assert_int_equal(list->count, 0);
        repository_refs_free(list);
    }
}

static void tree(void **state)
{
    static const char first[] =
        "[{\"type\": \"directory\", \"path\": \"d\", \"oid\": \"x\", \"size\": 0},"
        "{\"type\": \"file\", \"path\": \"d/z\", \"oid\": \"" COMMIT "\", \"size\": 5}]";
    static const char second[] =
        "[{\"type\": \"file\", \"path\": \"b\", \"oid\": \"" COMMIT
        "\", \"size\": 130, \"lfs\": {\"oid\": \"" SHA256 "\", \"size\": 5000000000}}]";
    struct repository_tree *list = calloc(1, sizeof *list);
    (void)state;
    assert_int_equal(hub_json_parse_tree_page(first, sizeof first - 1, list, &err), 0);
    assert_int_equal(hub_json_parse_tree_page(second, sizeof second - 1, list, &err), 0);
    assert_int_equal(hub_json_finish_tree(list, &err), 0);
    assert_int_equal(list->count, 2);
    const struct repository_file *file = repository_tree_find(list, "b");
    assert_non_null(file);
    assert_true(file->size_bytes == 5000000000);
    assert_string_equal(file->sha256, SHA256);
    assert_string_equal(repository_tree_find(list, "d/z")->sha256, "");
    assert_null(repository_tree_find(list, "c"));
    repository_tree_free(list);
}

static void bad_trees(void **state)
{
#define FILE_ROW(path, rest) "[{\"type\": \"file\", \"path\": \"" path "\", " rest "}]"
    static const char *const texts[] = {
        "{}",
        "[1]",
        "[{\"path\": \"a\", \"size\": 1}]",
        "[{\"type\": 1, \"path\": \"a\", \"size\": 1}]",
        FILE_ROW("../a", "\"size\": 1"),
        FILE_ROW("/a", "\"size\": 1"),
        FILE_ROW("a/../../b", "\"size\": 1"),
        FILE_ROW("a", "\"size\": -1"),
        FILE_ROW("a", "\"size\": 1.5"),
        FILE_ROW("a", "\"size\": \"1\""),
        FILE_ROW("a", "\"oid\": \"" COMMIT "\""),
        FILE_ROW("a", "\"size\": 1, \"oid\": \"short\""),
        FILE_ROW("a", "\"size\": 1, \"lfs\": {\"size\": 1}"),
        FILE_ROW("a", "\"size\": 1, \"lfs\": {\"size\": 1, \"oid\": \"" COMMIT "\"}"),
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct repository_tree *list = calloc(1, sizeof *list);
        assert_int_equal(hub_json_parse_tree_page(texts[i], strlen(texts[i]), list, &err), ERR_FORMAT);
        repository_tree_free(list);
    }
}

/* Git allows these names. They are nobody's checkpoint, so they are passed over, each alone. */
static void odd_names(void **state)
{
    struct buf text;
    struct repository_tree *list = calloc(1, sizeof *list);
    (void)state;
    buf_init(&text, 1 * MIB);
    (void)buf_append_text(&text, "[{\"type\": \"file\", \"path\": \"we\\\\ird\", \"size\": 1},"
                                 "{\"type\": \"file\", \"path\": \"d/li\\nne\", \"size\": 1},"
                                 "{\"type\": \"file\", \"path\": \"del\\u007f\", \"size\": 1},"
                                 "{\"type\": \"submodule\", \"path\": \"module\"},"
                                 "{\"type\": \"file\", \"path\": \"config.json\", \"size\": 2},"
                                 "{\"type\": \"file\", \"size\": 1, \"path\": \"");
    for (int i = 0; i < LIMIT_FILE_NAME_BYTES; i++)
        (void)buf_append_char(&text, 'x');
    (void)buf_append_text(&text, "\"}]");
    assert_int_equal(buf_check(&text, "text", &err), 0);
    assert_int_equal(hub_json_parse_tree_page(text.data, text.size, list, &err), 0);
    assert_int_equal(hub_json_finish_tree(list, &err), 0);
    assert_int_equal(list->count, 1);
    assert_string_equal(list->files[0].path, "config.json");
    buf_free(&text);
    repository_tree_free(list);
}

static void path_twice(void **state)
{
    static const char text[] = "[{\"type\": \"file\", \"path\": \"a\", \"size\": 1}]";
    struct repository_tree *list = calloc(1, sizeof *list);
    (void)state;
    assert_int_equal(hub_json_parse_tree_page(text, sizeof text - 1, list, &err), 0);
    assert_int_equal(hub_json_parse_tree_page(text, sizeof text - 1, list, &err), 0);
    assert_int_equal(hub_json_finish_tree(list, &err), ERR_FORMAT);
    repository_tree_free(list);
}

static void too_many_values(void **state)
{
    struct buf text;
    struct repository_tree *list = calloc(1, sizeof *list);
    (void)state;
    buf_init(&text, 2 * MIB);
    (void)buf_append_text(&text, "[{\"type\": \"directory\"}");
    for (int i = 0; i < LIMIT_HUB_JSON_CONTAINERS; i++)
        (void)buf_append_text(&text, ",[]");
    (void)buf_append_char(&text, ']');
    assert_int_equal(buf_check(&text, "text", &err), 0);
    assert_int_equal(hub_json_parse_tree_page(text.data, text.size, list, &err), ERR_LIMIT);
    buf_free(&text);
    repository_tree_free(list);
}

static void cached_tree(void **state)
{
    static const char text[] =
        "{\"format_version\": 1, \"files\": {\"z\": {\"size\": 3, \"blob_id\": \"" COMMIT
        "\"}, \"a\": {\"size\": 9, \"blob_id\": \"" COMMIT "\", \"lfs_sha256\": \"" SHA256
        "\", \"lfs_size\": 9}}}";
    struct repository_tree *list = NULL;
    (void)state;
    assert_int_equal(hub_json_parse_cached_tree(text, sizeof text - 1, COMMIT, &list, &err), 0);
    assert_string_equal(list->commit, COMMIT);
    assert_string_equal(list->files[0].sha256, SHA256);
    assert_string_equal(list->files[1].path, "z");
    repository_tree_free(list);
    list = NULL;
    assert_int_equal(
        hub_json_parse_cached_tree("{\"format_version\": 2, \"files\": {}}", 34, COMMIT, &list, &err),
        ERR_UNSUPPORTED);
    assert_null(list);
}

static void commits(void **state)
{
    static const char text[] = "{\"sha\": \"" COMMIT "\", \"private\": true, \"gated\": \"manual\"}";
    char found[REPOSITORY_COMMIT_SIZE];
    (void)state;
    assert_int_equal(hub_json_parse_commit(text, sizeof text - 1, found, &err), 0);
    assert_string_equal(found, COMMIT);
    assert_int_equal(hub_json_parse_commit("{}", 2, found, &err), ERR_FORMAT);
}

static void histories(void **state)
{
#define ROW(title, rest) "{\"id\": \"" COMMIT "\", \"title\": \"" title "\"" rest "}"
    static const char text[] = "[" ROW("step 2", ", \"date\": \"2023-02-13T12:00:01.250Z\"") "," ROW(
        "step 1", ", \"date\": \"yesterday\"") "," ROW("",
                                                       "") "," ROW("two\\nlines",
                                                                   "") "," ROW("\\u001b[2J",
                                                                               "") ",{\"id\": \"" COMMIT
                                                                                   "\"}, {\"id\": \"" COMMIT
                                                                                   "\", \"title\": 7}," ROW(
                                                                                       "\u00e9", "") "]";
    static const char more[] = "[" ROW("step 0", "") "]";
    struct repository_commits *list = calloc(1, sizeof *list);
    (void)state;
    assert_int_equal(hub_json_parse_commits_page(text, sizeof text - 1, list, &err), 0);
    assert_int_equal(hub_json_parse_commits_page(more, sizeof more - 1, list, &err), 0);
    assert_int_equal(list->count, 4); /* whose titles somebody can ask for */
    assert_string_equal(list->rows[0].id, COMMIT);
    assert_string_equal(list->rows[0].title, "step 2");
    assert_int_equal(list->rows[0].date_ms, 1676289601000);
    assert_int_equal(list->rows[1].date_ms, -1);
    assert_string_equal(list->rows[2].title, "é");
    assert_string_equal(list->rows[3].title, "step 0");
    repository_commits_free(list);
}

static void long_titles(void **state)
{
    struct buf text;
    struct repository_commits *list = calloc(1, sizeof *list);
    (void)state;
    buf_init(&text, 4 * MIB);
    (void)buf_append_text(&text, "[{\"id\": \"" COMMIT "\", \"title\": \"");
    for (size_t i = 0; i < 1 * MIB; i++)
        (void)buf_append_char(&text, 'x');
    (void)buf_append_text(&text, "\"}," ROW("step 1", "") "]");
    assert_int_equal(buf_check(&text, "text", &err), 0);
    assert_int_equal(hub_json_parse_commits_page(text.data, text.size, list, &err), 0);
    assert_int_equal(list->count, 1);
    assert_string_equal(list->rows[0].title, "step 1");
    buf_free(&text);
    repository_commits_free(list);
}

static void bad_histories(void **state)
{
    static const char *const texts[] = {
        "",
        "{}",
        "{\"commits\": []}",
        "[1]",
        "[{\"title\": \"a\"}]",
        "[{\"id\": \"short\", \"title\": \"a\"}]",
        "[{\"id\": \"0123456789ABCDEF0123456789abcdef01234567\", \"title\": \"a\"}]",
        "[{\"id\": \"" SHA256 "\", \"title\": \"a\"}]",
        "[" ROW("a", "") "] x",
        "[" ROW("\\u0000", "") "]",
        "[" ROW("\xff", "") "]",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct repository_commits *list = calloc(1, sizeof *list);
        assert_int_equal(hub_json_parse_commits_page(texts[i], strlen(texts[i]), list, &err), ERR_FORMAT);
        assert_int_equal(list->count, 0);
        repository_commits_free(list);
    }
}

static void models(void **state)
{
    static const char text[] =
        "[{\"_id\": \"1\", \"id\": \"Org/a\", \"sha\": \"" COMMIT "\"}, {\"id\": \"Org/b\", \"sha\": null},"
        "{\"modelId\": \"Org/c\"}, {\"id\": \"org/d\"}, {\"id\": \"other/a\"}, {\"id\": \"Org\"}, {\"id\": "
        "\"Organic/a\"}, {\"id\": \"Org/../x\"}, {\"id\": \"Org/a/b\"}, {\"id\": \"Org/a\\nb\"}]";
    static const char *const bad[] = {
        "",
        "{}",
        "[1]",
        "[{\"sha\": \"" COMMIT "\"}]",
        "[{\"id\": 7}]",
        "[{\"id\": \"Org/a\", \"sha\": \"short\"}]",
        "[{\"id\": \"Org/a\", \"sha\": \"" SHA256 "\"}]",
    };
    struct hub_listing *list = calloc(1, sizeof *list);
    (void)state;
    assert_int_equal(hub_json_parse_models_page(text, sizeof text - 1, "Org", list, &err), 0);
    assert_int_equal(list->count, 4); /* not what is no model of this owner */
    assert_string_equal(list->rows[0].name, "Org/a");
    assert_string_equal(list->rows[0].commit, COMMIT);
    assert_string_equal(list->rows[1].commit, "");
    assert_string_equal(list->rows[2].name, "Org/c");
    assert_string_equal(list->rows[3].name, "org/d"); /* owners' names differ by more than case */
    hub_listing_free(list);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        list = calloc(1, sizeof *list);
        assert_int_equal(hub_json_parse_models_page(bad[i], strlen(bad[i]), "Org", list, &err), ERR_FORMAT);
        assert_int_equal(list->count, 0);
        hub_listing_free(list);
    }
}

/* A page holds at most 64 MiB; pages that go on and on end at the limit of what is kept. */
static void endless_lists(void **state)
{
    static const char *const rows[] = {ROW("a", ""), "{\"id\": \"Org/a\"}"};
    (void)state;
    for (size_t kind = 0; kind < 2; kind++) {
        struct buf text;
        struct repository_commits *commits = calloc(1, sizeof *commits);
        struct hub_listing *listing = calloc(1, sizeof *listing);
        int code = 0, page_count = 0;
        buf_init(&text, 16 * MIB);
        (void)buf_append_char(&text, '[');
        for (int i = 0; i < 30000; i++)
            (void)buf_appendf(&text, "%s%s", i ? "," : "", rows[kind]);
        (void)buf_append_char(&text, ']');
        assert_int_equal(buf_check(&text, "text", &err), 0);
        for (; !code && page_count < 10; page_count++)
            code = kind ? hub_json_parse_models_page(text.data, text.size, "Org", listing, &err)
                        : hub_json_parse_commits_page(text.data, text.size, commits, &err);
        assert_int_equal(code, ERR_LIMIT);
        assert_int_equal(page_count, 4);
        assert_int_equal(commits->count + listing->count, 100000);
        buf_free(&text);
        repository_commits_free(commits);
        hub_listing_free(listing);
    }
}

static void errors(void **state)
{
    char said[16];
    (void)state;
    hub_json_parse_error("{\"error\": \"Repository not found\"}", 33, said, sizeof said);
    assert_string_equal(said, "Repository not ");
    hub_json_parse_error("{\"errors\": [{\"message\": \"m\"}]}", 30, said, sizeof said);
    assert_string_equal(said, "m");
    hub_json_parse_error("<html>", 6, said, sizeof said);
    assert_string_equal(said, "");
}

static void user(void **state)
{
    (void)state;
    static const char *const bad[] = {"{}", "[]", "{\"name\":7}", "{\"name\":\"\"}",
                                      "{\"name\":\"a\\u001b[2J\"}"};
    static const char text[] = "{\"type\":\"user\",\"name\":\"somebody\"}";
    char name[8];
    assert_int_equal(hub_json_parse_user(text, sizeof text - 1, name, sizeof name, &err), 0);
    assert_string_equal(name, "somebod");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(hub_json_parse_user(bad[i], strlen(bad[i]), name, sizeof name, &err), ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refs),        cmocka_unit_test(bad_refs),
        cmocka_unit_test(tree),        cmocka_unit_test(bad_trees),
        cmocka_unit_test(path_twice),  cmocka_unit_test(cached_tree),
        cmocka_unit_test(user),        cmocka_unit_test(commits),
        cmocka_unit_test(errors),      cmocka_unit_test(too_many_values),
        cmocka_unit_test(odd_names),   cmocka_unit_test(histories),
        cmocka_unit_test(long_titles), cmocka_unit_test(bad_histories),
        cmocka_unit_test(models),      cmocka_unit_test(endless_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
