/* The token of a file that changes: what counts, when it is another one, and what is told. */
#include "daemon/hub/token.h"

#include "daemon/base/file.h"
#include "tests/unit/base/fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[300];
static int told_count, told_has_token;
static char told_problem[ERR_MESSAGE_BYTES];

static void note(void *context, const struct hub_token_news *news)
{
    assert_ptr_equal(context, path);
    assert_string_equal(news->path, path);
    told_count++;
    told_has_token = news->has_token;
    (void)snprintf(told_problem, sizeof told_problem, "%s", news->problem ? news->problem : "");
}

static struct token *begin(const struct hub_options *options)
{
    struct token *token = NULL;
    struct err err = ERR_INIT;
    told_count = 0;
    assert_int_equal(token_new(options, &token, &err), 0);
    return token;
}

static void put(const char *text)
{
    struct err err = ERR_INIT;
    assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, &err), 0);
}

/* What counts after a look, and whether it is what counted before. */
static void expect(struct token *token, const char *text, uint64_t *serial, int is_same)
{
    char found[TOKEN_SIZE];
    uint64_t before = *serial;
    *serial = token_refresh(token);
    assert_int_equal(*serial == before, is_same);
    assert_int_equal(token_copy(token, found), *serial);
    assert_string_equal(found, text);
}

static void test_changes(void **state)
{
    struct hub_options options = {.token_path = path, .tell_token = note, .tell_context = path};
    uint64_t serial = 0;
    (void)snprintf(path, sizeof path, "%s/token", (const char *)*state);
    struct token *token = begin(&options);
    expect(token, "", &serial, 0);
    expect(token, "", &serial, 1);
    assert_int_equal(told_count, 0); /* most have none */
    put(" hf_one\n");
    expect(token, "hf_one", &serial, 0);
    assert_true(told_count == 1 && told_has_token && !told_problem[0]);
    put("hf_one"); /* the same, of another file */
    expect(token, "hf_one", &serial, 1);
    put("hf_two");
    expect(token, "hf_two", &serial, 0);
    assert_int_equal(told_count, 2);
    assert_int_equal(unlink(path), 0); /* logged out */
    expect(token, "", &serial, 0);
    assert_true(told_count == 3 && !told_has_token);
    token_free(token);
}

/* What is no token leaves the one before, and is told once. */
static void test_problems(void **state)
{
    static const char *const texts[] = {"", " \n", "hf two", "hf_\x01", "hf_\xff", "hf_\n\nb"};
    static const char *const words[] = {"is empty",    "is empty",    "a character",
                                        "a character", "a character", "a character"};
    struct hub_options options = {.token_path = path, .tell_token = note, .tell_context = path};
    uint64_t serial = 0;
    (void)snprintf(path, sizeof path, "%s/token", (const char *)*state);
    put("hf_one");
    struct token *token = begin(&options);
    expect(token, "hf_one", &serial, 0);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        put("hf_one");
        expect(token, "hf_one", &serial, 1);
        told_count = 0;
        put(texts[i]);
        expect(token, "hf_one", &serial, 1);
        expect(token, "hf_one", &serial, 1);
        assert_int_equal(told_count, 1);
        assert_true(told_has_token);
        assert_non_null(strstr(told_problem, words[i]));
        assert_non_null(strstr(told_problem, path));
        assert_null(strstr(told_problem, "hf_"));
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0); /* cannot be read, by root either */
    expect(token, "hf_one", &serial, 1);
    assert_non_null(strstr(told_problem, "directory"));
    assert_int_equal(rmdir(path), 0);
    put("hf_two");
    expect(token, "hf_two", &serial, 0);
    token_free(token);
}

/* What the start has told already, and what no file is named for. */
static void test_start(void **state)
{
    char problem[400];
    struct hub_options options = {.token = problem, .tell_token = note, .tell_context = path};
    uint64_t serial = 0;
    (void)snprintf(path, sizeof path, "%s/token", (const char *)*state);
    (void)snprintf(problem, sizeof problem, "hf_environment");
    put("hf_one");
    struct token *token = begin(&options);
    expect(token, "hf_environment", &serial, 0);
    token_free(token);

    put("");
    (void)snprintf(problem, sizeof problem, "%s: the file is empty", path);
    options = (struct hub_options){
        .token_path = path, .token_problem = problem, .tell_token = note, .tell_context = path};
    token = begin(&options);
    serial = 0;
    expect(token, "", &serial, 0);
    assert_int_equal(told_count, 0);
    put("hf_one");
    expect(token, "hf_one", &serial, 0);
    assert_int_equal(told_count, 1);
    token_free(token);
}

static void *look_often(void *context)
{
    struct token *token = context;
    char found[TOKEN_SIZE];
    for (int i = 0; i < 2000; i++) {
        (void)token_refresh(token);
        (void)token_copy(token, found);
        assert_true(strcmp(found, "hf_one") == 0 || strcmp(found, "hf_the_other") == 0);
    }
    return NULL;
}

/* Nobody ever sees half of one, whoever looks meanwhile. */
static void test_threads(void **state)
{
    struct hub_options options = {.token_path = path, .tell_token = note, .tell_context = path};
    pthread_t threads[4];
    (void)snprintf(path, sizeof path, "%s/token", (const char *)*state);
    put("hf_one");
    struct token *token = begin(&options);
    (void)token_refresh(token);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, look_often, token), 0);
    for (int i = 0; i < 20; i++)
        put(i % 2 ? "hf_one" : "hf_the_other");
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    token_free(token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_changes, fixture_make_folder, fixture_remove_folder),
        cmocka_unit_test_setup_teardown(test_problems, fixture_make_folder, fixture_remove_folder),
        cmocka_unit_test_setup_teardown(test_start, fixture_make_folder, fixture_remove_folder),
        cmocka_unit_test_setup_teardown(test_threads, fixture_make_folder, fixture_remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
