/* The environment as huggingface_hub reads it. */
#include "daemon/hub/hub.h"
#include "tests/unit/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char home[SCRATCH_SIZE];
static struct hub_options options;
static struct err err;

static int set_up(void **state)
{
    static const char *const names[] = {"HF_ENDPOINT",
                                        "HF_TOKEN",
                                        "HUGGING_FACE_HUB_TOKEN",
                                        "HF_TOKEN_PATH",
                                        "HF_HOME",
                                        "HF_HUB_CACHE",
                                        "HUGGINGFACE_HUB_CACHE",
                                        "HF_HUB_OFFLINE",
                                        "TRANSFORMERS_OFFLINE",
                                        "HF_HUB_DISABLE_IMPLICIT_TOKEN",
                                        "XDG_CACHE_HOME",
                                        "REQUESTS_CA_BUNDLE",
                                        "SSL_CERT_FILE"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)unsetenv(names[i]);
    (void)setenv("HOME", home, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hub_options_free(&options);
    return 0;
}

static void read_environment(void)
{
    hub_options_free(&options);
    assert_int_equal(hub_options_from_environment(&options, &err), 0);
}

static void assert_cache(const char *end)
{
    size_t size = strlen(options.cache_folder), end_size = strlen(end);
    assert_true(size >= end_size);
    assert_string_equal(options.cache_folder + size - end_size, end);
    assert_int_equal(options.cache_folder[0], '/');
}

static void defaults(void **state)
{
    char expected[200];
    (void)state;
    read_environment();
    (void)snprintf(expected, sizeof expected, "%s/.cache/huggingface/hub", home);
    assert_string_equal(options.cache_folder, expected);
    assert_string_equal(options.endpoint, "https://huggingface.co");
    assert_null(options.token);
    assert_false(options.is_offline);
}

static void caches(void **state)
{
    (void)state;
    (void)setenv("XDG_CACHE_HOME", "/xdg", 1);
    read_environment();
    assert_string_equal(options.cache_folder, "/xdg/huggingface/hub");
    (void)setenv("HF_HOME", "~/hf", 1);
    read_environment();
    assert_cache("/hf/hub");
    (void)setenv("HUGGINGFACE_HUB_CACHE", "/old", 1);
    read_environment();
    assert_string_equal(options.cache_folder, "/old");
    (void)setenv("HF_HUB_CACHE", "$HOME/new", 1);
    read_environment();
    assert_cache("/new");
    (void)setenv("HF_HUB_CACHE", "here", 1);
    read_environment();
    assert_cache("/here");
}

static void tokens(void **state)
{
    char path[200];
    (void)state;
    (void)snprintf(path, sizeof path, "%s/token", home);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(" hf_file \n", file);
    assert_int_equal(fclose(file), 0);
    (void)setenv("HF_HOME", home, 1);
    read_environment();
    assert_string_equal(options.token, "hf_file");
    assert_string_equal(options.token_path, path);
    (void)setenv("HF_TOKEN", " \n", 1); /* as Python: none, so that the file counts */
    read_environment();
    assert_string_equal(options.token, "hf_file");
    (void)unsetenv("HF_TOKEN");
    (void)setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "yes", 1);
    read_environment();
    assert_null(options.token);
    assert_null(options.token_path);
    (void)setenv("HF_TOKEN", "hf_environment", 1); /* nor is that sent */
    read_environment();
    assert_null(options.token);
    (void)unsetenv("HF_TOKEN");
    (void)unsetenv("HF_HUB_DISABLE_IMPLICIT_TOKEN");
    (void)setenv("HUGGING_FACE_HUB_TOKEN", "hf_old", 1);
    read_environment();
    assert_null(options.token_path); /* what the environment says stays */
    assert_string_equal(options.token, "hf_old");
    (void)setenv("HF_TOKEN", "hf_new\n", 1);
    read_environment();
    assert_string_equal(options.token, "hf_new");
    (void)setenv("HF_TOKEN", "hf new", 1);
    assert_int_equal(hub_options_from_environment(&options, &err), ERR_INVALID);
    assert_null(strstr(err.message, "hf new"));
    char *endless = calloc(1, 4002);
    assert_non_null(endless);
    memset(endless, 'x', 4001);
    (void)setenv("HF_TOKEN", endless, 1);
    assert_int_equal(hub_options_from_environment(&options, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "HF_TOKEN: has 4001 bytes"));
    endless[4000] = 0;
    (void)setenv("HF_TOKEN", endless, 1);
    read_environment();
    assert_int_equal(strlen(options.token), 4000);
    free(endless);
    (void)unlink(path);
}

/* What cannot be read is told and asked anonymously; what nobody named need not be there. */
static void token_problems(void **state)
{
    char path[200];
    (void)state;
    (void)setenv("HF_HOME", home, 1);
    read_environment();
    assert_null(options.token_problem);
    (void)snprintf(path, sizeof path, "%s/token", home);
    assert_int_equal(mkdir(path, 0700), 0);
    read_environment();
    assert_null(options.token);
    assert_non_null(options.token_problem);
    assert_non_null(strstr(options.token_problem, path));
    assert_non_null(strstr(options.token_problem, "Is a directory"));
    (void)setenv("HF_TOKEN", "hf_token", 1);
    read_environment();
    assert_null(options.token_problem);
    (void)unsetenv("HF_TOKEN");
    (void)setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1", 1);
    read_environment();
    assert_null(options.token_problem);
    (void)unsetenv("HF_HUB_DISABLE_IMPLICIT_TOKEN");
    assert_int_equal(rmdir(path), 0);
    (void)setenv("HF_TOKEN_PATH", path, 1);
    read_environment();
    assert_non_null(strstr(options.token_problem, "No such file"));
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(" \n", file);
    assert_int_equal(fclose(file), 0);
    read_environment();
    assert_non_null(strstr(options.token_problem, "empty"));
    file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs("two words", file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(hub_options_from_environment(&options, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, path));
    (void)unlink(path);
}

static void endpoints(void **state)
{
    (void)state;
    (void)setenv("HF_ENDPOINT", "http://mirror:81/hf//", 1);
    read_environment();
    assert_string_equal(options.endpoint, "http://mirror:81/hf");
    (void)setenv("HF_ENDPOINT", "mirror", 1);
    assert_int_equal(hub_options_from_environment(&options, &err), ERR_INVALID);
}

static void offline(void **state)
{
    (void)state;
    (void)setenv("HF_HUB_OFFLINE", "0", 1);
    read_environment();
    assert_false(options.is_offline);
    (void)setenv("TRANSFORMERS_OFFLINE", "True", 1);
    read_environment();
    assert_false(options.is_offline); /* the hub's own variable says no */
    (void)unsetenv("HF_HUB_OFFLINE");
    read_environment();
    assert_true(options.is_offline);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {TEST(defaults),  TEST(caches),  TEST(tokens),
                                       TEST(endpoints), TEST(offline), TEST(token_problems)};
    if (scratch_make(home))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)rmdir(home);
    return failed;
}
